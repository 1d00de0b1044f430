"""A checked expression in the CEL that every Confluent client understands, where there are words for it.

There, nothing is unknown: a null ends a comparison with an error. So an expression is said twice, as what makes it
certainly true and as what makes it certainly false; both are plain CEL that looks whether a value is there before it
is used.
"""

from __future__ import annotations

from datetime import date

from rules import cel
from rules.expr.tree import Type, Typed
from schemas.catalog import Dataset, DatasetField

_COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_METHODS = {"starts_with": "startsWith", "ends_with": "endsWith", "contains": "contains"}
_SUMS = {"day_plus": "+", "day_minus": "-", "days_between": "-"}


class _NoWordsError(Exception):
    """Some client has no words for a part."""


#: A choice says its condition twice, at each level.
_MOST_PARTS = 200


def definitely(tree: Typed, outcome: bool, dataset: Dataset) -> str | None:
    """CEL that is true when *tree* is certainly *outcome*, and false otherwise; None when there are no words for it."""
    try:
        return _Speaker(dataset).said(tree, outcome)
    except _NoWordsError:
        return None


class _Speaker:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._parts = 0

    def said(self, node: Typed, outcome: bool) -> str:
        """True when *node* is certainly *outcome*."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _NoWordsError
        if node.op in {"and", "or"}:
            joint = " && " if (node.op == "and") is outcome else " || "
            return "(" + joint.join(self.said(part, outcome) for part in node.arguments) + ")"
        if node.op == "not":
            return self.said(node.arguments[0], not outcome)
        if node.op == "literal":
            return "true" if node.value is outcome else "false"
        if node.op == "choice":
            condition, then, otherwise = node.arguments
            first = f"{self.said(condition, True)} && {self.said(then, outcome)}"
            return f"({first} || {self.said(condition, False)} && {self.said(otherwise, outcome)})"
        if node.op == "is_null":
            there = cel.filled(_field(node.arguments[0], self._dataset))
            return f"!({there})" if outcome else f"({there})"
        if any(part.op == "literal" and part.value is None for part in node.walk()):
            return "false"  # what is compared with nothing is never certain
        atom = _atom(node, self._dataset)
        known = [cel.comparable(self._dataset.by_name[name]) for name in sorted(node.fields)]
        known += [_is_day(part, self._dataset) for part in node.walk() if part.op in {"day_plus", "day_minus"}]
        return "(" + cel.conjunction(*known, atom if outcome else f"!({atom})") + ")"


def _field(node: Typed, dataset: Dataset) -> DatasetField:
    field = dataset.by_name.get(node.value) if node.op == "field" else None
    if field is None or not cel.speakable(field):
        raise _NoWordsError
    return field


def _is_day(node: Typed, dataset: Dataset) -> str:
    """True when there is a day that many days away."""
    days = _value(node, dataset)
    return f"{days} >= {cel.number(date.min)} && {days} <= {cel.number(date.max)}"


def _atom(node: Typed, dataset: Dataset) -> str:
    """A yes or no about values that are there."""
    if node.op in _COMPARED:
        if node.op not in {"eq", "ne"} and node.arguments[0].type is Type.TEXT:
            raise _NoWordsError  # one client orders text by its UTF-16
        left, right = (_value(part, dataset) for part in node.arguments)
        return f"{left} {_COMPARED[node.op]} {right}"
    if node.op == "among":
        constants = [_literal(node.arguments[0].type, constant) for constant in node.value]
        return f"{_value(node.arguments[0], dataset)} in [{', '.join(constants)}]"
    if node.op in _METHODS:
        text, part = (_value(argument, dataset) for argument in node.arguments)
        return f"{text}.{_METHODS[node.op]}({part})"
    raise _NoWordsError


def _value(node: Typed, dataset: Dataset) -> str:
    if node.op == "field":
        return f"message.{_field(node, dataset).name}"
    if node.op == "literal":
        return _literal(node.type, node.value)
    if node.op == "size_text":
        return f"size({_value(node.arguments[0], dataset)})"
    if node.op in _SUMS:
        left, right = (_value(argument, dataset) for argument in node.arguments)
        return f"({left} {_SUMS[node.op]} {right})"
    raise _NoWordsError


def _literal(kind: Type, value: object) -> str:
    if kind is Type.TEXT and isinstance(value, str):
        return cel.text(value)
    number = cel.number(value) if kind in {Type.INT, Type.DATE} else None
    if number is None:
        raise _NoWordsError
    return number
