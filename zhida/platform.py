"""The running platform of one data folder: engines, worker processes, and the supervisor that starts dead ones anew."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

import httpx
import redis

from schemas.catalog import Catalog
from schemas.registry.client import RegistryClient, RegistryClientError
from schemas.verdict import FEEDBACK_SUBJECT
from streams.eviction import evict
from zhida.groups import groups
from zhida.own_api import api_client
from zhida.preparation import create_topics, ensure_in_force, register_in_force
from zhida.roles import service_roles
from zhida.settings import Settings
from zhida.stack import RunningStack, start_stack
from zhida.stack.children import Child, Children, Plan, describe_exit, log_tail, stop_processes
from zhida.stack.errors import ServiceCrashed, StackError, StartInterrupted

_START_SECONDS = 60.0
#: A worker that lived shorter than this is started again only after a pause that doubles, up to the last.
_HEALTHY_SECONDS = 30.0
_RESTART_PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class _Supervised:
    """A worker process and how often it had to be started."""

    plan: Plan
    child: Child
    started: float
    failures: int = 0
    again_at: float | None = None


@dataclass(slots=True)
class Platform:
    """Made by :func:`start_platform`; a context manager that stops everything it started."""

    settings: Settings
    stack: RunningStack
    children: Children
    report: Callable[[str], None]
    workers: dict[str, _Supervised] = field(default_factory=dict)
    #: Seconds before the first, second, … new start of a worker that keeps dying young.
    restart_pauses: tuple[float, ...] = _RESTART_PAUSES

    def __enter__(self) -> Platform:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start_worker(self, name: str, roles: Iterable[str], ready: Callable[[], bool] = lambda: True) -> None:
        """Start one worker process; it is kept running until :meth:`stop_worker`."""
        plan = Plan(
            name=name,
            kind="worker",
            argv=[sys.executable, "-m", "zhida", "worker", "run", *roles],
            address="",
            ready=ready,
            start_seconds=_START_SECONDS,
            environment=self.settings.environment(),
        )
        self.workers[name] = _Supervised(plan, self.children.start(plan), time.monotonic())

    def start_services(self) -> None:
        """Start the process that holds the embedded ClickHouse, and return when it answers."""
        self.start_worker("services", service_roles(self.settings), lambda: _api_ready(self.settings))
        self.wait_ready("services")

    def stop_worker(self, *names: str) -> None:
        """Stop workers and forget them."""
        stopping = [self.workers.pop(name) for name in names if name in self.workers]
        stop_processes([worker.child.process for worker in stopping])
        for worker in stopping:
            self.children.forget(worker.child)

    def alive(self, name: str) -> bool:
        """True while the worker's process runs (it may not be ready yet)."""
        worker = self.workers[name]
        return worker.again_at is None and worker.child.exit_code is None

    def kill_worker(self, name: str) -> None:
        """SIGKILL one worker; :meth:`watch` starts it again. For fault tests."""
        self.workers[name].child.kill()

    def wait_ready(self, name: str, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Return when the worker answers; raises ServiceCrashed with the end of its log, or StackError."""
        worker = self.workers[name]
        deadline = time.monotonic() + worker.plan.start_seconds
        while True:
            if interrupted():
                raise StartInterrupted("stopped while starting; nothing is left running")
            # First of all: another program may answer at the address that this one could not get.
            if worker.child.exit_code is not None:
                raise ServiceCrashed(_crash_report(worker.child))
            if worker.plan.ready():
                return
            if time.monotonic() > deadline:
                raise StackError(
                    f"{name} did not answer within {worker.plan.start_seconds:.0f} s\n{_tail(worker.child)}"
                )
            time.sleep(0.05)

    def watch(self) -> None:
        """Start dead workers anew (call it often); raises ServiceCrashed when an engine has died."""
        self.stack.check()
        now = time.monotonic()
        for name, worker in self.workers.items():
            if worker.again_at is not None:
                if now >= worker.again_at:
                    worker.child = self.children.start(worker.plan)
                    worker.started, worker.again_at = now, None
                continue
            if worker.child.exit_code is None:
                continue
            self.children.forget(worker.child)
            self._evict(worker.child.pid)
            worker.failures = 0 if now - worker.started > _HEALTHY_SECONDS else worker.failures + 1
            pauses = self.restart_pauses
            pause = pauses[min(worker.failures, len(pauses)) - 1] if worker.failures else 0.0
            worker.again_at = now + pause
            self.report(
                f"{name} {describe_exit(worker.child.exit_code)}; starts again in {pause:.1f} s\n{_tail(worker.child)}"
            )

    def _evict(self, pid: int) -> None:
        """Tell the broker what it would otherwise notice only when the dead worker's session expires."""
        suffix = f"-{socket.gethostname()}-{pid}"
        coroutine = evict(self.settings.kafka(), groups(), suffix)
        threading.Thread(target=asyncio.run, args=(coroutine,), name="evict", daemon=True).start()

    def stop(self) -> None:
        """Stop govern first, then the services, then the engines."""
        self.stop_worker(*[name for name in self.workers if name.startswith("govern")])
        self.stop_worker(*self.workers)
        self.stack.stop()


def start_platform(
    settings: Settings,
    *,
    real: bool = False,
    brokers: int = 1,
    workers: int | None = None,
    units: Iterable[str] = (),
    report: Callable[[str], None] = lambda _: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Platform:
    """Start engines, topics, services and govern workers; returns when records can be reported.

    *units* are those whose feedback topics are made beforehand. Raises what ``start_stack`` raises.
    """
    stack = start_stack(settings, real=real, brokers=brokers, report=report, interrupted=interrupted)
    platform = Platform(stack.settings, stack, Children(stack.data_dir), report)
    try:
        _start_processes(platform, real, workers, units, interrupted)
    except BaseException:
        platform.stop()
        raise
    return platform


def _start_processes(
    platform: Platform, real: bool, workers: int | None, units: Iterable[str], interrupted: Callable[[], bool]
) -> None:
    settings = platform.settings
    if not real:
        _forget_stores(settings, platform.report)
    in_force = ensure_in_force(settings, platform.report)
    create_topics(settings, units, in_force.release.catalog)
    if settings.registry_url:
        # Nobody else registers anything there; and to start means that it answers and lets us in.
        register_in_force(settings, in_force, platform.report)
    if real:
        for role in service_roles(settings):
            platform.start_worker(role, [role], _readiness(role, settings, in_force.release.catalog))
            if role == "registry":
                platform.wait_ready(role, interrupted)
    else:
        # The embedded ClickHouse allows one process a folder: whatever touches it shares one.
        platform.start_worker("services", service_roles(settings), lambda: _api_ready(settings))
    platform.wait_ready("api" if real else "services", interrupted)
    for number in range(1, (workers or settings.govern_workers) + 1):
        platform.start_worker(f"govern-{number}", ["govern"])
    platform.report(f"workers: {', '.join(platform.workers)}")


def _forget_stores(settings: Settings, report: Callable[[str], None]) -> None:
    """Empty the local store and cache: the embedded broker has forgotten its records and counts offsets from 0 again.

    Rows of its former life would be taken for the same messages.
    """
    path = settings.clickhouse().path
    if path is not None and path.exists():
        shutil.rmtree(path)
    connection = settings.redis()
    with redis.Redis.from_url(connection.url, **connection.options()) as client:
        client.flushdb()
    report("嵌入方式不保留数据，要保留请用 --real。The embedded profile keeps nothing between runs; --real does.")


def _readiness(role: str, settings: Settings, catalog: Catalog) -> Callable[[], bool]:
    if role == "registry":
        wanted = {dataset.subject_name for dataset in catalog} | {FEEDBACK_SUBJECT}
        return lambda: _registry_ready(settings, wanted)
    if role == "api":
        return lambda: _api_ready(settings)
    return lambda: True


def _registry_ready(settings: Settings, wanted: set[str]) -> bool:
    try:
        with RegistryClient(settings.registry(), attempts=1) as registry:
            return wanted <= set(registry.subjects())
    except RegistryClientError:
        return False


def _api_ready(settings: Settings) -> bool:
    try:
        with api_client(settings, timeout=2.0) as client:
            return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


def _tail(child: Child) -> str:
    return f"last lines of {child.log}:\n{log_tail(child.log, 8)}"


def _crash_report(child: Child) -> str:
    return f"{child.plan.name} {describe_exit(child.exit_code)}; {_tail(child)}"
