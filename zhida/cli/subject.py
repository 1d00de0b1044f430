"""查询一个主体的信用记录。The credit records of one subject."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zhida.cli._api import ask
from zhida.cli._console import console, print_json, table

app = typer.Typer()

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
    answer = ask(method, path, purpose=purpose, body=body)
    if as_json:
        print_json(answer)
    else:
        _show(answer)


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
