"""A unified social credit code 统一社会信用代码 with both check characters right (GB 32100-2015, GB 11714)."""

from __future__ import annotations

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.identifiers import WIDTH, uscc_fails, uscc_is_valid
from schemas.catalog import DatasetField


class Uscc(Check):
    """No parameters."""

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Not 18 bytes long, or not valid."""
        return lambda column: column.failing(WIDTH, uscc_fails)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Not a valid code."""
        return f"not {names.bind(uscc_is_valid)}({names.local(field.name)})"
