"""Examples of rules that ask about other records: what was there before (``given``), and what the state answers then.

Each example has a state of its own (``rules.state.memory``), which is told what is given and then asked about the
example, in texts made of single records or of columns: both have to come to the same.

``given`` is a list of records of the dataset that the rule asks about, accepted in that order; for a distribution a
list of ``{number: 5, times: 1000, days_ago: 90}``, which were counted on that day before (by default one, yesterday).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from rules.checks.base import StatefulCheck
from rules.records import GIVEN, record_of
from rules.ruleset import Found
from rules.state.definitions import Distribution, StatePlan, Texts
from rules.state.memory import MemoryState
from rules.state.texts import TextMaker, buckets
from schemas.catalog import Dataset

_UNIT = "examples"
_NUMBER_KEYS = {"number", "times", "days_ago"}


@dataclass(frozen=True, slots=True)
class Numbers:
    """So many times the same number, counted some days ago."""

    number: Any
    times: int = 1
    days_ago: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """An example: the whole record, and what was there before it."""

    record: dict[str, Any]
    records: tuple[dict[str, Any], ...] = ()
    numbers: tuple[Numbers, ...] = ()


def case_of(example: Mapping[str, Any], check: StatefulCheck, dataset: Dataset) -> Case:
    """The example of a rule of *dataset* with what it gives; raises ValueError.

    Records without ids and versions of their own are told apart: each is another record, and newer than those before.
    """
    given = example.get(GIVEN, [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ValueError("given is a list of records")
    record = _identified(record_of(example, dataset), "0", len(given) + 1)
    if isinstance(check.asks(), Distribution):
        return Case(record, numbers=tuple(_numbers_of(one, check) for one in given))
    made = []
    for place, one in enumerate(given, start=1):
        if one.get("dataset", check.about.code) != check.about.code:
            raise ValueError(f"given: the rule asks about {check.about.code}, not about {one['dataset']}")
        written = {name: value for name, value in one.items() if name != "dataset"}
        made.append(_identified(record_of(written, check.about), str(place), place))
    return Case(record, tuple(made))


def _identified(record: dict[str, Any], record_id: str, version: int) -> dict[str, Any]:
    default = {"unit": _UNIT, "record_id": record_id, "version": version}
    return record | {name: value for name, value in default.items() if record[name] is None}


def _numbers_of(written: Mapping[str, Any], check: StatefulCheck) -> Numbers:
    if "number" not in written or not written.keys() <= _NUMBER_KEYS:
        raise ValueError("given: write {number: 5, times: 1000, days_ago: 1}")
    asked = check.asks()
    assert isinstance(asked, Distribution)
    number = record_of({asked.field: written["number"]}, check.about)[asked.field]
    return Numbers(number, int(written.get("times", 1)), int(written.get("days_ago", 1)))


class Answers:
    """What the state says to the question of one rule's examples."""

    def __init__(self, dataset: Dataset, check: StatefulCheck, today: date) -> None:
        self._today = today
        self._dataset, self._about = dataset, check.about
        asked = check.asks()
        if isinstance(asked, Distribution):
            self._asked = StatePlan(dataset, distributions=(asked,))
            self._told = self._asked
        else:
            own = (asked.index,) if asked.index.dataset == dataset.code else ()
            self._asked = StatePlan(dataset, own, (asked,), waiting=frozenset({asked}))
            self._told = StatePlan(check.about, (asked.index,))

    def by_row(self, case: Case) -> Found | None:
        """The answer to one example; None when nothing is found."""
        if self._asked.distributions:
            (distribution,) = self._asked.distributions
            given = [None if one.number is None else float(one.number) for one in case.numbers]
            number = case.record[distribution.field]
            return self._beyond(distribution, case, given, None if number is None else float(number))
        told = TextMaker(self._told).rows(case.records, range(len(case.records)), self._today)
        asked = TextMaker(self._asked).rows([case.record], [len(case.records)], self._today)
        return self._found(told, asked)

    def by_column(self, cases: Sequence[Case]) -> list[Found | None]:
        """The answers to all examples, each with a state of its own."""
        own = pl.DataFrame([case.record for case in cases], schema=self._dataset.polars_schema)
        if self._asked.distributions:
            (distribution,) = self._asked.distributions
            numbers = own.get_column(distribution.field).cast(pl.Float64).to_list()
            return [
                self._beyond(distribution, case, self._given_column(distribution, case), number)
                for case, number in zip(cases, numbers, strict=True)
            ]
        records = [record for case in cases for record in case.records]
        told = TextMaker(self._told).columns(
            pl.DataFrame(records, schema=self._about.polars_schema), range(len(records)), self._today
        )
        asked = TextMaker(self._asked).columns(own, [len(records)] * len(cases), self._today)
        found, first = [], 0
        for place, case in enumerate(cases):
            last = first + len(case.records)
            found.append(self._found(told[first:last], asked[place : place + 1]))
            first = last
        return found

    def _given_column(self, distribution: Distribution, case: Case) -> list[float | None]:
        numbers = [one.number for one in case.numbers]
        frame = pl.DataFrame({distribution.field: numbers}, schema_overrides=self._about.polars_schema, strict=False)
        return frame.get_column(distribution.field).cast(pl.Float64).to_list()

    def _beyond(
        self, distribution: Distribution, case: Case, given: Sequence[float | None], number: float | None
    ) -> Found | None:
        state = MemoryState()
        for one, value in zip(case.numbers, given, strict=True):
            if value is not None:
                day = self._today - timedelta(days=one.days_ago)
                places = buckets(np.array([value], np.float64))
                state.count(distribution, day, {place: count * one.times for place, count in places.items()})
        limit = state.limits([distribution], self._today).get(distribution)
        return (f"{limit:.6g}",) if limit is not None and number is not None and number > limit else None

    def _found(self, told: Texts, asked: Texts) -> Found | None:
        state = MemoryState()
        state.ask(self._told, self._about.report_topic, 0, told)
        replies = state.ask(self._asked, self._dataset.report_topic, 0, asked)
        return replies.found.get(0, {}).get(0)
