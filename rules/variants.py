"""Small changes to what a rule is made of: an operator, a bound, a value. ``rules/mutants.py`` puts them into rules."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from rules.identifiers import ID_REGIONS, WIDTH, id_number_is_valid, uscc_is_valid
from rules.names import among_names
from rules.state.normal import loose

_OTHER_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OTHER_OPERATOR = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+": "-",
    "-": "+",
    "!": "",
}
#: Text and remarks are passed over; days, operators and numbers are changed.
_TOKENS = re.compile(
    r"""(?P<day>date\("\d{4}-\d\d-\d\d"\))|r?"(?:[^"\\]|\\.)*"|r?'(?:[^'\\]|\\.)*'|//[^\n]*|[A-Za-z_]\w*"""
    r"""|(?P<operator>[<>=!]=|&&|\|\||[<>!]|[+-])|(?P<number>\d+(?:\.\d+)?)"""
)
#: Escapes and classes of a pattern are one token each.
_PATTERN_TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|\(\?:|.", re.DOTALL)
_CLASS_RANGE = re.compile(r"(?<=[\[^\w])([0-9A-Za-z])-([0-9A-Za-z])")
_DECIMAL_STEP = Decimal("0.000001")


def _no_check_character(code: str) -> bool:
    return len(code) == WIDTH and code.isascii()


def _no_birth_date(number: str, today: date, regions: Any) -> bool:
    return len(number) == WIDTH and number[:2] in regions


def _no_region(number: str, today: date, regions: Any) -> bool:
    return id_number_is_valid(number, today, [number[:2]])


def _born_any_day(number: str, today: date, regions: Any) -> bool:
    return id_number_is_valid(number, date.max, regions)


def _written_the_same(name: str, others: Iterable[str]) -> bool:
    return name in others


def _same_but_for_dots(name: str, others: Iterable[str]) -> bool:
    return loose(name) in map(loose, others)


#: What a careless author would have written in place of the functions that examine a value.
_WEAKER: dict[Any, tuple[Callable[..., bool], ...]] = {
    uscc_is_valid: (_no_check_character,),
    id_number_is_valid: (_no_birth_date, _no_region, _born_any_day),
    among_names: (_written_the_same, _same_but_for_dots),
}


def sources(source: str) -> Iterator[str]:
    """The Python expression *source* with one operator changed, or one ``not`` left out."""
    tree = ast.parse(source, mode="eval")
    places = list(ast.walk(tree))
    for at, node in enumerate(places):
        for change in _node_changes(node):
            other = deepcopy(tree)
            change(list(ast.walk(other))[at])
            yield ast.unparse(other)


def _node_changes(node: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            ops = [*node.ops[:number], _OTHER_COMPARISON[type(operator)](), *node.ops[number + 1 :]]
            yield partial(_set, "ops", ops)
    elif isinstance(node, ast.BoolOp):
        joined = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield partial(_set, "op", joined)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        # Not not: what was denied is asked for.
        yield partial(_set, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield partial(_set, "value", not node.value)


def _set(name: str, value: object, node: ast.AST) -> None:
    setattr(node, name, value)


def constants(value: Any) -> Iterator[Any]:
    """Neighbours of a bound, a set without one of its values, a pattern or an examining function that asks less."""
    owner = getattr(value, "__self__", None)
    if isinstance(owner, frozenset):
        yield from (getattr(other, value.__name__) for other in constants(owner))
    elif isinstance(owner, re.Pattern):
        yield from (re.compile(other).fullmatch for other in patterns(owner.pattern))
    elif isinstance(value, frozenset):
        if len(value) > 1 and value != frozenset(ID_REGIONS):  # those are the standard's, not the rule's
            yield from (value - {one} for one in sorted(value))
    elif isinstance(value, str):
        yield value + "·"
    elif isinstance(value, date):
        yield from (value - timedelta(days=1), value + timedelta(days=1))
    elif isinstance(value, Decimal):
        yield from (value - _DECIMAL_STEP, value + _DECIMAL_STEP)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (value - 1, value + 1)
    elif callable(value):
        yield from _WEAKER.get(value, ())


def expressions(text: str) -> Iterator[str]:
    """An expression of the rule language with one operator, number or day changed; not each makes sense."""
    for found in _TOKENS.finditer(text):
        for other in _other_tokens(found):
            yield text[: found.start()] + other + text[found.end() :]


def _other_tokens(found: re.Match[str]) -> Iterator[str]:
    token = found[0]
    if found["operator"]:
        yield _OTHER_OPERATOR[token]
    elif found["day"]:
        day = date.fromisoformat(token[6:16])
        yield from (f'date("{day + timedelta(days=step)}")' for step in (-1, 1))
    elif found["number"]:
        step = _DECIMAL_STEP if "." in token else 1
        yield from (str(Decimal(token) + step), *([str(Decimal(token) - step)] if Decimal(token) else []))


def patterns(pattern: str) -> Iterator[str]:
    """A regular expression with one repetition or range of characters changed, or without one of its alternatives."""
    tokens = [found[0] for found in _PATTERN_TOKENS.finditer(pattern)]
    for at, token in enumerate(tokens):
        for other in _other_pieces(token):
            yield from _compiling("".join((*tokens[:at], other, *tokens[at + 1 :])))
    for start, end in _alternatives(tokens):
        yield from _compiling("".join((*tokens[:start], *tokens[end:])))


def _other_pieces(token: str) -> Iterator[str]:
    if token in ("+", "*", "?"):
        yield {"+": "*", "*": "+", "?": ""}[token]
    elif token[0] == "{" and len(token) > 1:
        for number in re.finditer(r"\d+", token):
            for neighbour in (int(number[0]) - 1, int(number[0]) + 1):
                if neighbour >= 0:
                    yield token[: number.start()] + str(neighbour) + token[number.end() :]
    elif token[0] == "[" and len(token) > 1:
        for found in _CLASS_RANGE.finditer(token):
            first, last = found.groups()
            for narrower in (f"{chr(ord(first) + 1)}-{last}", f"{first}-{chr(ord(last) - 1)}"):
                yield token[: found.start()] + narrower + token[found.end() :]


def _alternatives(tokens: list[str]) -> Iterator[tuple[int, int]]:
    """From where to where an alternative stands, with one of the bars beside it."""
    begins: list[list[int]] = [[0]]
    for at, piece in enumerate([*tokens, ")"]):
        if piece in ("(", "(?:"):
            begins.append([at + 1])
        elif piece == "|":
            begins[-1].append(at + 1)
        elif piece == ")":
            group = begins.pop()
            ends = [*group[1:], at]
            if len(group) > 1:
                yield from zip(group[:-1], ends[:-1], strict=True)
                yield group[-1] - 1, at


def _compiling(pattern: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except re.error:
        return
    yield pattern
