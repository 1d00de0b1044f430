"""A number or a date within fixed bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import reduce
from operator import ge, gt, le, lt, or_
from typing import Any, ClassVar, Self

import polars as pl
from pydantic import field_validator, model_validator

from rules.cel import Said, comparable, conjunction, number, speakable
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import Dataset, DatasetField
from schemas.types import TYPES

Bound = int | float | Decimal | date

#: Parameter -> the comparison with the bound that fails, as a function and as source.
_FAILING: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "min": (lt, "<"),
    "above": (le, "<="),
    "max": (gt, ">"),
    "below": (ge, ">="),
}

#: Parameter -> the comparison with the bound that passes, in CEL.
_PASSING = {"min": ">=", "above": ">", "max": "<=", "below": "<"}


class Range(Check):
    """``min`` and ``max`` are allowed values, ``above`` and ``below`` are not; at least one of them."""

    types: ClassVar[frozenset[str]] = frozenset({"long", "decimal", "date"})

    min: Bound | None = None
    above: Bound | None = None
    max: Bound | None = None
    below: Bound | None = None

    @field_validator("min", "above", "max", "below", mode="before")
    @classmethod
    def _number_or_date(cls, bound: Any) -> Any:
        if isinstance(bound, bool) or not isinstance(bound, Bound | None):
            raise ValueError(f"{bound!r} is neither a number nor a date")
        return bound

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if not any(True for _ in self._bounds()):
            raise ValueError("give at least one of min, above, max, below")
        return self

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """Bounds as values of the field's type."""
        return self.model_copy(update={name: bound_value(bound, field) for name, bound in self._bounds()})

    def _bounds(self) -> Iterator[tuple[str, Bound]]:
        for name in _FAILING:
            bound = getattr(self, name)
            if bound is not None:
                yield name, bound

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Beyond a bound."""
        column, dtype = pl.col(field.name), TYPES[field.type].polars
        beyond: list[pl.Expr] = [
            _FAILING[name][0](column, pl.lit(bound, dtype=dtype)) for name, bound in self._bounds()
        ]
        return reduce(or_, beyond)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Beyond a bound."""
        value = names.local(field.name)
        tests = [f"{value} {_FAILING[name][1]} {names.bind(bound)}" for name, bound in self._bounds()]
        return f"({' or '.join(tests)})"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """Within the bounds; of whole numbers and days only."""
        bounds = [(name, number(bound)) for name, bound in self._bounds()]
        if not speakable(field) or any(bound is None for _, bound in bounds):
            return None
        tests = (f"message.{field.name} {_PASSING[name]} {bound}" for name, bound in bounds)
        return Said(conjunction(*tests), guard=comparable(field))


def bound_value(bound: Bound, field: DatasetField) -> Bound:
    """*bound* from a rule file as a value of the field's catalog type; raises ValueError."""
    is_date = isinstance(bound, date)
    if is_date != (field.type == "date"):
        raise ValueError(f"{bound} cannot be compared with {field.name}, a field of type {field.type}")
    if isinstance(bound, date):
        return bound
    value: Bound = TYPES[field.type].from_text(str(bound))
    return value
