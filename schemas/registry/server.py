"""The registry as one part of a process: log, state, operations and HTTP, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn

from schemas.connection import KafkaConnection
from schemas.registry.http import RegistryApp
from schemas.registry.levels import Settings
from schemas.registry.log import SchemaLog
from schemas.registry.routers import all_routes
from schemas.registry.security import Gate, RegistryAuth
from schemas.registry.service import Registry
from schemas.registry.state import RegistryState

DEFAULT_TOPIC = "_schemas"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RegistryTls:
    """The server's certificate; with ``client_ca_file`` clients must show one of their own, signed by it."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its own handling of signals, which belongs to the process that the registry is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class RegistryServer:
    """One instance; any number of them may serve the same log. Made by :func:`create_registry`."""

    def __init__(self, log: SchemaLog, app: RegistryApp, host: str, port: int, tls: RegistryTls | None) -> None:
        self._log = log
        self._app = app
        self._host = host
        self._port = port
        self._tls = tls
        self._uvicorn: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, once started; with a port of 0 the one that the system chose."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def leading(self) -> bool:
        """True while this instance holds the right to write."""
        return self._log.leading

    async def start(self) -> None:
        """Read the log to its end, then listen; returns when requests are answered.

        Raises OSError when the port is taken, RegistryError when the log cannot be opened.
        """
        listener = socket.create_server(
            (self._host, self._port),
            family=socket.AF_INET6 if ":" in self._host else socket.AF_INET,
            backlog=1024,
        )
        # Handed down to every connection. asyncio does so only for sockets that it made itself; without it head and
        # body of an answer meet Nagle's algorithm and the client's delayed acknowledgement: 44 ms a request.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._log.start()
        except BaseException:
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            date_header=False,
            ws="none",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=5,
            ssl_certfile=str(self._tls.cert_file) if self._tls else None,
            ssl_keyfile=str(self._tls.key_file) if self._tls else None,
            ssl_ca_certs=str(self._tls.client_ca_file) if self._tls and self._tls.client_ca_file else None,
            ssl_cert_reqs=2 if self._tls and self._tls.client_ca_file else 0,
        )
        self._uvicorn = _Uvicorn(config)
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name="registry")
        while not self._uvicorn.started:
            if self._serving.done():
                await self._serving
                raise OSError(f"the registry does not listen on {self.url}")
            await asyncio.sleep(0.01)
        _log.info("registry_serves", url=self.url)

    async def serve(self) -> None:
        """Start unless started, and return when stopped; when this is cancelled, :meth:`stop` is still to be called."""
        if self._serving is None:
            await self.start()
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """Answer what is under way, then leave; no harm if not started."""
        if self._uvicorn is not None and self._serving is not None:
            self._uvicorn.should_exit = True
            await self._serving
        await self._log.stop()


def create_registry(
    kafka: KafkaConnection,
    *,
    host: str = "127.0.0.1",
    port: int = 8081,
    auth: RegistryAuth | None = None,
    tls: RegistryTls | None = None,
    topic: str = DEFAULT_TOPIC,
    allow_anonymous: bool = False,
    timeout: float = 15.0,
) -> RegistryServer:
    """A registry on *topic* of *kafka*, not yet started; a write is given up after *timeout* seconds.

    Without *auth* it lets everyone in, and therefore listens on loopback addresses only, unless *allow_anonymous* says
    that something in front of it decides who may come (ValueError otherwise).
    """
    if auth is None and not allow_anonymous and not _is_loopback(host):
        raise ValueError(f"a registry on {host} needs credentials: anyone in the network could change schemas")
    state = RegistryState()

    log = SchemaLog(kafka, topic, state, timeout=timeout)
    registry = Registry(state, log, Settings(state, log))
    app = RegistryApp(state, all_routes(registry), Gate(auth) if auth is not None else None)
    return RegistryServer(log, app, host, port, tls)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
