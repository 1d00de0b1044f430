"""When a rule applies: one condition a field, all of which must hold.

In a rule file ``when`` maps field names to conditions: a value or a list of values (equal to one of them), or a mapping
with one of ``present``, ``contains``, ``lacks``, ``length``. On an empty field nothing holds but ``present: false``.
Or it is an expression (``rules/expr``), which must be true.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from rules.cel import escaped, filled, matches, one_of, speakable, texts, there
from rules.checks.base import JudgeContext, RowNames, Screen
from rules.errors import suggest
from rules.expr import Expression
from rules.expr.said import definitely
from rules.text import may_be_blank
from schemas.catalog import Dataset, DatasetField

_UTF8_MOST = 4


class Condition(BaseModel):
    """A condition on one field; exactly one of the parameters is set. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    equals: tuple[str, ...] | None = Field(default=None, min_length=1)
    present: bool | None = None
    contains: tuple[str, ...] | None = Field(default=None, min_length=1)
    lacks: tuple[str, ...] | None = Field(default=None, min_length=1)
    length: int | None = Field(default=None, ge=1)
    separator: str = Field(default=";", min_length=1, max_length=1)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, raw: Any) -> Any:
        """A value or list of values means ``equals``; one value stands for a list of one."""
        if not isinstance(raw, dict):
            raw = {"equals": raw}
        unknown = [name for name in raw if name not in cls.model_fields]
        if unknown:
            raise ValueError(f"unknown condition {unknown[0]!r}{suggest(str(unknown[0]), cls.model_fields)}")
        return {
            name: (value,) if isinstance(value, str) and name != "separator" else value for name, value in raw.items()
        }

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [
            name for name in ("equals", "present", "contains", "lacks", "length") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(f"give exactly one of equals, present, contains, lacks, length; not {given}")
        values = (self.equals or ()) + (self.contains or ()) + (self.lacks or ())
        if any(not value or value.isspace() for value in values):
            raise ValueError("to ask for an empty field write present: false")
        if any(self.separator in value for value in (self.contains or ()) + (self.lacks or ())):
            raise ValueError(f"a value contains the separator {self.separator!r}")
        return self

    def resolve(self, field: DatasetField) -> Self:
        """The condition, verified for *field*; raises ValueError."""
        if self.present is None and field.type != "string":
            raise ValueError(f"{field.name} is of type {field.type}: the only condition on it is present")
        if field.enumeration and self.equals:
            for value in self.equals:
                if value not in field.enumeration:
                    raise ValueError(f"{field.name} is never {value!r}{suggest(value, field.enumeration)}")
        return self

    def screen(self, field: DatasetField) -> Screen:
        """True wherever the condition holds, and for few others; null counts as false."""
        column = pl.col(field.name)
        if self.present is not None:
            if field.type == "string" and not self.present:
                return may_be_blank
            return column.is_not_null() if self.present else column.is_null()
        if self.equals:
            return reduce(or_, (column == value for value in self.equals))
        if self.length is not None:
            return column.str.len_bytes().is_between(self.length, _UTF8_MOST * self.length)
        return lambda strings: strings.where(self._about_elements)

    def _about_elements(self, text: str) -> bool:
        """``contains`` or ``lacks`` of one text that is not null."""
        nowhere = frozenset(self.contains or self.lacks or ()).isdisjoint(text.split(self.separator))
        return nowhere if self.lacks else not nowhere

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Source of an expression that is true when the condition holds for the value."""
        value = names.local(field.name)
        if self.present is not None:
            there = f"({value} and not {value}.isspace())" if field.type == "string" else f"{value} is not None"
            return there if self.present else f"not {there}"
        if self.equals and len(self.equals) == 1:
            return f"{value} == {names.bind(self.equals[0])}"
        if self.equals:
            return f"{value} in {names.bind(frozenset(self.equals))}"
        there = f"{value} and not {value}.isspace()"
        if self.length is not None:
            return f"({there} and len({value}) == {names.bind(self.length)})"
        none_of = names.bind(frozenset(self.contains or self.lacks or ()).isdisjoint)
        elements = f"{value}.split({names.bind(self.separator)})"
        return f"({there} and {'not ' if self.contains else ''}{none_of}({elements}))"

    def cel(self, field: DatasetField) -> str | None:
        """The condition as clients of the schema registry can see to it; None when CEL has no words for it."""
        if not speakable(field):
            return None
        if self.present is not None:
            return filled(field) if self.present else f"!({filled(field)})"
        at = f"message.{field.name}"
        if self.equals:
            return f"has({at}) && {at} in {texts(self.equals)}"
        if self.length is not None:
            return f"{filled(field)} && size({at}) == {self.length}"
        said = matches(field, self._element_pattern())
        if said is None:
            return None
        return f"{there(field)} && {said}" if self.contains else f"{filled(field)} && !{said}"

    def _element_pattern(self) -> str:
        """A pattern of lists that have one of the elements."""
        separator = escaped(self.separator)
        other = f"[^{separator}]*"
        return f"(?:{other}{separator})*{one_of(self.contains or self.lacks or ())}(?:{separator}{other})*"


class ConditionExpression(BaseModel):
    """A condition on the whole record, in the language of ``rules/expr``; a rule does not apply where it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    _compiled: Expression | None = PrivateAttr(default=None)

    @property
    def expression(self) -> Expression:
        """The compiled condition, once it has been resolved."""
        assert self._compiled is not None
        return self._compiled

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it reads."""
        return self.expression.fields

    def resolve(self, dataset: Dataset) -> Self:
        """The condition, checked against *dataset*; raises ExpressionError (a ValueError)."""
        resolved = self.model_copy()
        resolved._compiled = Expression.compile(self.text, dataset, key="when")
        return resolved

    def screen(self, context: JudgeContext) -> pl.Expr:
        """True wherever the condition holds."""
        return self.expression.columns(context.today)

    def row(self, names: RowNames) -> str:
        """Source of an expression that is true when the condition holds."""
        return f"{self.expression.source(names)} is True"

    def cel(self, dataset: Dataset) -> str | None:
        """The condition as clients of the schema registry can see to it; None when CEL has no words for it."""
        return definitely(self.expression.tree, True, dataset)
