"""Rules as Polars expressions: two passes over a batch.

First one mask over all rows, true where any rule's screen is; screens are cheap, and most batches are done here. Then
the exact masks of every rule, over the few rows that are left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from operator import and_

import numpy as np
import numpy.typing as npt
import polars as pl

from rules.checks.base import JudgeContext
from rules.conditions import Condition
from rules.model import Rule
from rules.text import blank
from schemas.catalog import Dataset

_DELETED = pl.col("deleted")


@dataclass(frozen=True, slots=True)
class Broken:
    """Which rules which rows break: pair i is row ``rows[i]`` and rule ``rules[i]``, by row, then in library order.

    Rows are numbers within the batch; ``picked`` has the rows that were looked at closely (``rows_picked[i]`` in it).
    """

    rows: npt.NDArray[np.int64]
    rules: npt.NDArray[np.int64]
    picked: pl.DataFrame
    rows_picked: npt.NDArray[np.int64]


class ColumnRules:
    """The rules of a dataset, compiled for one :class:`JudgeContext`."""

    def __init__(self, dataset: Dataset, rules: tuple[Rule, ...], context: JudgeContext) -> None:
        self._shared, screens = _screens(dataset, rules, context)
        kept = [screen for screen, rule in zip(screens, rules, strict=True) if rule.check.checks_deleted]
        others = [screen for screen, rule in zip(screens, rules, strict=True) if not rule.check.checks_deleted]
        self._screen = pl.any_horizontal(*kept, pl.any_horizontal(*others, pl.lit(value=False)) & ~_DELETED)
        self._exact = [
            _exact(dataset, rule, context).fill_null(value=False).alias(str(number))
            for number, rule in enumerate(rules)
        ]

    def broken(self, frame: pl.DataFrame) -> Broken | None:
        """What the rows of *frame* break, or None when all of them pass."""
        screened = frame.with_columns(self._shared) if self._shared else frame
        rows = screened.select(self._screen).to_series().arg_true()
        if not len(rows):
            return None
        picked = frame[rows]
        masks = picked.select(self._exact)
        # numpy walks the matrix row by row: by row, then in library order.
        rows_picked, rules = np.nonzero(np.column_stack([mask.to_numpy() for mask in masks.iter_columns()]))
        if not len(rules):
            return None
        return Broken(rows.to_numpy()[rows_picked].astype(np.int64), rules, picked, rows_picked)


def _screens(dataset: Dataset, rules: tuple[Rule, ...], context: JudgeContext) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """Columns to compute first, each for several rules, and each rule's screen, which may refer to them."""
    uses: Counter[tuple[str, Condition]] = Counter(item for rule in rules for item in rule.when.items())
    shared = {item: f"\x00when {number}" for number, (item, count) in enumerate(uses.items()) if count > 1}
    computed = [condition.screen(dataset.by_name[name]).alias(shared[name, condition]) for name, condition in shared]
    screens = []
    for rule in rules:
        terms = [
            pl.col(shared[name, condition]) if (name, condition) in shared else condition.screen(dataset.by_name[name])
            for name, condition in rule.when.items()
        ]
        screens.append(reduce(and_, [*terms, rule.check.screen(dataset.by_name[rule.field], context)]))
    return computed, screens


def _exact(dataset: Dataset, rule: Rule, context: JudgeContext) -> pl.Expr:
    """The mask of the rows that break *rule*."""
    field = dataset.by_name[rule.field]
    terms = [condition.holds(dataset.by_name[name]) for name, condition in rule.when.items()]
    terms.append(rule.check.fails(field, context))
    if not rule.check.sees_blank:
        terms.append(~blank(pl.col(field.name)) if field.type == "string" else pl.col(field.name).is_not_null())
    if not rule.check.checks_deleted:
        terms.append(~_DELETED)
    return reduce(and_, terms)
