"""The field must not be filled: for rules with a condition."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from rules.cel import Said, filled, speakable
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import Dataset, DatasetField
from schemas.types import TYPES


class Absent(Check):
    """No parameters. Blank counts as absent."""

    types: ClassVar[frozenset[str]] = frozenset(TYPES)

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Anything that is there."""
        return pl.col(field.name).is_not_null()

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Anything that is there."""
        return "True"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """Nothing is there."""
        return Said("false", guard=filled(field)) if speakable(field) else None
