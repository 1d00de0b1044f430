"""The contract of a check kind: one class in one file of this folder; the file's name is the kind.

A check is written twice, for columns and for rows, and a property test holds both to the same outcome:

- :meth:`Check.screen` is a Polars expression over the whole batch. It must be true for every row that fails, may be
  true for a few that pass, and has to be cheap: it is paid for every record. Null counts as false.
- :meth:`Check.fails` is the exact expression; it sees only the rows that some screen has let through.
- :meth:`Check.row` is the source of a Python expression that is true when one value fails.

Unless ``sees_blank`` is set a check is only asked about values that are there: null and blank strings pass before it is
asked (in :meth:`screen` a blank may count either way).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Self

import polars as pl
from pydantic import BaseModel, ConfigDict

from schemas.catalog import Dataset, DatasetField


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What a verdict depends on beside the record and the rules: the day, and the units that may report."""

    today: date
    units: frozenset[str]


@dataclass(slots=True)
class RowNames:
    """Names that row source may use: locals of the fields, ``today``, ``units`` and constants bound here.

    Text from rule files gets into source through :meth:`bind` alone, never as source.
    """

    locals: dict[str, str]
    constants: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        """A name for *value* in the compiled function."""
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def local(self, field_name: str) -> str:
        """The local variable that holds the field's value."""
        return self.locals[field_name]


class Check(BaseModel):
    """Parameters of one kind of check, and how it is evaluated. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Catalog types of the fields that the check can be put on.
    types: ClassVar[frozenset[str]] = frozenset({"string"})
    #: True when null and blank are the check's own business.
    sees_blank: ClassVar[bool] = False
    #: True when a withdrawn record (``deleted``) is checked too.
    checks_deleted: ClassVar[bool] = False

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """The check with its parameters completed and verified for *field*; raises ValueError with a reason."""
        return self

    def other_fields(self) -> tuple[str, ...]:
        """Fields beside the rule's own that the check reads."""
        return ()

    def screen(self, field: DatasetField, context: JudgeContext) -> pl.Expr:
        """A cheap mask over the batch: true for every failing row. By default the exact one."""
        return self.fails(field, context)

    def fails(self, field: DatasetField, context: JudgeContext) -> pl.Expr:
        """The exact mask of failing rows."""
        raise NotImplementedError

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Source of an expression that is true when the value in ``names.local(field.name)`` fails."""
        raise NotImplementedError


def mask_of(column: pl.Expr, failing: Callable[[pl.Series], pl.Series]) -> pl.Expr:
    """An expression that computes a boolean mask by a vectorised Python function of the whole column."""
    return column.map_batches(failing, return_dtype=pl.Boolean())
