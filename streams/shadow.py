"""What shadow rules would have done, counted by a worker since it took its rule set on.

Counted when a batch is acknowledged: a batch that is judged again after a crash may count twice, none is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.verdict import feedback_id
from streams.governing import Message, Outcome

#: Records that are named for each rule, the first ones.
_SAMPLES = 5


@dataclass(slots=True)
class _Count:
    severity: str
    broken: int = 0
    samples: list[str] = field(default_factory=list)


class ShadowTally:
    """Counts of one worker. Not for several threads at once."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """*clock* gives milliseconds since the epoch."""
        self._clock = clock
        self._begin("")

    def add(self, outcome: Outcome, messages: Sequence[Message]) -> None:
        """Count a batch that was judged with shadow rules; another rule set than before begins at nothing."""
        if outcome.rule_set != self._rule_set:
            self._begin(outcome.rule_set)
        code = outcome.dataset.code
        self._judged[code] = self._judged.get(code, 0) + len(messages)
        for found in outcome.shadow or ():
            count = self._counts.setdefault(found.rule, _Count(found.severity))
            count.broken += found.count
            for row in found.rows[: _SAMPLES - len(count.samples)]:
                count.samples.append(feedback_id(outcome.topic, outcome.partition, messages[row].offset))

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON: nothing before the first batch.

        ``judged`` records by dataset, ``counts`` by rule, each with the records that broke it first, named as their
        feedback would be.
        """
        if not self._judged:
            return {}
        counts = {
            rule: {"severity": count.severity, "broken": count.broken, "samples": list(count.samples)}
            for rule, count in sorted(self._counts.items())
        }
        return {"rule_set": self._rule_set, "since": self._since, "judged": dict(self._judged), "counts": counts}

    def _begin(self, rule_set: str) -> None:
        self._rule_set = rule_set
        self._since = self._clock()
        self._judged: dict[str, int] = {}
        self._counts: dict[str, _Count] = {}
