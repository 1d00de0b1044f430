"""``/config``: compatibility levels, globally and by subject."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry.http import body_of, check_may_write, decoded, flag, json_response
from schemas.registry.levels import Settings
from schemas.registry.requests import check_subject, read_json


def routes(settings: Settings) -> list[Route]:
    """The routes of this resource."""

    async def read(request: Request) -> Response:
        return json_response(settings.config(scope_of(request), or_global=flag(request, "defaultToGlobal")))

    async def change(request: Request) -> Response:
        check_may_write(request)
        return json_response(await settings.set_config(scope_of(request), read_json(await body_of(request))))

    async def drop(request: Request) -> Response:
        check_may_write(request)
        return json_response(await settings.drop_config(scope_of(request)))

    return [
        Route(path, handler, methods=[method])
        for path in ("/config", "/config/{subject}")
        for handler, method in ((read, "GET"), (change, "PUT"), (drop, "DELETE"))
    ]


def scope_of(request: Request) -> str | None:
    """The subject in the path, or None for the global setting."""
    raw = request.path_params.get("subject")
    return None if raw is None else check_subject(decoded(raw))
