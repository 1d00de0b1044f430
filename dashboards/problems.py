"""Errors as the query service answers them: one shape, Chinese and English, never an echo of what was sent."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

_BY_STATUS: dict[int, tuple[str, str, str]] = {
    400: ("invalid_request", "请求格式不正确", "malformed request"),
    401: ("unauthorised", "未登录或令牌无效", "no valid token"),
    404: ("not_found", "没有这个地址", "no such address"),
    405: ("method_not_allowed", "该地址不支持此请求方法", "this address does not take that method"),
    413: ("too_large", "请求内容过大", "the request body is too large"),
}


class ApiError(Exception):
    """An answer other than 200: *status* and a *code*, with the reason in Chinese and in English."""

    def __init__(self, status: int, code: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.status = status
        self.code = code
        self.zh = zh
        self.en = en


class JsonBytes(Response):
    """A JSON response by orjson: the whole answer in one call, without FastAPI's model round trip."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """*content* as JSON bytes."""
        return orjson.dumps(content)


def problem_response(problem: ApiError, headers: dict[str, str] | None = None) -> Response:
    """*problem* as a JSON answer."""
    body = {"error": {"code": problem.code, "zh": problem.zh, "en": problem.en}}
    return JsonBytes(body, status_code=problem.status, headers=headers)


def install(app: FastAPI) -> None:
    """Make *app* answer every error in this shape; FastAPI's own would repeat the input, identity numbers included."""

    @app.exception_handler(ApiError)
    async def on_problem(_: Request, error: ApiError) -> Response:
        return problem_response(error)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        code, zh, en = _BY_STATUS.get(error.status_code, ("error", "请求无法处理", "the request cannot be handled"))
        headers = dict(error.headers) if error.headers else None
        return problem_response(ApiError(error.status_code, code, zh, en), headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        places = sorted(
            {".".join(str(part) for part in item["loc"] if isinstance(part, str)) for item in error.errors()}
        )
        # Only places that the service itself named: the sender's own keys may hold anything.
        known = [place for place in places if place in {"body", "body.id_number"}] or ["body"]
        where = ", ".join(known)
        return problem_response(
            ApiError(422, "invalid_request", f"请求格式不正确：{where}", f"malformed request: {where}")
        )
