"""Rules over a batch of columns: every screen over all rows first, then the rules' own tests on the rows they picked.

Screens are cheap and mostly pick nothing. Those that are expressions are computed by one ``select``, each distinct
condition once; those on strings by one look at the column's lengths or first bytes. Python sees only picked rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl

from rules.checks.base import JudgeContext, Screen
from rules.model import Rule
from rules.rows import RuleFunction, compile_rule
from rules.strings import Mask, StringColumn, bits
from schemas.catalog import Dataset

#: 0001-01-01 and 9999-12-31 in days since 1970-01-01: beyond, Python has no date for what a column can hold.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """The rows of a batch, in order, that break one rule, and the values of its field there."""

    number: int
    rows: list[int]
    values: list[Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one rule is evaluated: the places of its screens, and the function that has the last word."""

    screens: tuple[int, ...]
    field: str
    reads: tuple[str, ...]
    failing: RuleFunction


#: A screen that is a function, and the column that it looks at.
_Function = tuple[str, Callable[[StringColumn], Mask]]


class ColumnRules:
    """The rules of a dataset, compiled for one :class:`JudgeContext`."""

    def __init__(self, dataset: Dataset, rules: tuple[Rule, ...], context: JudgeContext) -> None:
        self._context = context
        self._expressions: list[pl.Expr] = []
        self._functions: dict[int, _Function] = {}
        self._count = 0
        conditions: dict[Any, int] = {}
        plans = []
        for rule in rules:
            wanted: list[Any] = [*rule.when.items()]
            for item in rule.when.items():
                if item not in conditions:
                    name, condition = item
                    conditions[item] = self._place(name, condition.screen(dataset.by_name[name]))
            if rule.condition is not None:
                wanted.append(rule.condition.text)
                if rule.condition.text not in conditions:
                    conditions[rule.condition.text] = self._place(rule.field, rule.condition.screen(context))
            own = self._place(rule.field, rule.check.screen(dataset.by_name[rule.field], context))
            reads, failing = compile_rule(dataset, rule)
            screens = (*(conditions[item] for item in wanted), own)
            plans.append(_Plan(screens, rule.field, reads, failing))
        self._plans = tuple(plans)

    def _place(self, field: str, screen: Screen) -> int:
        place, self._count = self._count, self._count + 1
        if isinstance(screen, pl.Expr):
            self._expressions.append(screen.alias(str(place)))
        else:
            self._functions[place] = (field, screen)
        return place

    def broken(self, frame: pl.DataFrame) -> Iterator[BrokenRule]:
        """What the rows of *frame* break, rule by rule in library order."""
        masks = _Masks(frame, self._expressions, self._functions)
        screened = [(number, mask) for number, plan in enumerate(self._plans) if (mask := masks.of(plan)) is not None]
        if not screened:
            return
        rows = np.flatnonzero(np.logical_or.reduce([mask for _, mask in screened]))
        picked = _PickedRows(frame[rows])
        for number, mask in screened:
            plan = self._plans[number]
            places = np.flatnonzero(mask[rows]).tolist()
            failing = plan.failing([picked.values(name) for name in plan.reads], places, self._context)
            if failing:
                values = picked.values(plan.field)
                yield BrokenRule(number, rows[failing].tolist(), [values[at] for at in failing])


class _Masks:
    """The screens of one batch; a function is called at most once, and only when the rule's other screens are true."""

    def __init__(self, frame: pl.DataFrame, expressions: list[pl.Expr], functions: dict[int, _Function]) -> None:
        self._frame = frame
        self._functions = functions
        self._strings: dict[str, StringColumn] = {}
        self._masks: dict[int, Mask | None] = {}
        for series in frame.select(expressions).iter_columns() if expressions else ():
            self._masks[int(series.name)] = bits(series) if series.any() else None

    def of(self, plan: _Plan) -> Mask | None:
        """True where all screens of the rule are; None when that is nowhere."""
        together: Mask | None = None
        for place in plan.screens:
            mask = self._mask(place)
            if mask is None:
                return None
            together = mask if together is None else together & mask
        return together if together is not None and together.any() else None

    def _mask(self, place: int) -> Mask | None:
        if place not in self._masks:
            name, function = self._functions[place]
            column = self._strings.get(name)
            if column is None:
                column = self._strings[name] = StringColumn(self._frame.get_column(name))
            mask = function(column)
            self._masks[place] = mask if mask.any() else None
        return self._masks[place]


class _PickedRows:
    """The picked rows as lists of Python values, each column made when it is asked for."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._lists: dict[str, list[Any]] = {}

    def values(self, name: str) -> list[Any]:
        """The column's values; a moment that Python cannot express becomes the nearest one that it can."""
        if name not in self._lists:
            self._lists[name] = _values(self._frame.get_column(name))
        return self._lists[name]


def _values(column: pl.Series) -> list[Any]:
    if column.dtype == pl.Date():
        return _within(column, _FIRST_DAY, _LAST_DAY)
    if column.dtype == pl.Datetime("ms", "UTC"):
        return _within(column, _FIRST_DAY * _DAY_MS, (_LAST_DAY + 1) * _DAY_MS - 1)
    return column.to_list()


def _within(column: pl.Series, first: int, last: int) -> list[Any]:
    numbers = column.to_physical()
    low, high = cast("int | None", numbers.min()), cast("int | None", numbers.max())
    if low is None or high is None or (low >= first and high <= last):
        return column.to_list()
    return numbers.clip(first, last).cast(column.dtype).to_list()
