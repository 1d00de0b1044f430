"""One of the values that the catalog allows, or a list of them joined by a separator."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import Self

import polars as pl
from pydantic import Field

from rules.cel import Said, comparable, escaped, matches, one_of, texts
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import Dataset, DatasetField

#: Up to here comparing with each value is cheaper than hashing.
_FEW = 10


class Enumeration(Check):
    """``values`` (default: the catalog's enumeration); with ``separator`` the field holds one or more of them."""

    values: tuple[str, ...] = Field(default=(), validate_default=True)
    separator: str | None = Field(default=None, min_length=1, max_length=1)

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """Take the values from the catalog when the rule has none."""
        if self.values and field.enumeration:
            raise ValueError(f"field {field.name} is enumerated in the catalog: leave values out")
        values = self.values or field.enumeration
        if not values:
            raise ValueError(f"field {field.name} has no enumeration in the catalog: give values")
        if self.separator is not None and any(self.separator in value for value in values):
            raise ValueError(f"a value contains the separator {self.separator!r}")
        return self.model_copy(update={"values": values})

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Not a value; or, in a list, some element is not."""
        if self.separator is not None:
            return lambda strings: strings.where(self._has_other)
        column = pl.col(field.name)
        if len(self.values) <= _FEW:
            return reduce(and_, (column != value for value in self.values))
        return ~column.is_in(self.values)

    def _has_other(self, text: str) -> bool:
        return not frozenset(self.values).issuperset(text.split(self.separator))

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Not a value; or, in a list, some element is not."""
        value, allowed = names.local(field.name), frozenset(self.values)
        if self.separator is not None:
            return f"not {names.bind(allowed.issuperset)}({value}.split({names.bind(self.separator)}))"
        return f"{value} not in {names.bind(allowed)}"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """A value; or, in a list, every element is."""
        if self.separator is None:
            return Said(f"message.{field.name} in {texts(self.values)}", guard=comparable(field))
        one = one_of(self.values)
        said = matches(field, f"{one}(?:{escaped(self.separator)}{one})*")
        return None if said is None else Said(said, guard=comparable(field))
