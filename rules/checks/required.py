"""The field must be there: neither null nor blank."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from rules.checks.base import Check, JudgeContext, RowNames
from rules.text import blank, may_be_blank
from schemas.catalog import DatasetField
from schemas.types import TYPES


class Required(Check):
    """No parameters."""

    types: ClassVar[frozenset[str]] = frozenset(TYPES)
    sees_blank: ClassVar[bool] = True

    def screen(self, field: DatasetField, context: JudgeContext) -> pl.Expr:
        """Null, or starting with what may be white space."""
        column = pl.col(field.name)
        return column.is_null() | may_be_blank(column) if field.type == "string" else column.is_null()

    def fails(self, field: DatasetField, context: JudgeContext) -> pl.Expr:
        """Null or blank."""
        column = pl.col(field.name)
        return column.is_null() | blank(column) if field.type == "string" else column.is_null()

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Null or blank."""
        value = names.local(field.name)
        return f"(not {value} or {value}.isspace())" if field.type == "string" else f"({value} is None)"
