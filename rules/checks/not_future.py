"""A date that must not lie after the day on which the record is judged."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import DatasetField


class NotFuture(Check):
    """No parameters."""

    types: ClassVar[frozenset[str]] = frozenset({"date"})

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """After today."""
        return pl.col(field.name) > context.today

    def row(self, field: DatasetField, names: RowNames) -> str:
        """After today."""
        return f"{names.local(field.name)} > today"
