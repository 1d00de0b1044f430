"""A unified social credit code 统一社会信用代码 with both check characters right (GB 32100-2015, GB 11714)."""

from __future__ import annotations

import polars as pl

from rules.checks.base import Check, JudgeContext, RowNames, mask_of
from rules.identifiers import uscc_failing, uscc_is_valid
from schemas.catalog import DatasetField


class Uscc(Check):
    """No parameters."""

    def fails(self, field: DatasetField, context: JudgeContext) -> pl.Expr:
        """Not a valid code."""
        return mask_of(pl.col(field.name), uscc_failing)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Not a valid code."""
        return f"not {names.bind(uscc_is_valid)}({names.local(field.name)})"
