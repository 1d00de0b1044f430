"""Start, watch and stop the local stack of one data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from zhida.secret_files import create_secret
from zhida.settings import Settings
from zhida.stack.children import Child, Children, Plan, describe_exit, log_tail, marked, stop_processes
from zhida.stack.clickhouse_server import clickhouse_server
from zhida.stack.downloads import check_clients
from zhida.stack.engines import Engine, Prepared, Report, Setup
from zhida.stack.errors import (
    AlreadyRunning,
    MissingProgram,
    ServiceCrashed,
    StackError,
    StartInterrupted,
    StoppedElsewhere,
)
from zhida.stack.kafka import find_java, kafka
from zhida.stack.ports import Ports
from zhida.stack.redis_server import redis_server
from zhida.stack.tansu import tansu
from zhida.stack_state import ProcessId, Service, StackState, read_state, remove_state, write_state

#: How often an engine is given new ports when another program took one between choice and start.
_PORT_ATTEMPTS = 3
_IN_USE = ("address already in use", "address in use", "addrinuse", "bindexception")


def _engines(real: bool) -> tuple[Engine, ...]:
    return (kafka, redis_server, clickhouse_server) if real else (tansu, redis_server)


class RunningStack:
    """The stack that this process has started; a context manager that stops it."""

    def __init__(
        self, settings: Settings, state: StackState, children: Children, by_name: dict[str, Child], report: Report
    ) -> None:
        self.settings = settings
        self._state = state
        self._children = children
        self._by_name = by_name
        self._report = report
        self._attached = True

    def __enter__(self) -> RunningStack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def services(self) -> tuple[Service, ...]:
        """Every engine: name, pid, address, log."""
        return self._state.services

    @property
    def data_dir(self) -> Path:
        """The folder of this stack."""
        return self.settings.data_dir

    def check(self) -> None:
        """Raise ServiceCrashed, with the last lines of its log, when an engine has ended by itself.

        Raises StoppedElsewhere when another command has stopped the stack.
        """
        dead = [child for child in self._by_name.values() if child.exit_code is not None]
        if not dead:
            return
        state = read_state(self.data_dir)
        if state is None or state.stopping or state.started != self._state.started:
            raise StoppedElsewhere("the stack was stopped from elsewhere 本地引擎已被另一命令停止")
        raise ServiceCrashed("\n".join(_crash_report(child) for child in dead))

    def kill(self, name: str) -> None:
        """SIGKILL one engine; for fault tests. Raises KeyError for an unknown name."""
        self._by_name[name].kill()

    def restart(self, name: str) -> None:
        """Start one engine again at the same address, after stopping it if it runs; returns when it answers."""
        child = self._by_name[name]
        stop_processes([child.process])
        self._children.forget(child)
        again = self._children.start(child.plan)
        self._by_name[name] = again
        services = tuple(
            replace(service, process=again.process) if service.name == name else service for service in self.services
        )
        self._state = replace(self._state, services=services)
        write_state(self.data_dir, self._state)
        _wait(again, lambda: False)

    def stop(self) -> None:
        """Stop every engine and forget the stack; does nothing the second time or after :meth:`detach`."""
        if not self._attached:
            return
        self._attached = False
        state = read_state(self.data_dir)
        ours = state is not None and state.started == self._state.started
        if ours:
            write_state(self.data_dir, replace(self._state, stopping=True))
        _end(self._children, list(self._by_name.values()), self._report)
        if ours:
            remove_state(self.data_dir)

    def detach(self) -> None:
        """Leave the engines running when this process ends; ``zhida stack down`` stops them."""
        self._state = replace(self._state, owner=None)
        write_state(self.data_dir, self._state)
        self._children.release()
        self._attached = False


def start_stack(
    settings: Settings,
    *,
    real: bool = False,
    brokers: int = 1,
    report: Report | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> RunningStack:
    """Start broker, Redis and (with *real*) a ClickHouse server; returns when all of them answer.

    *report* is told what happens, a line at a time; *interrupted* is asked while waiting. Raises AlreadyRunning,
    MissingProgram, ServiceCrashed, StartInterrupted or StackError; then nothing is left running.
    """
    if brokers not in {1, 3}:
        raise StackError(f"--brokers must be 1 or 3, not {brokers}")
    if brokers == 3 and not real:
        raise StackError("--brokers 3 needs --real: the embedded broker is a single node")
    say = report or (lambda _: None)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock(settings.data_dir):
        _recover(settings.data_dir, say)
        if not real and settings.profile == "cluster":
            raise StackError("ZHIDA_PROFILE=cluster means engines by URL; use --real for a cluster on this machine")
        family = "real" if real else "embedded"
        if real:
            _check_programs(settings)
        setup = Setup(settings, settings.data_dir / family, Ports(), say, brokers)
        return _Start(setup, real, interrupted).run()


def find_stack(settings: Settings) -> StackState | None:
    """The stack of the data folder as far as it is written down, alive or not; None where there is none."""
    return read_state(settings.data_dir)


def stop_stack(settings: Settings, report: Report | None = None) -> bool:
    """Stop the stack of the data folder, whoever started it; False when none was running."""
    state = read_state(settings.data_dir)
    if state is not None:
        write_state(settings.data_dir, replace(state, stopping=True))
    running = _processes(settings.data_dir, state)
    for process in stop_processes(running):
        if report:
            report(f"pid {process.pid} did not end in time and was killed")
    remove_state(settings.data_dir)
    return bool(running)


@dataclass(slots=True)
class _Running:
    """One engine while the stack starts."""

    engine: Engine
    prepared: Prepared
    children: list[Child]


class _Start:
    """One attempt to start everything; undone as a whole when any part fails."""

    def __init__(self, setup: Setup, real: bool, interrupted: Callable[[], bool]) -> None:
        self._setup = setup
        self._data_dir = setup.settings.data_dir
        self._interrupted = interrupted
        self._children = Children(self._data_dir)
        self._running: list[_Running] = []
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._state = StackState(real=real, brokers=setup.brokers, started=now, owner=ProcessId.of(os.getpid()))

    def run(self) -> RunningStack:
        try:
            for engine in _engines(self._state.real):
                self._running.append(_Running(engine, engine(self._setup), []))
                self._spawn(self._running[-1])
            for index in range(len(self._running)):
                self._wait_for(index)
            return self._finish()
        except BaseException:
            _end(self._children, [child for running in self._running for child in running.children], self._setup.report)
            remove_state(self._data_dir)
            raise

    def _spawn(self, running: _Running) -> None:
        for plan in running.prepared.plans:
            running.children.append(self._children.start(plan))
            self._remember()

    def _wait_for(self, index: int) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            running = self._running[index]
            try:
                for child in running.children:
                    _wait(child, self._interrupted)
                    self._setup.report(f"{child.plan.name}: {child.plan.kind}, {child.plan.address}, pid {child.pid}")
                return
            except ServiceCrashed:
                if attempt == _PORT_ATTEMPTS - 1 or not any(_port_was_taken(child) for child in running.children):
                    raise
                self._setup.report(f"{running.children[0].plan.name}: another program took the port; choosing again")
                _end_only(self._children, running.children)
                self._running[index] = _Running(running.engine, running.engine(self._setup), [])
                self._spawn(self._running[index])

    def _remember(self) -> None:
        """Write down what runs so far, so that even a start that is killed leaves nothing unknown."""
        services = [_service(child) for running in self._running for child in running.children]
        write_state(self._data_dir, replace(self._state, services=tuple(services)))

    def _finish(self) -> RunningStack:
        settings = self._setup.settings
        values: dict[str, Any] = {"profile": "cluster" if self._state.real else "embedded"}
        for running in self._running:
            values |= running.prepared.settings
        if self._state.real:
            values |= _local_secrets(settings)
        for name in ("api_port", "registry_port"):
            if name not in settings.model_fields_set:
                values[name] = self._setup.ports.take(getattr(settings, name))
        children = [child for running in self._running for child in running.children]
        services = [_service(child) for child in children]
        if not self._state.real:
            chdb = settings.updated(values).clickhouse().path
            services.append(Service("chdb", "ClickHouse (chDB)", str(chdb), note="runs inside its users' processes"))
        self._state = replace(self._state, ready=True, services=tuple(services), settings=values)
        write_state(self._data_dir, self._state)
        by_name = {child.plan.name: child for child in children}
        return RunningStack(settings.updated(values), self._state, self._children, by_name, self._setup.report)


@contextlib.contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    """Held while a stack starts in this folder; the kernel gives it back when its holder dies."""
    with (data_dir / "stack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(f"another command is starting a stack in {data_dir} at this moment", ()) from None
        yield


def _recover(data_dir: Path, report: Report) -> None:
    """Refuse where a stack runs; clear away what a dead one has left."""
    state = read_state(data_dir)
    if state and state.ready and not state.stopping and state.alive():
        crashed = [service for service in state.services if not service.alive()]
        if crashed:
            names = "\n".join(f"{s.name} has crashed; last lines of {s.log}:\n{log_tail(s.log)}" for s in crashed)
            raise AlreadyRunning(f"{names}\nthe rest still runs; first: zhida stack down", state.services)
        lines = "\n".join(f"  {service.name}: {service.address}" for service in state.services)
        raise AlreadyRunning(f"a stack is already running in {data_dir}:\n{lines}", state.services)
    # Two engines on the same files would destroy them: nothing of an earlier life may be left.
    left = _processes(data_dir, state)
    if state or left:
        report(f"clearing up after an earlier stack in {data_dir} ({len(left)} processes left)")
    stop_processes(left)
    remove_state(data_dir)


def _processes(data_dir: Path, state: StackState | None) -> list[ProcessId]:
    """Everything of the stack that is alive: what is written down, and what carries its mark."""
    known = {service.process for service in state.services if service.process} if state else set()
    return [process for process in known | set(marked(data_dir)) if process.alive()]


def _local_secrets(settings: Settings) -> dict[str, str]:
    """The cluster profile demands keys of its user; on this machine they are made once, as in the embedded profile."""
    values: dict[str, str] = {}
    for name, file_name in (("pii_key", "pii.key"), ("api_token", "api.token")):
        if getattr(settings, f"{name}_text") is None and getattr(settings, f"{name}_file") is None:
            path = settings.data_dir / "secrets" / file_name
            create_secret(path)
            values[f"{name}_file"] = str(path)
    return values


def _wait(child: Child, interrupted: Callable[[], bool]) -> None:
    """Return when the child answers; raise when it ends, takes too long, or the caller wants to stop."""
    deadline = time.monotonic() + child.plan.start_seconds
    while True:
        if interrupted():
            raise StartInterrupted("stopped while starting; nothing is left running")
        if child.exit_code is not None:
            raise ServiceCrashed(_crash_report(child))
        if child.plan.ready():
            return
        if time.monotonic() > deadline:
            late = f"{child.plan.name} did not answer within {child.plan.start_seconds:.0f} s"
            raise StackError(f"{late}; last lines of {child.log}:\n{log_tail(child.log)}")
        time.sleep(0.05)


def _end(children: Children, running: list[Child], report: Report) -> None:
    for child in _end_only(children, running):
        report(f"{child.plan.name} did not end in time and was killed")
    children.release()


def _end_only(children: Children, running: list[Child]) -> list[Child]:
    """Stop these children; the ones that had to be killed come back."""
    killed = {process.pid for process in stop_processes(child.process for child in running)}
    for child in running:
        _ = child.exit_code  # takes the zombie off the process table
        children.forget(child)
    return [child for child in running if child.pid in killed]


def _service(child: Child) -> Service:
    plan: Plan = child.plan
    return Service(plan.name, plan.kind, plan.address, child.log, child.process, plan.note)


def _check_programs(settings: Settings) -> None:
    """Raise one MissingProgram that names everything to be installed, instead of one after the other."""
    missing: list[str] = []
    for check in (find_java, lambda: check_clients(settings.cache_folder)):
        try:
            check()
        except MissingProgram as error:
            missing.append(str(error))
    if missing:
        raise MissingProgram("\n".join(missing))


def _port_was_taken(child: Child) -> bool:
    """True when the child's log says so; a stack trace may have pushed it far from the end."""
    said = child.log.read_text(encoding="utf-8", errors="replace").lower()
    return child.exit_code is not None and any(words in said for words in _IN_USE)


def _crash_report(child: Child) -> str:
    name, how = child.plan.name, describe_exit(child.exit_code)
    return f"{name} (pid {child.pid}) {how}; last lines of {child.log}:\n{log_tail(child.log)}"
