"""查询一个主体的信用记录。The credit records of one subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import api_url, load_settings
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    import httpx

app = typer.Typer()
_EXIT_BY_STATUS = {401: ExitCode.DENIED, 403: ExitCode.DENIED, 404: ExitCode.NOT_FOUND, 400: ExitCode.USAGE}
_EXIT_BY_STATUS |= {422: ExitCode.USAGE, 503: ExitCode.UNREACHABLE}

_Purpose = Annotated[str, typer.Option(help="查询用途，写入审计日志。Purpose, for the audit log.")]
_Json = Annotated[bool, typer.Option("--json", help="输出接口返回的 JSON。The answer as JSON.")]


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="统一社会信用代码，或 reg:工商注册号。USCC, or reg:<number>.")],
    purpose: _Purpose = "",
    json: _Json = False,
) -> None:
    """显示一个法人或组织的全部有效记录。All current records of an organisation.

    例 Example: zhida subject show 91320100MA1ABCDE0X --purpose 授信审查
    """
    from urllib.parse import quote

    _answer("GET", f"/v1/subjects/{quote(code, safe=':')}", purpose, json)


@app.command()
def search(purpose: _Purpose = "", json: _Json = False) -> None:
    """按证件号码查询一个自然人；号码从键盘或标准输入读取。A natural person, by document number from standard input.

    号码不作为参数，以免留在命令历史中。It is not an argument, so that it stays in no shell history.

    例 Example: zhida subject search --purpose 职业资格核验 < 证件号码.txt
    """
    import sys

    if sys.stdin.isatty():
        number = typer.prompt("证件号码 document number", hide_input=True)
    else:
        number = sys.stdin.readline(200)
    _answer("POST", "/v1/subjects/search", purpose, json, body={"id_number": str(number).strip()})


def _answer(method: str, path: str, purpose: str, as_json: bool, body: dict[str, str] | None = None) -> None:
    import httpx

    settings = load_settings()
    url = api_url(settings)
    headers = {b"authorization": f"Bearer {settings.api_token()}".encode()}
    if purpose:
        headers[b"x-zhida-purpose"] = purpose.encode()
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            response = client.request(method, path, headers=headers, json=body)
    except httpx.TransportError as error:
        raise UserError(
            f"查询接口 {url} 没有应答",
            f"the query API at {url} does not answer ({type(error).__name__})",
            "zhida up 启动全部服务 starts all services；zhida status 查看状态 shows what is running",
            ExitCode.UNREACHABLE,
        ) from error
    if not response.is_success:
        raise _refused(response, url)
    if as_json:
        print_json(response.json())
    else:
        _show(response.json())


def _refused(response: httpx.Response, url: str) -> UserError:
    try:
        problem = response.json()["error"]
        zh, en = str(problem["zh"]), str(problem["en"])
    except (ValueError, KeyError, TypeError):
        zh, en = f"查询接口返回 HTTP {response.status_code}", f"the query API answered HTTP {response.status_code}"
    remedy = f"检查 ZHIDA_API_TOKEN 是否与 {url} 的一致 check the token" if response.status_code == 401 else ""
    return UserError(zh, en, remedy, _EXIT_BY_STATUS.get(response.status_code, ExitCode.FAILED))


def _local(moment: str) -> str:
    from datetime import datetime

    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _show(answer: dict[str, Any]) -> None:
    out = console()
    source = "缓存 cache" if answer.get("source") == "cache" else f"{answer.get('source', '')}"
    out.print(f"主体 subject {answer['subject']}    记录 records {answer['count']}    来源 from {source}")
    for dataset in answer["datasets"]:
        labels = dataset["labels"]
        for record in dataset["records"]:
            unit = record["unit"]
            title = f"{dataset['zh']} {dataset['en']}  {record['record_id']}  {record['verdict_zh']}"
            shown = table("字段 field", "值 value", title=title)
            shown.add_row("来源单位 unit", unit.get("name", unit["code"]))
            shown.add_row("报送时间 reported", _local(record["reported_at"]))
            for name, value in record["fields"].items():
                if value is not None:
                    shown.add_row(f"{labels.get(name, '')} {name}".strip(), str(value))
            out.print(shown)
