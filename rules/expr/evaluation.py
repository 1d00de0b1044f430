"""A checked expression as a function of one record and as a Polars expression, from the same tree.

Logic has three values: a part that cannot be known is ``None``. ``&&`` is false when one side is, ``||`` is true when
one side is, whatever the other; anything else that needs an unknown value is unknown itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Context, Decimal
from functools import reduce
from operator import and_, or_
from typing import Any

import polars as pl

from rules.expr.operations import (
    ID_NUMBER_ROW,
    MILLION,
    OPERATIONS,
    Operation,
    among,
    id_number_columns,
    matching,
    once,
)
from rules.expr.tree import Type, Typed
from rules.text import WHITESPACE

#: The values of the fields that the expression reads, in order, and the day on which the record is judged.
RowFunction = Callable[[Sequence[Any], date], Any]

_WIDE = Context(prec=60)
_MILLION = Decimal(MILLION)


def operation_of(node: Typed) -> Operation:
    """The operation of a node whose parts must all be known."""
    if node.op == "matches":
        return matching(node.value)
    if node.op == "among":
        return among(node.value, node.arguments[0].type.polars)
    return OPERATIONS[node.op]


def row_function(node: Typed, fields: Sequence[str]) -> RowFunction:
    """*node* as a function of the values of *fields*."""
    arguments = [row_function(argument, fields) for argument in node.arguments]
    if node.op == "literal":
        return lambda values, today: node.value
    if node.op == "today":
        return lambda values, today: today
    if node.op == "field":
        return _field_function(node, fields.index(node.value))
    if node.op == "and":
        return _decided_by(False, arguments)
    if node.op == "or":
        return _decided_by(True, arguments)
    if node.op == "choice":
        return _choice(*arguments)
    first = arguments[0]
    if node.op == "is_null":
        return lambda values, today: first(values, today) is None
    if node.op == "id_number":
        return _with_today(first)
    operate = operation_of(node).row
    return _unary(operate, first) if len(arguments) == 1 else _binary(operate, first, arguments[1])


def _field_function(node: Typed, place: int) -> RowFunction:
    if node.type is Type.TEXT:

        def text(values: Sequence[Any], today: date) -> Any:
            value = values[place]
            return value if value and not value.isspace() else None

        return text
    if node.type is Type.DECIMAL:

        def amount(values: Sequence[Any], today: date) -> Any:
            value = values[place]
            return None if value is None else int(_WIDE.multiply(value, _MILLION))

        return amount
    return lambda values, today: values[place]


def _decided_by(outcome: bool, terms: list[RowFunction]) -> RowFunction:
    def decide(values: Sequence[Any], today: date) -> Any:
        found: bool | None = not outcome
        for term in terms:
            value = term(values, today)
            if value is outcome:
                return outcome
            if value is None:
                found = None
        return found

    return decide


def _choice(condition: RowFunction, then: RowFunction, otherwise: RowFunction) -> RowFunction:
    def choose(values: Sequence[Any], today: date) -> Any:
        chosen = condition(values, today)
        if chosen is None:
            return None
        return then(values, today) if chosen else otherwise(values, today)

    return choose


def _with_today(argument: RowFunction) -> RowFunction:
    def valid(values: Sequence[Any], today: date) -> Any:
        value = argument(values, today)
        return None if value is None else ID_NUMBER_ROW(value, today)

    return valid


def _unary(operate: Callable[[Any], Any], argument: RowFunction) -> RowFunction:
    def evaluate(values: Sequence[Any], today: date) -> Any:
        value = argument(values, today)
        return None if value is None else operate(value)

    return evaluate


def _binary(operate: Callable[[Any, Any], Any], left: RowFunction, right: RowFunction) -> RowFunction:
    def evaluate(values: Sequence[Any], today: date) -> Any:
        first = left(values, today)
        if first is None:
            return None
        second = right(values, today)
        return None if second is None else operate(first, second)

    return evaluate


def column_expression(node: Typed, today: date) -> pl.Expr:
    """*node* as a Polars expression over a batch that is judged on *today*."""
    if not node.fields:
        return pl.lit(row_function(node, ())((), today), dtype=node.type.polars)
    if node.op == "field":
        return _field_column(node)
    arguments = [column_expression(argument, today) for argument in node.arguments]
    if node.op == "and":
        return reduce(and_, arguments)
    if node.op == "or":
        return reduce(or_, arguments)
    if node.op == "choice":
        return once(_chosen, node.type.polars)(*arguments)
    if node.op == "is_null":
        return arguments[0].is_null()
    if node.op == "id_number":
        return id_number_columns(arguments[0], today)
    return operation_of(node).columns(*arguments)


def _chosen(condition: pl.Expr, then: pl.Expr, otherwise: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(then).when(~condition).then(otherwise)


def _field_column(node: Typed) -> pl.Expr:
    column = pl.col(node.value)
    if node.type is Type.TEXT:
        return pl.when(column.str.strip_chars_start(WHITESPACE) != "").then(column)
    if node.type is Type.DECIMAL:
        return column.to_physical().cast(pl.Int128())
    if node.type is Type.DATE:
        return column.clip(date.min, date.max)  # as rows see days that Python cannot express
    return column
