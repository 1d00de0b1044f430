"""A date that must not come before another date of the same record."""

from __future__ import annotations

from typing import ClassVar, Self

import polars as pl
from pydantic import model_validator

from rules.cel import Said, comparable, conjunction, speakable
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.errors import suggest
from schemas.catalog import Dataset, DatasetField


class DateOrder(Check):
    """Either ``not_before`` (the same day is fine) or ``after`` (it is not); the value is the other field's name."""

    types: ClassVar[frozenset[str]] = frozenset({"date"})

    not_before: str | None = None
    after: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.not_before is None) == (self.after is None):
            raise ValueError("give either not_before or after")
        return self

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """The other field must be a date of the same dataset."""
        dates = [other.name for other in dataset.fields if other.type == "date" and other.name != field.name]
        if self._other not in dates:
            raise ValueError(f"{self._other!r} is not another date of {dataset.code}{suggest(self._other, dates)}")
        return self

    @property
    def _other(self) -> str:
        return self.not_before or self.after or ""

    def other_fields(self) -> tuple[str, ...]:
        """The date that is compared with."""
        return (self._other,)

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Out of order; null where either date is."""
        column, other = pl.col(field.name), pl.col(self._other)
        return column < other if self.after is None else column <= other

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Out of order, when both dates are there."""
        value, other = names.local(field.name), names.local(self._other)
        return f"({other} is not None and {value} {'<' if self.after is None else '<='} {other})"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """In order."""
        other = dataset.by_name[self._other]
        if not speakable(field) or not speakable(other):
            return None
        order = f"message.{field.name} {'>=' if self.after is None else '>'} message.{other.name}"
        return Said(order, guard=conjunction(comparable(field), comparable(other)))
