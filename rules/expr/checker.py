"""Names and types: from the tree as it was written to one whose every part both evaluations can compute.

Whole numbers become amounts where they meet amounts, parts that no record changes become constants, and everything that
cannot be meant (a field that does not exist, a text compared with a date) is an error that says where.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from rules.errors import suggest
from rules.expr.evaluation import row_function
from rules.expr.functions import FUNCTIONS, MACROS, NAMES, Function, named
from rules.expr.operations import MILLION
from rules.expr.tree import ExpressionError, Node, Type, Typed
from rules.regex import with_anchors
from schemas.catalog import Dataset

MAX_CONSTANTS = 1000
MAX_MONTHS = 1200
_FIELD_TYPES = {
    "string": Type.TEXT,
    "long": Type.INT,
    "decimal": Type.DECIMAL,
    "date": Type.DATE,
    "timestamp": Type.MOMENT,
    "boolean": Type.BOOL,
}
_COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod"}
_NUMBERS = frozenset({Type.INT, Type.DECIMAL})
_DAYS = {("+", Type.INT): ("day_plus", Type.DATE), ("-", Type.INT): ("day_minus", Type.DATE)}
_DAYS[("-", Type.DATE)] = ("days_between", Type.INT)


def check(node: Node, dataset: Dataset) -> Typed:
    """The condition *node* over records of *dataset*; raises ExpressionError."""
    checker = _Checker(dataset)
    typed = checker.expect(node, Type.BOOL)
    if not typed.fields:
        raise ExpressionError("no field of the record is looked at", node.at)
    return typed


class _Checker:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def expect(self, node: Node, type_: Type) -> Typed:
        """*node*, which must be of that type."""
        typed = self.typed(node)
        if typed.type is Type.INT and type_ is Type.DECIMAL:
            return _widened(typed)
        if typed.type is not type_:
            raise ExpressionError(f"{_article(type_)} is needed here, this is {_article(typed.type)}", node.at)
        return typed

    def typed(self, node: Node) -> Typed:
        """*node* with its type."""
        if node.op in {"whole", "decimal", "text", "bool", "null"}:
            return _literal_of(node)
        if node.op == "name":
            return self._name(node)
        if node.op in {"and", "or"}:
            return _folded(Typed(node.op, Type.BOOL, tuple(self.expect(part, Type.BOOL) for part in node.arguments)))
        if node.op == "choice":
            return self._choice(node)
        if node.op in {"==", "!="} and any(part.op == "null" for part in node.arguments):
            return self._null_test(node)
        if node.op in _COMPARISONS:
            return self._comparison(node)
        if node.op == "in":
            return self._membership(node)
        if node.op in _ARITHMETIC:
            return self._arithmetic(node)
        if node.op == "unary!":
            return _folded(Typed("not", Type.BOOL, (self.expect(node.arguments[0], Type.BOOL),)))
        if node.op == "unary-":
            return self._negated(node)
        if node.op in {"call", "method"}:
            return self._call(node)
        raise ExpressionError("a list stands to the right of 'in' only", node.at)

    def _name(self, node: Node) -> Typed:
        if node.value == "today":
            return Typed("today", Type.DATE)
        field = self._dataset.by_name.get(node.value)
        if field is None:
            if named(node.value):
                raise ExpressionError(f"{node.value} is a function: write {node.value}(…)", node.at)
            known = suggest(node.value, {*self._dataset.by_name, *NAMES})
            raise ExpressionError(f"{self._dataset.code} has no field {node.value!r}{known}", node.at)
        return Typed("field", _FIELD_TYPES[field.type], value=field.name)

    def _choice(self, node: Node) -> Typed:
        condition = self.expect(node.arguments[0], Type.BOOL)
        branches = [self.typed(branch) for branch in node.arguments[1:]]
        kinds = {branch.type for branch in branches} - {Type.NULL}
        if kinds == _NUMBERS:
            kinds = {Type.DECIMAL}
        if len(kinds) != 1:
            first, second = (_article(branch.type) for branch in branches)
            raise ExpressionError(f"both branches must be of one type, not {first} and {second}", node.at)
        kind = kinds.pop()
        if kind is Type.TEXTS:
            raise ExpressionError("a list cannot be chosen", node.at)
        return _folded(Typed("choice", kind, (condition, *(_as(branch, kind) for branch in branches))))

    def _null_test(self, node: Node) -> Typed:
        others = [part for part in node.arguments if part.op != "null"]
        if len(others) != 1:
            raise ExpressionError("null is compared with null", node.at)
        test = Typed("is_null", Type.BOOL, (self.typed(others[0]),))
        return _folded(test if node.op == "==" else Typed("not", Type.BOOL, (test,)))

    def _comparison(self, node: Node) -> Typed:
        left, right = _alike(node, *map(self.typed, node.arguments))
        if left.type is Type.TEXTS or (left.type is Type.BOOL and node.op not in {"==", "!="}):
            raise ExpressionError(f"{_article(left.type)} cannot be compared with {node.op}", node.at)
        if node.op in {"==", "!="}:
            for one, other, place in ((left, right, node.arguments[1]), (right, left, node.arguments[0])):
                if other.op == "literal":
                    self._possible(one, [other.value], place)
        return _folded(Typed(_COMPARISONS[node.op], Type.BOOL, (left, right)))

    def _membership(self, node: Node) -> Typed:
        value, place = self.typed(node.arguments[0]), node.arguments[1]
        if place.op != "list":
            texts = self.expect(place, Type.TEXTS)
            if value.type is not Type.TEXT:
                raise ExpressionError(f"only a text is in a list of text, not {_article(value.type)}", node.at)
            return _folded(Typed("in_list", Type.BOOL, (value, texts)))
        if len(place.arguments) > MAX_CONSTANTS:
            raise ExpressionError(f"a list of more than {MAX_CONSTANTS}", place.at)
        constants = [self.typed(part) for part in place.arguments]
        if value.type is Type.INT and any(constant.type is Type.DECIMAL for constant in constants):
            value = _widened(value)
        if value.type not in {Type.TEXT, Type.INT, Type.DECIMAL, Type.DATE}:
            raise ExpressionError(f"{_article(value.type)} cannot be looked for in a list", node.at)
        found = [_as(constant, value.type) for constant in constants]
        for constant, part in zip(found, place.arguments, strict=True):
            if constant.op != "literal" or constant.type is not value.type or constant.value is None:
                raise ExpressionError(f"a constant {value.type.value} is needed in this list", part.at)
            self._possible(value, [constant.value], part)
        return _folded(Typed("among", Type.BOOL, (value,), tuple(constant.value for constant in found)))

    def _possible(self, value: Typed, constants: Iterable[Any], place: Node) -> None:
        """An enumerated field is never compared with what it cannot be."""
        if value.op != "field":
            return
        allowed = self._dataset.by_name[value.value].enumeration
        for constant in constants:
            if allowed and constant not in allowed:
                raise ExpressionError(f"{value.value} is never {constant!r}{suggest(str(constant), allowed)}", place.at)

    def _arithmetic(self, node: Node) -> Typed:
        left, right = (self.typed(part) for part in node.arguments)
        if left.type is Type.DATE and (node.op, right.type) in _DAYS:
            op, kind = _DAYS[node.op, right.type]
            return _folded(Typed(op, kind, (left, right)))
        if left.type is right.type is Type.TEXT and node.op == "+":
            return _folded(Typed("add_text", Type.TEXT, (left, right)))
        left, right = _alike(node, left, right)
        if left.type not in _NUMBERS or (node.op == "%" and left.type is not Type.INT):
            raise ExpressionError(f"{_article(left.type)} has no {node.op}{_hint(left.type, left.type)}", node.at)
        return _folded(Typed(f"{_ARITHMETIC[node.op]}_{left.type.value}", left.type, (left, right)))

    def _negated(self, node: Node) -> Typed:
        value = self.typed(node.arguments[0])
        if value.type not in _NUMBERS:
            raise ExpressionError(f"{_article(value.type)} has no -", node.at)
        return _folded(Typed(f"sub_{value.type.value}", value.type, (_constant(value.type, 0), value)))

    def _call(self, node: Node) -> Typed:
        if node.op == "call" and node.value == "has":
            return self._has(node)
        candidates = [function for function in named(node.value) if function.method or node.op == "call"]
        if not candidates:
            methods = {function.name for function in FUNCTIONS if function.method or node.op == "call"}
            known = suggest(node.value, methods | (MACROS if node.op == "call" else frozenset()))
            raise ExpressionError(f"no function {node.value!r}{known}", node.at)
        arguments = [self.typed(argument) for argument in node.arguments]
        for function in candidates:
            if len(arguments) == len(function.takes) and all(map(_fits, arguments, function.takes)):
                return self._applied(
                    function, node, [_as(*pair) for pair in zip(arguments, function.takes, strict=True)]
                )
        ways = " or ".join(f"{node.value}({', '.join(kind.value for kind in way.takes)})" for way in candidates)
        given = ", ".join(argument.type.value for argument in arguments)
        raise ExpressionError(f"{node.value} is {ways}, not {node.value}({given})", node.at)

    def _applied(self, function: Function, node: Node, arguments: list[Typed]) -> Typed:
        for place in function.literals:
            if arguments[place].op != "literal" or arguments[place].value is None:
                if function.op == "date_literal":
                    raise ExpressionError('write a day: date("2024-01-31")', node.arguments[place].at)
                raise ExpressionError(f"{node.value} needs a constant here", node.arguments[place].at)
        if function.op == "date_literal":
            return _date(arguments[0].value, node)
        if function.op == "matches":
            return self._matches(arguments, node)
        if function.op == "split" and not arguments[1].value:
            raise ExpressionError("split needs a separator", node.arguments[1].at)
        if function.op == "plus_months" and abs(arguments[1].value) > MAX_MONTHS:
            raise ExpressionError(f"more than {MAX_MONTHS} months", node.arguments[1].at)
        return _folded(Typed(function.op, function.gives, tuple(arguments)))

    def _matches(self, arguments: list[Typed], node: Node) -> Typed:
        try:
            pattern = with_anchors(arguments[1].value)
        except ValueError as error:
            raise ExpressionError(str(error), node.arguments[1].at) from None
        return _folded(Typed("matches", Type.BOOL, (arguments[0],), pattern))

    def _has(self, node: Node) -> Typed:
        if len(node.arguments) != 1 or node.arguments[0].op != "name" or node.arguments[0].value in NAMES:
            raise ExpressionError("has takes the name of a field: has(FIELD)", node.at)
        return Typed("not", Type.BOOL, (Typed("is_null", Type.BOOL, (self._name(node.arguments[0]),)),))


def _alike(node: Node, left: Typed, right: Typed) -> tuple[Typed, Typed]:
    """Both sides of *node* in one type."""
    if {left.type, right.type} == _NUMBERS:
        return _widened(left), _widened(right)
    if left.type is not right.type or left.type is Type.NULL:
        message = f"{_article(left.type)} {node.op} {_article(right.type)}"
        raise ExpressionError(f"these do not go together: {message}{_hint(left.type, right.type)}", node.at)
    return left, right


def _literal_of(node: Node) -> Typed:
    if node.op == "null":
        return Typed("literal", Type.NULL)
    if node.op == "decimal":
        return _constant(Type.DECIMAL, int(node.value * MILLION))
    return _constant({"whole": Type.INT, "text": Type.TEXT, "bool": Type.BOOL}[node.op], node.value)


def _constant(kind: Type, value: Any) -> Typed:
    return Typed("literal", kind, value=value)


def _folded(typed: Typed) -> Typed:
    """A constant in place of what no record and no day changes."""
    if typed.type is Type.TEXTS or not typed.is_constant:
        return typed
    return _constant(typed.type, row_function(typed, ())((), date.min))


def _widened(typed: Typed) -> Typed:
    """A number as an amount."""
    return typed if typed.type is not Type.INT else _folded(Typed("widen", Type.DECIMAL, (typed,)))


def _fits(typed: Typed, kind: Type) -> bool:
    return typed.type is kind or (typed.type is Type.INT and kind is Type.DECIMAL)


def _as(typed: Typed, kind: Type) -> Typed:
    """*typed* as that type where it can be it, else as it is."""
    if typed.type is Type.NULL:
        return _constant(kind, None)
    return _widened(typed) if kind is Type.DECIMAL else typed


def _date(text: str, node: Node) -> Typed:
    try:
        return _constant(Type.DATE, date.fromisoformat(text) if len(text) == 10 else date.fromisoformat("?"))
    except ValueError:
        raise ExpressionError(f"{text!r} is no day; write it as 2024-01-31", node.arguments[0].at) from None


def _article(kind: Type) -> str:
    return f"an {kind.value}" if kind is Type.INT else kind.value if kind is Type.NULL else f"a {kind.value}"


def _hint(left: Type, right: Type) -> str:
    kinds = {left, right}
    if kinds == {Type.TEXT, Type.DATE}:
        return '; a day is written date("2024-01-31")'
    if Type.MOMENT in kinds:
        return "; date(…) gives the day of a timestamp"
    if Type.NULL in kinds:
        return "; only == and != ask for null"
    return ""
