"""What is true of a good record, said in the language of ``rules/expr``."""

from __future__ import annotations

from typing import ClassVar, Self

import polars as pl
from pydantic import PrivateAttr

from rules.cel import Said
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.expr import Expression, ExpressionError
from rules.expr.said import definitely
from rules.expr.tree import Place
from schemas.catalog import Dataset, DatasetField
from schemas.types import TYPES


class ExpressionCheck(Check):
    """``expr``: a record passes when it is true or unknown. The rule's own field must be among those that it reads."""

    types: ClassVar[frozenset[str]] = frozenset(TYPES)
    sees_blank: ClassVar[bool] = True

    expr: str
    _compiled: Expression | None = PrivateAttr(default=None)

    @property
    def expression(self) -> Expression:
        """The compiled expression, once it has been resolved."""
        assert self._compiled is not None
        return self._compiled

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """Compiled against *dataset*; raises ExpressionError (a ValueError)."""
        resolved = self.model_copy()
        resolved._compiled = Expression.compile(self.expr, dataset)
        if field.name not in resolved.expression.fields:
            error = ExpressionError(f"{field.name}, the rule's field, is not looked at", Place())
            error.key = "expr"
            raise error
        return resolved

    def other_fields(self) -> tuple[str, ...]:
        """All that the expression reads."""
        return self.expression.fields

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """False; unknown is null."""
        found: pl.Expr = ~self.expression.columns(context.today)
        return found

    def row(self, field: DatasetField, names: RowNames) -> str:
        """False."""
        return f"{self.expression.source(names)} is False"

    def undecided(self, context: JudgeContext) -> str:
        """Whether working days of the context's year can be counted."""
        return self.expression.undecided(context.today)

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """Not certainly false."""
        broken = definitely(self.expression.tree, False, dataset)
        return None if broken is None else Said(f"!{broken}")
