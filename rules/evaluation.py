"""Some of the rules of a dataset, compiled both ways: which of them a record breaks, or the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl

from rules.checks.base import JudgeContext
from rules.columns import BrokenRule, ColumnRules
from rules.lifecycle import days
from rules.model import Rule
from rules.rows import RowFunction, compile_rows
from schemas.catalog import Dataset


class Evaluation:
    """*rules* of *dataset*; numbers of rules are places in *rules*. Use an instance from one thread at a time."""

    def __init__(self, dataset: Dataset, rules: tuple[Rule, ...]) -> None:
        self.dataset = dataset
        self.rules = rules
        self._row: RowFunction = compile_rows(dataset, rules)
        self._nulls: dict[str, Any] = {field.name: None for field in dataset.fields}
        self._nulls |= {asked.name: None for rule in rules if (asked := rule.asks) is not None}
        self._columns: tuple[JudgeContext, ColumnRules] | None = None
        self._timed = {number for number, rule in enumerate(rules) if rule.effective is not None}

    def row(self, record: Mapping[str, Any], context: JudgeContext) -> list[int]:
        """The numbers of the rules that *record* breaks, in order; fields that it does not have count as null."""
        try:
            broken = self._row(record, context)
        except KeyError:
            broken = self._row({**self._nulls, **record}, context)
        if not broken or self._timed.isdisjoint(broken):
            return broken or []
        event = record.get(self.dataset.event_date)
        # Not isinstance: a moment is a date to Python, and no day here.
        day = days(event) if type(event) is date else None
        return [number for number in broken if self._holds(number, day, context)]

    def columns(self, frame: pl.DataFrame, context: JudgeContext) -> Iterator[BrokenRule]:
        """What the rows of *frame* break, rule by rule in order."""
        for broken in self._compiled(context).broken(frame):
            if broken.number not in self._timed:
                yield broken
            elif (within := self._within(broken, frame, context)).rows:
                yield within

    def _within(self, broken: BrokenRule, frame: pl.DataFrame, context: JudgeContext) -> BrokenRule:
        """The rows on which the rule bites."""
        events = frame.get_column(self.dataset.event_date)[broken.rows]
        known = events.to_physical().to_list() if events.dtype == pl.Date() else [None] * len(broken.rows)
        kept = [at for at, event in enumerate(known) if self._holds(broken.number, event, context)]
        return replace(broken, rows=[broken.rows[at] for at in kept], values=[broken.values[at] for at in kept])

    def _holds(self, number: int, event: int | None, context: JudgeContext) -> bool:
        period = self.rules[number].effective
        return period is None or period.holds(event, context.today)

    def _compiled(self, context: JudgeContext) -> ColumnRules:
        """Expressions hold the day and the units, so they are compiled again when one of these changes."""
        if self._columns is None or self._columns[0] != context:
            self._columns = (context, ColumnRules(self.dataset, self.rules, context))
        return self._columns[1]
