"""The pages, the live page's events and our own files. Nothing on a page comes from another host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, FastAPI, Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from dashboards.guard import PAGES
from dashboards.live import Live

STATIC = Path(__file__).parent / "static"
#: A viewer that takes nothing for this long is let go; the browser comes back by itself.
_SEND_TIMEOUT_SECONDS = 30.0
_RETRY_MILLISECONDS = 2000


class _Files(StaticFiles):
    """Our own files: a browser keeps them but asks each time whether they have changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "private, no-cache"
        return response


def page_routes(live: Live) -> APIRouter:
    """The pages at their addresses, ``/`` that leads to the first, and the event stream of ``/live``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def home() -> Response:
        return RedirectResponse(PAGES[0], status_code=307)

    for name in PAGES:
        router.add_api_route(f"/{name}", _page(name), methods=["GET", "HEAD"])

    @router.api_route("/live/events", methods=["GET", "HEAD"])
    async def events(_: Request, last_event_id: str | None = Header(default=None)) -> Response:
        async def stream() -> AsyncIterator[ServerSentEvent]:
            async for number, body in live.snapshots(last_event_id):
                yield ServerSentEvent(body, event="state", id=number, retry=_RETRY_MILLISECONDS)

        # The grace lets a stream end by itself, complete, when the server stops.
        return EventSourceResponse(
            stream(), ping=15, send_timeout=_SEND_TIMEOUT_SECONDS, sep="\n", shutdown_grace_period=2
        )

    return router


def _page(name: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return FileResponse(STATIC / f"{name}.html", media_type="text/html; charset=utf-8")

    return page


def mount_files(app: FastAPI) -> None:
    """Serve ``dashboards/static`` under ``/static``."""
    app.mount("/static", _Files(directory=STATIC), name="static")
