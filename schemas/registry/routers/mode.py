"""``/mode``: read and write, read-only, or import, globally and by subject."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry.errors import unprocessable
from schemas.registry.http import body_of, check_may_write, flag, json_response
from schemas.registry.levels import Settings
from schemas.registry.requests import read_json
from schemas.registry.routers.config import scope_of


def routes(settings: Settings) -> list[Route]:
    """The routes of this resource."""

    async def read(request: Request) -> Response:
        mode = settings.mode_setting(scope_of(request), or_global=flag(request, "defaultToGlobal"))
        return json_response({"mode": mode})

    async def change(request: Request) -> Response:
        check_may_write(request)
        body = read_json(await body_of(request))
        if body.keys() != {"mode"}:
            raise unprocessable("Unrecognized field: the body is an object of mode")
        mode = await settings.set_mode(scope_of(request), body["mode"], force=flag(request, "force"))
        return json_response({"mode": mode})

    async def drop(request: Request) -> Response:
        check_may_write(request)
        return json_response({"mode": await settings.drop_mode(scope_of(request))})

    return [
        Route(path, handler, methods=[method])
        for path in ("/mode", "/mode/{subject}")
        for handler, method in ((read, "GET"), (change, "PUT"), (drop, "DELETE"))
    ]
