"""A report that comes at most so many working days after the day that the field holds (decided, listed, changed)."""

from __future__ import annotations

from typing import ClassVar, Self

import polars as pl
from pydantic import Field

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.workdays import calendar_gap, too_early
from schemas.catalog import Dataset, DatasetField


class WorkdayDeadline(Check):
    """``workdays`` (default: the dataset's reporting deadline). The day of judgement is the day of arrival.

    Statutory holidays and make-up days count as the State Council announced them. For days beyond the calendar nothing
    is guessed: a record is late when the working days that are known are too many.
    """

    types: ClassVar[frozenset[str]] = frozenset({"date"})

    workdays: int | None = Field(default=None, ge=0, le=1000)

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """Take the deadline from the catalog when the rule has none."""
        days = self.workdays if self.workdays is not None else dataset.deadline_workdays
        if days is None:
            raise ValueError(f"dataset {dataset.code} has no deadline in the catalog: give workdays")
        return self.model_copy(update={"workdays": days})

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Before the earliest day that is in time."""
        return pl.col(field.name) < too_early(context.today, self.workdays or 0)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Before the earliest day that is in time."""
        return f"{names.local(field.name)} < {names.bind(too_early)}(today, {names.bind(self.workdays or 0)})"

    def undecided(self, context: JudgeContext) -> str:
        """The days that the calendar does not reach."""
        gap = calendar_gap(context.today, self.workdays or 0)
        return f"days from {gap[0]} to {gap[1]} cannot be judged" if gap else ""
