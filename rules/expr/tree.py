"""The syntax tree of an expression, as it was written and, once it has been checked, with types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

import polars as pl


class ExpressionError(ValueError):
    """An expression cannot be used; the message begins with its line and column, counted from 1."""

    def __init__(self, message: str, at: Place) -> None:
        self.at = at
        #: The key of the rule that holds the expression.
        self.key = ""
        super().__init__(f"line {at.line}, column {at.column}: {message}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the text something stands; both counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Node:
    """One part of an expression as it was written: an operation, what it works on, and its own value if it has one."""

    op: str
    at: Place
    arguments: tuple[Node, ...] = ()
    value: Any = None
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", 1 + max((argument.depth for argument in self.arguments), default=0))


class Type(Enum):
    """What an expression can be. Amounts are counted in millionths, as whole numbers, so that they are exact."""

    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    TEXT = "text"
    DATE = "date"
    MOMENT = "timestamp"
    TEXTS = "list of text"
    NULL = "null"

    @property
    def polars(self) -> pl.DataType:
        """The data type of a column of such values while it is computed with."""
        return _POLARS[self]


_POLARS: dict[Type, pl.DataType] = {
    Type.BOOL: pl.Boolean(),
    Type.INT: pl.Int64(),
    Type.DECIMAL: pl.Int128(),
    Type.TEXT: pl.String(),
    Type.DATE: pl.Date(),
    Type.MOMENT: pl.Datetime("ms", "UTC"),
    Type.TEXTS: pl.List(pl.String()),
    Type.NULL: pl.Null(),
}


@dataclass(frozen=True)
class Typed:
    """One part of a checked expression; ``op`` names an operation that both evaluations know."""

    op: str
    type: Type
    arguments: tuple[Typed, ...] = ()
    value: Any = None

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields that it reads."""
        own = frozenset({self.value}) if self.op == "field" else frozenset[str]()
        return own.union(*(argument.fields for argument in self.arguments))

    @cached_property
    def is_constant(self) -> bool:
        """True when neither a record nor the day changes its value."""
        return self.op not in {"field", "today", "id_number"} and all(part.is_constant for part in self.arguments)

    def walk(self) -> Iterator[Typed]:
        """Every part of it, itself first."""
        yield self
        for argument in self.arguments:
            yield from argument.walk()
