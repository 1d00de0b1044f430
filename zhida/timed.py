"""Which datasets have a rule about their reporting deadline: only there can timeliness be measured."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sinks.indicators import DEADLINE_KIND
from zhida.in_force import InForce


class TimedDatasets:
    """Codes of the datasets with an active rule of kind ``workday_deadline`` in force. For several threads.

    The rules are read when somebody asks, once a rule set: most services never need to, and it takes about a second.
    """

    def __init__(self, in_force: Callable[[], InForce]) -> None:
        self._in_force = in_force
        self._lock = threading.Lock()
        self._numbers: tuple[int, int] | None = None
        self._codes: frozenset[str] = frozenset()

    def __call__(self) -> frozenset[str]:
        """The codes."""
        from rules.ruleset import RuleSet

        with self._lock:
            found = self._in_force()
            if found.numbers != self._numbers:
                rules = RuleSet.from_document(found.rules, found.release.catalog)
                self._codes = frozenset(
                    one.dataset.code for one in rules if any(rule.kind == DEADLINE_KIND for rule in one.active)
                )
                self._numbers = found.numbers
            return self._codes
