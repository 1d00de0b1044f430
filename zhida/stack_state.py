"""What a running local stack writes down: ``<data_dir>/stack.json``.

The file names every process (pid and start time, so that a pid used again by another program is never taken for ours),
the addresses, and the settings that follow from them. It holds passwords, so only its owner may read it.
Standard library and psutil only: settings read this file before anything else is loaded.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

STATE_FILE = "stack.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The identity of the process *pid*; raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """True while this very process runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            # Same clock, same kernel value: only rounding can differ.
            return abs(process.create_time() - self.started) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@dataclass(frozen=True, slots=True)
class Service:
    """One engine of the stack. ``process`` is None for an engine that runs inside its users' processes."""

    name: str
    kind: str
    address: str
    log: Path | None = None
    process: ProcessId | None = None
    note: str = ""

    @property
    def pid(self) -> int | None:
        """The process number, or None for an in-process engine."""
        return self.process.pid if self.process else None

    def alive(self) -> bool:
        """True while the process runs; an in-process engine is always there."""
        return self.process is None or self.process.alive()


@dataclass(frozen=True, slots=True)
class StackState:
    """Everything known about the stack of one folder.

    ``ready`` turns true when every engine has answered, ``stopping`` when somebody ends the stack. ``owner`` is the
    process that stops the stack when it ends, None for a detached stack. ``settings`` are values for
    :class:`zhida.settings.Settings`.
    """

    real: bool
    brokers: int
    started: str
    ready: bool = False
    stopping: bool = False
    owner: ProcessId | None = None
    services: tuple[Service, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict, repr=False)

    def alive(self) -> bool:
        """True while any process of the stack runs."""
        return any(service.process and service.process.alive() for service in self.services)

    def crashed(self) -> list[Service]:
        """Services whose process has gone."""
        return [service for service in self.services if not service.alive()]

    def adding(self, service: Service) -> StackState:
        """A copy with one more service."""
        return replace(self, services=(*self.services, service))


def state_path(data_dir: Path) -> Path:
    """Where the state of the stack in *data_dir* is kept."""
    return data_dir / STATE_FILE


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace the state file in one step, readable by its owner only."""
    path = state_path(data_dir)
    temporary = path.with_name(f".{STATE_FILE}.{os.getpid()}")
    text = json.dumps({"version": _VERSION, **asdict(state)}, default=str, indent=2, ensure_ascii=False)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    temporary.replace(path)


def read_state(data_dir: Path) -> StackState | None:
    """The state of the stack in *data_dir*, or None where there is none or it cannot be understood."""
    try:
        raw = json.loads(state_path(data_dir).read_text(encoding="utf-8"))
        if raw.pop("version") != _VERSION:
            return None
        services = tuple(_service(entry) for entry in raw.pop("services"))
        return StackState(**{**raw, "owner": _process(raw["owner"]), "services": services})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remove_state(data_dir: Path) -> None:
    """Forget the stack of *data_dir*."""
    state_path(data_dir).unlink(missing_ok=True)


def _process(raw: dict[str, Any] | None) -> ProcessId | None:
    return ProcessId(int(raw["pid"]), float(raw["started"])) if raw else None


def _service(raw: dict[str, Any]) -> Service:
    log = Path(raw["log"]) if raw["log"] else None
    return Service(**{**raw, "log": log, "process": _process(raw["process"])})
