"""The unit must be one of those registered on the platform (``JudgeContext.units``)."""

from __future__ import annotations

from typing import ClassVar

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.strings import Mask, StringColumn
from schemas.catalog import DatasetField


class KnownUnit(Check):
    """No parameters. A blank unit is not a known one, and a withdrawal must come from a known unit too."""

    sees_blank: ClassVar[bool] = True
    checks_deleted: ClassVar[bool] = True

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Not registered, or null."""
        units = context.units

        def unknown(strings: StringColumn) -> Mask:
            mask = strings.where(lambda unit: unit not in units)
            return mask if strings.nulls is None else mask | strings.nulls

        return unknown

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Not registered, or null."""
        return f"{names.local(field.name)} not in units"
