"""The protocol over ASGI: content types, bodies with a limit, errors as JSON, and one fast way for schemas by id."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import orjson
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.registry.errors import RegistryError, malformed, too_large, unprocessable
from schemas.registry.security import Gate, Role, require_writer
from schemas.registry.state import RegistryState

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
MAX_BODY = 3_000_000
_BODY_SECONDS = 30.0
_ACCEPTED_BODIES = frozenset(
    {
        CONTENT_TYPE,
        "application/vnd.schemaregistry+json",
        "application/json",
        "application/octet-stream",
    }
)
_BY_ID = b"/schemas/ids/"
_JSON_HEADERS = (b"content-type", CONTENT_TYPE.encode())
_log = structlog.get_logger(__name__)


class RegistryApp:
    """The ASGI application: authenticates, answers schemas by id itself, hands the rest to the routers.

    Paths are matched as they were sent, still percent-encoded, for a subject's name may hold a slash.
    """

    def __init__(self, state: RegistryState, routes: Sequence[Route], gate: Gate | None) -> None:
        self._state = state
        self._gate = gate
        self._inner: ASGIApp = Starlette(
            routes=routes,
            exception_handlers={
                RegistryError: _on_registry_error,
                HTTPException: _on_http_exception,
                Exception: _on_exception,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the registry does not speak {scope['type']}")
        role: Role = "writer"
        if self._gate is not None:
            try:
                role = self._gate.role(_header(scope, b"authorization"))
            except RegistryError as error:
                await error_response(error)(scope, receive, send)
                return
        path: bytes = scope["raw_path"].partition(b"?")[0]
        if scope["method"] == "GET" and path.startswith(_BY_ID):
            answer = self._by_id(path[len(_BY_ID) :])
            if answer is not None and not scope["query_string"]:
                await _send_json(send, answer)
                return
        inner = dict(scope)
        inner["path"] = path.decode("latin-1")
        inner["root_path"] = ""
        inner["zhida.role"] = role
        await self._inner(inner, receive, send)

    def _by_id(self, text: bytes) -> bytes | None:
        return self._state.answer(int(text)) if text.isdigit() and len(text) < 11 else None


async def _send_json(send: Send, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [_JSON_HEADERS, length]})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def json_response(value: Any, status: int = 200) -> Response:
    """*value* as the protocol's JSON; bytes are JSON already."""
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return Response(body, status, media_type=CONTENT_TYPE)


def error_response(error: RegistryError) -> Response:
    """The protocol's form of an error."""
    response = json_response({"error_code": error.code, "message": error.message}, error.status)
    if error.status == 401:
        response.headers["www-authenticate"] = 'Basic realm="schema-registry"'
    if error.status in (413, 422) and error.code == 42209:
        # The rest of an oversized body is not read: the connection cannot be used again.
        response.headers["connection"] = "close"
    return response


async def body_of(request: Request) -> bytes:
    """The body, at most MAX_BODY bytes of an accepted type; RegistryError 415, 408, 42209."""
    kind = request.headers.get("content-type", CONTENT_TYPE).partition(";")[0].strip().lower()
    if kind not in _ACCEPTED_BODIES:
        raise RegistryError(415, 415, "HTTP 415 Unsupported Media Type")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > MAX_BODY:
        raise too_large(f"The request body is larger than {MAX_BODY} bytes")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY:
                    raise too_large(f"The request body is larger than {MAX_BODY} bytes")
                parts.append(part)
    except TimeoutError:
        raise RegistryError(408, 408, "The request body did not arrive in time") from None
    return b"".join(parts)


def subject_of(request: Request) -> str:
    """The subject in the path, decoded; 400 when it is not UTF-8."""
    return decoded(request.path_params["subject"])


def decoded(raw: str) -> str:
    """A percent-encoded part of the path as text; 400 when it is not UTF-8."""
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise malformed("The path is not UTF-8") from None


def flag(request: Request, name: str) -> bool:
    """A yes-or-no parameter; clients write true and True."""
    return request.query_params.get(name, "").lower() == "true"


def whole(request: Request, name: str, default: int) -> int:
    """A whole-number parameter; 422 for anything else."""
    text = request.query_params.get(name)
    if text is None:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise unprocessable(f"{name} must be a whole number")
    return int(text)


def page(request: Request, items: list[Any]) -> list[Any]:
    """The part of *items* that ``offset`` and ``limit`` ask for; a negative limit is none."""
    start = max(whole(request, "offset", 0), 0)
    limit = whole(request, "limit", -1)
    return items[start:] if limit < 0 else items[start : start + limit]


def check_may_write(request: Request) -> None:
    """Raise RegistryError 40301 for a read-only role."""
    require_writer(request.scope["zhida.role"])


def _on_registry_error(_: Request, error: Exception) -> Response:
    return error_response(error) if isinstance(error, RegistryError) else _internal()


def _on_http_exception(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "Internal Server Error"
    return json_response({"error_code": status, "message": f"HTTP {status} {detail}"}, status)


def _on_exception(request: Request, error: Exception) -> Response:
    _log.error("registry_request_failed", method=request.method, error=type(error).__name__)
    return _internal()


def _internal() -> Response:
    return json_response({"error_code": 500, "message": "Internal Server Error"}, 500)
