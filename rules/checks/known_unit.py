"""The unit must be one of those registered on the platform (``JudgeContext.units``)."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import DatasetField


class KnownUnit(Check):
    """No parameters. A blank unit is not a known one, and a withdrawal must come from a known unit too."""

    sees_blank: ClassVar[bool] = True
    checks_deleted: ClassVar[bool] = True

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Not registered, or null."""
        units = pl.Series(sorted(context.units), dtype=pl.String())
        return ~pl.col(field.name).is_in(units.implode(), nulls_equal=True)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Not registered, or null."""
        return f"{names.local(field.name)} not in units"
