"""The functions of the language, one line each: what they take, what they give, and the operation behind."""

from __future__ import annotations

from dataclasses import dataclass

from rules.expr.tree import Type


@dataclass(frozen=True, slots=True)
class Function:
    """One function. ``literals`` are the places of arguments that must be written out, not computed.

    ``method`` functions are called ``value.name(…)`` as well, the first argument before the point.
    """

    name: str
    takes: tuple[Type, ...]
    gives: Type
    op: str
    method: bool = False
    literals: frozenset[int] = frozenset()


_TEXT, _INT, _BOOL, _DATE = Type.TEXT, Type.INT, Type.BOOL, Type.DATE

#: By name; several of one name differ in what they take.
FUNCTIONS: tuple[Function, ...] = (
    Function("uscc", (_TEXT,), _BOOL, "uscc"),
    Function("id_number", (_TEXT,), _BOOL, "id_number"),
    Function("region", (_TEXT,), _TEXT, "region"),
    Function("workdays", (_DATE, _DATE), _INT, "workdays"),
    Function("date", (_TEXT,), _DATE, "date_literal", literals=frozenset({0})),
    Function("date", (Type.MOMENT,), _DATE, "china_day"),
    Function("plus_months", (_DATE, _INT), _DATE, "plus_months", literals=frozenset({1})),
    Function("year", (_DATE,), _INT, "year"),
    Function("month", (_DATE,), _INT, "month"),
    Function("day", (_DATE,), _INT, "day"),
    Function("size", (_TEXT,), _INT, "size_text", method=True),
    Function("size", (Type.TEXTS,), _INT, "size_list", method=True),
    Function("matches", (_TEXT, _TEXT), _BOOL, "matches", method=True, literals=frozenset({1})),
    Function("startsWith", (_TEXT, _TEXT), _BOOL, "starts_with", method=True),
    Function("endsWith", (_TEXT, _TEXT), _BOOL, "ends_with", method=True),
    Function("contains", (_TEXT, _TEXT), _BOOL, "contains", method=True),
    Function("split", (_TEXT, _TEXT), Type.TEXTS, "split", method=True, literals=frozenset({1})),
)
#: Written like functions, but what they take is a field.
MACROS = frozenset({"has"})
#: Written like fields.
NAMES = frozenset({"today"})


def named(name: str) -> list[Function]:
    """All functions of that name."""
    return [function for function in FUNCTIONS if function.name == name]
