"""Ctrl-C and friends as a question, so that nothing is interrupted half-way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Inside the block SIGINT, SIGTERM and SIGHUP only turn the answer of the yielded question to True.

    An exception raised by a handler could hit between the start of a child and the note of its pid. Main thread only.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
