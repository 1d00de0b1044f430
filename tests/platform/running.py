"""What the end-to-end tests share: a platform with a small sample, reported in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from zhida.demo import Prepared, prepare, report_sample
from zhida.platform import Platform, start_platform
from zhida.settings import Settings
from zhida.stack.testing import chosen_stack, free_port


def small_sample(settings: Settings, records: int, seed: int) -> Prepared:
    """A sample whose today is the platform's."""
    today = (datetime.now(UTC) + timedelta(hours=8)).date()
    return prepare(settings, records, seed, today, lambda _: None)


def platform_for(folder: Path, prepared: Prepared, *, workers: int = 1, **more: Any) -> Platform:
    """The chosen stack (ZHIDA_TEST_STACK) with everything running on it; *more* are settings."""
    settings = Settings.load(data_dir=folder, registry_port=free_port(), api_port=free_port(), partitions=2, **more)
    real = chosen_stack() == "real"
    return start_platform(settings, real=real, workers=workers, units=prepared.units, report=print)


class Reporting:
    """Reports a sample at an even rate on a thread of its own."""

    def __init__(self, settings: Settings, prepared: Prepared, rate: float) -> None:
        self._result: list[pl.DataFrame | BaseException] = []
        self.confirmed = 0
        self._thread = threading.Thread(target=self._run, args=(settings, prepared, rate), daemon=True)
        self._thread.start()

    def _run(self, settings: Settings, prepared: Prepared, rate: float) -> None:
        try:
            self._result.append(report_sample(settings, prepared.messages, rate, self._progress))
        except BaseException as error:
            self._result.append(error)

    def _progress(self, sent: int, delivered: int) -> None:
        self.confirmed = delivered

    @property
    def running(self) -> bool:
        """True until the last message is confirmed."""
        return self._thread.is_alive()

    def placements(self) -> pl.DataFrame:
        """Where every message went, once all are confirmed."""
        self._thread.join()
        result = self._result[0]
        if isinstance(result, BaseException):
            raise result
        return result


def until(condition: Callable[[], bool], seconds: float, what: str, tick: Callable[[], None] = lambda: None) -> None:
    """Wait until *condition* holds; fail with *what* after *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        tick()
        time.sleep(0.05)
