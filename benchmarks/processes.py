"""Worker processes of the benchmark: started with a log of their own, ended with the harness whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from benchmarks.measure import BenchError, CpuMeter
from zhida.settings import Settings
from zhida.stack.children import Child, Children, Plan, describe_exit, log_tail, stop_processes


class Workers:
    """A context manager over one or several processes of one run."""

    def __init__(self, settings: Settings, children: Children) -> None:
        self._settings = settings
        self._children = children
        self._running: list[Child] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, arguments: Sequence[str], settings: Settings | None = None) -> None:
        """Start ``python -m <arguments>`` with *settings* (default: those of the run)."""
        plan = Plan(
            name=f"bench-{name}",
            kind="worker",
            argv=[sys.executable, "-m", *arguments],
            address="",
            ready=lambda: True,
            environment=(settings or self._settings).environment(),
        )
        self._running.append(self._children.start(plan))

    @property
    def pids(self) -> list[int]:
        """Of all processes."""
        return [child.pid for child in self._running]

    def meter(self) -> CpuMeter:
        """A meter over all processes."""
        return CpuMeter(self.pids)

    def check(self) -> None:
        """Raise BenchError, with the end of its log, when a process has ended."""
        for child in self._running:
            if child.exit_code is not None:
                raise BenchError(f"{child.plan.name} {describe_exit(child.exit_code)}\n{log_tail(child.log, 25)}")

    def stop(self) -> None:
        """End all of them."""
        stop_processes([child.process for child in self._running])
        for child in self._running:
            child.exit_code  # noqa: B018 - reaps the process
            self._children.forget(child)
        self._running.clear()
