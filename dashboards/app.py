"""The query service and the live page as one ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import Response

from dashboards import problems
from dashboards.audit import AuditLog
from dashboards.deps import ApiDeps
from dashboards.guard import SECURITY_HEADERS, Guard, Sessions
from dashboards.health import health_routes
from dashboards.live import Live
from dashboards.pages import mount_files, page_routes
from dashboards.quality import quality_routes
from dashboards.subjects import Subjects, subject_routes
from dashboards.verdicts import verdict_routes

__all__ = ["ApiDeps", "create_app"]
_log = structlog.get_logger(__name__)
_MAX_BODY_BYTES = 16 * 1024


def create_app(deps: ApiDeps) -> FastAPI:
    """The application; its lifespan runs the live page's poller and the audit journal's flusher.

    Raises AuditUnavailableError when another process keeps its journal in ``deps.audit_folder``.
    """
    audit = AuditLog(deps.audit_folder, deps.store.write_audit)
    live = Live(deps)
    subjects = Subjects(deps, audit)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_keep_running(name, run)) for name, run in (("live", live.run), ("audit", audit.run))
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await audit.close()

    app = FastAPI(
        title="Zhida 直达",
        version="1",
        lifespan=lifespan,
        # The interactive pages load their scripts from elsewhere; the description itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    # For dashboards.serve, which ends the streams when the server stops.
    app.state.live = live
    problems.install(app)
    app.add_exception_handler(Exception, _unexpected)
    app.include_router(health_routes(deps, audit, live, subjects))
    app.include_router(subject_routes(subjects, deps))
    app.include_router(verdict_routes(deps, audit))
    app.include_router(quality_routes(deps, audit))
    app.include_router(page_routes(live))
    mount_files(app)
    # The last one added is the first to be asked.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=_MAX_BODY_BYTES)
    app.add_middleware(Guard, sessions=Sessions(deps.token, deps.clock), clock=deps.clock)
    return app


async def _keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Start *run* again when it fails: a page that stands still looks like a province that stands still."""
    while True:
        try:
            return await run()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in an engine's native code is not an Exception
            _log.error("a background task failed and is started again", task=name, error=type(error).__name__)
            await asyncio.sleep(1)


async def _unexpected(_: Request, error: Exception) -> Response:
    """Answered outside the guard, so it brings the headers along; the traceback goes to the server's log alone."""
    problem = problems.ApiError(500, "internal", "服务内部错误，已记录", "an error of the service; it has been logged")
    return problems.problem_response(problem, SECURITY_HEADERS)
