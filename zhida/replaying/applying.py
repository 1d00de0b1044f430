"""The differences of a replay judged again for good: put on the due lists, from where govern's workers take them.

The workers read the messages again, judge them by what is in force, and send new verdicts and feedback under the same
source coordinates. What they say is read back from the topics and counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from schemas.catalog import Dataset
from schemas.connection import KafkaConnection
from schemas.verdict import feedback_id
from zhida.replaying.compare import VERDICTS
from zhida.replaying.history import History, Place, Stretch
from zhida.replaying.live import Live
from zhida.replaying.report import Report

_AT_ONCE = 10_000
_LOOK_SECONDS = 0.2
_SAMPLES = 5


class Due(Protocol):
    """The due lists; blocking."""

    def add(self, topic: str, partition: int, offsets: Collection[int]) -> None:
        """These have to be judged again."""
        ...

    def size(self) -> int:
        """How many have to be judged again, whoever put them there."""
        ...


@dataclass(slots=True)
class Applied:
    """What became of it. ``expected`` have the verdict that the replay foretold, ``otherwise`` another one; ``kept``
    have no new one: a newer version has replaced the record, or the message is no longer there.
    """

    due: int = 0
    expected: int = 0
    otherwise: int = 0
    kept: int = 0
    #: Still on the lists when time was up; others' records count too.
    left: int = 0
    #: (foretold, now) -> records, of those that came out otherwise.
    differing: Counter[tuple[str, str]] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when everything was judged again and came out as foretold."""
        return not self.left and not self.otherwise

    def as_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "due": self.due,
            "expected": self.expected,
            "otherwise": self.otherwise,
            "kept": self.kept,
            "left": self.left,
            "differing": [
                {"expected": expected, "now": now, "records": count}
                for (expected, now), count in sorted(self.differing.items())
            ],
            "samples": self.samples,
        }


def apply(
    kafka: KafkaConnection,
    datasets: Sequence[Dataset],
    due: Due,
    report: Report,
    *,
    patience: float,
    done: Callable[[int], None] = lambda _: None,
) -> Applied:
    """Have the differences in *report* judged again and look at the new verdicts, after *patience* seconds at most.

    *datasets* are those of the report; *done* is told how many are done so far. Raises StateError, UnreachableError.
    """
    applied = Applied(due=report.changed)
    with History(kafka) as history:
        live = Live(history, datasets, lambda _: None)
        marks = live.marks()
        for place, (offsets, _) in report.tally.places.items():
            for start in range(0, len(offsets), _AT_ONCE):
                due.add(*place, offsets[start : start + _AT_ONCE].tolist())
        applied.left = _wait(due, report.changed, patience, done)
        live.plan_from(marks)
        live.read_others()
        stretches = {
            place: Stretch(min(found[0]), max(found[0]) + 1, 0) for place, found in report.tally.places.items()
        }
        for place, verdicts in live.of(stretches).items():
            offsets, foretold = report.tally.places[place]
            codes = verdicts.codes(np.asarray(offsets, dtype=np.int64)).tolist()
            _count(applied, place, offsets, foretold, codes)
    return applied


def _wait(due: Due, total: int, patience: float, done: Callable[[int], None]) -> int:
    """Return when the lists are empty; how many are left on them when time is up."""
    deadline = time.monotonic() + patience
    while (left := due.size()) and time.monotonic() < deadline:
        done(max(0, total - left))
        time.sleep(_LOOK_SECONDS)
    done(max(0, total - left))
    return left


def _count(
    applied: Applied, place: Place, offsets: Sequence[int], foretold: Sequence[int], codes: Sequence[int]
) -> None:
    for offset, expected, now in zip(offsets, foretold, codes, strict=True):
        if not now:
            applied.kept += 1
        elif now == expected:
            applied.expected += 1
        else:
            applied.otherwise += 1
            applied.differing[VERDICTS[expected], VERDICTS[now]] += 1
            if len(applied.samples) < _SAMPLES:
                applied.samples.append(feedback_id(*place, offset))
