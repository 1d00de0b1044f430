"""The language of conditions: a subset of CEL, checked against a dataset, computed for columns and for rows alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from rules.expr.checker import check
from rules.expr.evaluation import column_expression, row_function
from rules.expr.parser import parse
from rules.expr.tree import ExpressionError, Typed
from rules.workdays import china
from schemas.catalog import Dataset

if TYPE_CHECKING:
    from rules.checks.base import RowNames

__all__ = ["Expression", "ExpressionError"]


@dataclass(frozen=True)
class Expression:
    """A condition over records of one dataset: true, false, or unknown (None) where what it needs is missing."""

    text: str
    tree: Typed

    @classmethod
    def compile(cls, text: str, dataset: Dataset, key: str = "expr") -> Expression:
        """The condition that *text* says; raises ExpressionError (a ValueError) with line and column.

        *key* is the rule's key that holds the text.
        """
        try:
            return cls(text, check(parse(text), dataset))
        except ExpressionError as error:
            error.key = key
            raise

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that it reads, in order."""
        return tuple(sorted(self.tree.fields))

    @cached_property
    def row(self) -> Callable[[Sequence[Any], date], bool | None]:
        """A function of the values of :attr:`fields` and the day on which the record is judged."""
        return row_function(self.tree, self.fields)

    def columns(self, today: date) -> pl.Expr:
        """The same over a batch that is judged on *today*: true, false or null."""
        return column_expression(self.tree, today)

    def source(self, names: RowNames) -> str:
        """Source of its value, for the function that judges records."""
        values = "".join(f"{names.local(field)}, " for field in self.fields)
        return f"{names.bind(self.row)}(({values}), today)"

    def undecided(self, today: date) -> str:
        """What cannot be known on *today*, for want of a calendar; "" when there is nothing."""
        counts = any(part.op == "workdays" for part in self.tree.walk())
        return "" if not counts or china().covers(today) else f"working days of {today.year} cannot be counted"
