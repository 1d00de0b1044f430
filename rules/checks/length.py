"""Number of characters (code points) of a text, from ``min`` to ``max``, both included."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from rules.cel import Said, comparable
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import Dataset, DatasetField

_UTF8_MOST = 4


class Length(Check):
    """``min`` (default 0) and ``max`` (default: the length in the catalog)."""

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=1)

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """Take ``max`` from the catalog when the rule has none."""
        most = self.max if self.max is not None else field.length
        if most is None:
            raise ValueError(f"field {field.name} has no length in the catalog: give max")
        if field.length is not None and most > field.length:
            raise ValueError(f"max {most} is more than the catalog allows for {field.name} ({field.length})")
        if self.min > most:
            raise ValueError(f"min {self.min} is more than max {most}")
        return self.model_copy(update={"max": most})

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Bytes instead of characters: a character has one to four, and bytes are counted already."""
        most, least = self.max or 0, _UTF8_MOST * (self.min - 1)
        if least <= 0:
            return lambda column: column.lengths > most
        return lambda column: (column.lengths > most) | (column.lengths <= least)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Characters outside the bounds."""
        value = names.local(field.name)
        if self.min <= 1:  # a value that is there has a character
            return f"len({value}) > {names.bind(self.max)}"
        return f"not {names.bind(self.min)} <= len({value}) <= {names.bind(self.max)}"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """Within the bounds; older Java clients count a character beyond U+FFFF twice."""
        size = f"size(message.{field.name})"
        least = f"{size} >= {self.min} && " if self.min > 1 else ""
        return Said(f"{least}{size} <= {self.max}", guard=comparable(field))
