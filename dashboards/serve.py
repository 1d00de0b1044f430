"""Serving the application: a uvicorn server that ends its event streams when it is told to stop."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

__all__ = ["make_server"]


class _Server(uvicorn.Server):
    """An event stream never ends by itself, and uvicorn waits for what is open; so the streams are ended first."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then what uvicorn does."""
        self._app.state.live.stop()
        await super().shutdown(sockets)


def make_server(app: FastAPI, *, host: str, port: int) -> uvicorn.Server:
    """A server for an application of :func:`dashboards.app.create_app`; run it with ``run()`` or ``await serve()``.

    It keeps no access log: addresses hold subjects and, once for each browser, the token.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        lifespan="on",
    )
    return _Server(config, app)
