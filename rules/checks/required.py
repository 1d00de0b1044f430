"""The field must be there: neither null nor blank."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from rules.cel import Said, filled, speakable
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.text import may_be_blank
from schemas.catalog import Dataset, DatasetField
from schemas.types import TYPES


class Required(Check):
    """No parameters."""

    types: ClassVar[frozenset[str]] = frozenset(TYPES)
    sees_blank: ClassVar[bool] = True

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Null, or starting with what may be white space."""
        return may_be_blank if field.type == "string" else pl.col(field.name).is_null()

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Null or blank."""
        value = names.local(field.name)
        return f"(not {value} or {value}.isspace())" if field.type == "string" else f"({value} is None)"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """Something is there."""
        return Said(filled(field)) if speakable(field) else None
