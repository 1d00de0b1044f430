"""Asks the query API, and tells what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zhida.cli._wiring import load_settings
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    import httpx

_EXIT_BY_STATUS = {401: ExitCode.DENIED, 403: ExitCode.DENIED, 404: ExitCode.NOT_FOUND, 400: ExitCode.USAGE}
_EXIT_BY_STATUS |= {422: ExitCode.USAGE, 503: ExitCode.UNREACHABLE}


def ask(
    method: str,
    path: str,
    *,
    purpose: str = "",
    body: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    timeout: float = 30.0,
) -> Any:
    """The JSON of the answer; raises UserError where there is none. *timeout* in seconds."""
    import httpx

    from zhida.own_api import api_client

    settings = load_settings()
    url = settings.api_url
    headers = {b"authorization": f"Bearer {settings.api_token()}".encode()}
    if purpose:
        headers[b"x-zhida-purpose"] = purpose.encode()
    try:
        with api_client(settings, timeout) as client:
            response = client.request(method, path, headers=headers, json=body, params=query)
    except httpx.TransportError as error:
        raise UserError(
            f"查询接口 {url} 没有应答",
            f"the query API at {url} does not answer ({type(error).__name__})",
            "zhida up 启动全部服务 starts all services；zhida status 查看状态 shows what is running",
            ExitCode.UNREACHABLE,
        ) from error
    if not response.is_success:
        raise _refused(response, url)
    return response.json()


def _refused(response: httpx.Response, url: str) -> UserError:
    try:
        problem = response.json()["error"]
        zh, en = str(problem["zh"]), str(problem["en"])
    except (ValueError, KeyError, TypeError):
        zh, en = f"查询接口返回 HTTP {response.status_code}", f"the query API answered HTTP {response.status_code}"
    remedy = f"检查 ZHIDA_API_TOKEN 是否与 {url} 的一致 check the token" if response.status_code == 401 else ""
    return UserError(zh, en, remedy, _EXIT_BY_STATUS.get(response.status_code, ExitCode.FAILED))
