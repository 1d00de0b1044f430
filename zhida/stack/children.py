"""Child processes that never outlive their purpose: started with a log, watched, stopped with their groups.

Each child leads a session of its own, so Ctrl-C in the terminal reaches only the parent, which then stops its children
in order. A reaper process ends them when the parent dies without doing so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from zhida.stack_state import ProcessId

_REAPER = Path(__file__).with_name("reaper.py")
#: Every child, and whatever it starts, has the data folder in this variable of its environment.
MARK = "ZHIDA_STACK"
#: How long a child may take to end after SIGTERM before it is killed.
STOP_SECONDS = 15.0
_LOGS_KEPT = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start one child. ``ready`` returns True once it answers; ``start_seconds`` is how long that may take."""

    name: str
    kind: str
    argv: Sequence[str]
    address: str
    ready: Callable[[], bool] = field(repr=False)
    start_seconds: float = 60.0
    note: str = ""
    environment: dict[str, str] = field(default_factory=dict, repr=False)


class Child:
    """A running child: its process, its log and how it ended."""

    def __init__(self, plan: Plan, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.plan = plan
        self.log = log
        self.process = ProcessId.of(popen.pid)
        self._popen = popen

    @property
    def pid(self) -> int:
        """The process number."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._popen.poll()

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait for the end."""
        _signal_group(self.pid, signal.SIGKILL)
        self._popen.wait()


class Children:
    """Starts the children of the stack in *data_dir* (logs in ``<data_dir>/logs``) and keeps the reaper informed."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._logs = data_dir / "logs"
        self._reaper: subprocess.Popen[bytes] | None = None

    def start(self, plan: Plan) -> Child:
        """Start one child; its output goes to ``<logs>/<name>.log``, the logs before it to ``.log.1`` and on."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{plan.name}.log"
        _rotate(log)
        # Our own settings hold secrets and are no business of the engines.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ZHIDA_")} | plan.environment
        environment[MARK] = str(self._data_dir)
        self._start_reaper()
        with log.open("wb") as output:
            popen = subprocess.Popen(
                plan.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self._tell(f"watch {popen.pid}")
        try:
            return Child(plan, popen, log)
        except psutil.NoSuchProcess:  # pragma: no cover - a child stays a zombie until polled
            raise RuntimeError(f"{plan.name} vanished") from None

    def forget(self, child: Child) -> None:
        """The child has ended: its pid may be used again by others."""
        self._tell(f"forget {child.pid}")

    def release(self) -> None:
        """End the reaper without ending the children."""
        if self._reaper is None:
            return
        self._tell("release")
        if self._reaper.stdin:
            with contextlib.suppress(OSError):
                self._reaper.stdin.close()
        self._reaper.wait()
        self._reaper = None

    def _start_reaper(self) -> None:
        if self._reaper is None:
            command = [sys.executable, "-I", "-S", str(_REAPER), str(os.getpid())]
            self._reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def _tell(self, line: str) -> None:
        if self._reaper and self._reaper.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._reaper.stdin.write(line.encode() + b"\n")
                self._reaper.stdin.flush()


def _rotate(log: Path) -> None:
    """Keep the logs of the last runs: what a crashed child said is worth most."""
    for age in range(_LOGS_KEPT, 0, -1):
        older = log.with_suffix(f".log.{age - 1}") if age > 1 else log
        if older.exists():
            older.replace(log.with_suffix(f".log.{age}"))


def stop_processes(processes: Iterable[ProcessId], timeout: float = STOP_SECONDS) -> list[ProcessId]:
    """SIGTERM to every group at once, SIGKILL to what is left after *timeout* seconds; the killed ones come back."""
    waiting = [process for process in processes if process.alive()]
    for process in waiting:
        _signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        waiting = [process for process in waiting if process.alive()]
        if not waiting:
            return []
        time.sleep(0.02)
    for process in waiting:
        _signal_group(process.pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while any(process.alive() for process in waiting) and time.monotonic() < end:
        time.sleep(0.02)
    return waiting


def marked(data_dir: Path) -> list[ProcessId]:
    """Every living process of this user that was started as part of the stack in *data_dir*."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(data_dir):
                found.append(ProcessId(process.pid, process.create_time()))
    return [process for process in found if process.alive()]


def log_tail(log: Path | None, lines: int = 15) -> str:
    """The last lines of a log, each at most 300 characters, as an indented block."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"  ({log}: {error.strerror})"
    # Frames of a Java stack trace say nothing to who reads this; the exception's own line does.
    last = [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")][-lines:]
    return "\n".join(f"  | {line[:300]}" for line in last) or "  (empty log)"


def describe_exit(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "is gone"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _signal_group(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # A child of a child is in its parent's group; only a leader's pid names a group.
        if os.getpgid(pid) == pid:
            os.killpg(pid, what)
        else:
            os.kill(pid, what)
