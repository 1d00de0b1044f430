"""Text to syntax tree. Hostile text ends in an :class:`ExpressionError`: size and depth are bounded before any walk."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, v_args
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive

from rules.expr.tree import ExpressionError, Node, Place

MAX_CHARACTERS = 4000
MAX_DEPTH = 64

_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_SHORT_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
#: What Lark calls the end of the text.
_END = "$END"


def parse(text: str) -> Node:
    """The syntax tree of *text*; raises ExpressionError."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"longer than {MAX_CHARACTERS} characters; split the rule in two", Place())
    if not text.strip():
        raise ExpressionError("empty", Place())
    try:
        tree = _parser().parse(text)
        found: Any = _Builder().transform(tree)
    except UnexpectedInput as error:
        raise _explained(error, text) from None
    except VisitError as error:
        if isinstance(error.orig_exc, ExpressionError):
            raise error.orig_exc from None
        raise
    except LarkError as error:
        raise ExpressionError(str(error).splitlines()[0], Place()) from None
    assert isinstance(found, Node)
    return found


@cache
def _parser() -> Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _explained(error: UnexpectedInput, text: str) -> ExpressionError:
    at = Place(max(error.line, 1), max(error.column, 1))
    if isinstance(error, UnexpectedToken) and error.token.type == _END:
        last = text.rstrip()
        line = last.count("\n") + 1
        return ExpressionError("something is missing at the end", Place(line, len(last) - last.rfind("\n")))
    if isinstance(error, UnexpectedCharacters):
        character = text[error.pos_in_stream or 0]
        return ExpressionError(f"unexpected {character!r}{_half_width(character)}", at)
    found = error.token if isinstance(error, UnexpectedToken) else ""
    return ExpressionError(f"unexpected {str(found)[:40]!r}{_operator(str(found))}", at)


def _half_width(character: str) -> str:
    if character in "\"'":
        return "; this text has no closing quote on its line"
    plain = {"“": '"', "”": '"', "‘": "'", "’": "'", "。": "."}.get(character) or unicodedata.normalize(
        "NFKC", character
    )
    if len(plain) == 1 and plain != character and plain.isascii():
        return f"; outside of quotes write {plain!r}"
    return {"=": "; write ==", "&": "; write &&", "|": "; write ||"}.get(character, "")


def _operator(token: str) -> str:
    words = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
    return f"; write {words[token]}" if token in words else ""


def _place(where: Meta | Token) -> Place:
    return Place(getattr(where, "line", None) or 1, getattr(where, "column", None) or 1)


def _node(op: str, meta: Meta | Token, arguments: tuple[Node, ...] = (), value: Any = None) -> Node:
    node = Node(op, _place(meta), arguments, value)
    if node.depth > MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels", node.at)
    return node


@v_args(meta=True)
class _Builder(Transformer_NonRecursive[Token, Node]):
    """Called for each rule of the grammar, innermost first, without recursion: a tree is as deep as a text is long."""

    def any_of(self, meta: Meta, terms: list[Node]) -> Node:
        return _node("or", meta, tuple(terms))

    def all_of(self, meta: Meta, terms: list[Node]) -> Node:
        return _node("and", meta, tuple(terms))

    def choice(self, meta: Meta, parts: list[Node]) -> Node:
        return _node("choice", meta, tuple(parts))

    def binary(self, meta: Meta, parts: list[Any]) -> Node:
        left, operator, right = parts
        return _node(str(operator), operator, (left, right))

    def unary(self, meta: Meta, parts: list[Any]) -> Node:
        operator, value = parts
        return _node(f"unary{operator}", operator, (value,))

    def method(self, meta: Meta, parts: list[Any]) -> Node:
        value, name, arguments = parts
        return _node("method", name, (value, *(arguments or ())), str(name))

    def call(self, meta: Meta, parts: list[Any]) -> Node:
        name, arguments = parts
        return _node("call", name, tuple(arguments or ()), str(name))

    def arguments(self, meta: Meta, parts: list[Node]) -> list[Node]:
        return parts

    def constants(self, meta: Meta, parts: list[Any]) -> Node:
        return _node("list", meta, tuple(parts[0]))

    def name(self, meta: Meta, parts: list[Token]) -> Node:
        return _node("name", parts[0], value=str(parts[0]))

    def whole(self, meta: Meta, parts: list[Token]) -> Node:
        if len(parts[0]) > 19 or int(parts[0]) >= 1 << 63:
            raise ExpressionError("a whole number of more than 63 bits", _place(parts[0]))
        return _node("whole", parts[0], value=int(parts[0]))

    def decimal(self, meta: Meta, parts: list[Token]) -> Node:
        before, _, after = parts[0].partition(".")
        if len(before.lstrip("0")) > 12 or len(after) > 6:
            raise ExpressionError("more than 12 digits before or 6 after the point", _place(parts[0]))
        return _node("decimal", parts[0], value=Decimal(str(parts[0])))

    def text(self, meta: Meta, parts: list[Token]) -> Node:
        return _node("text", parts[0], value=_unescaped(parts[0]))

    def raw_text(self, meta: Meta, parts: list[Token]) -> Node:
        return _node("text", parts[0], value=_sound(str(parts[0])[2:-1], parts[0]))

    def true(self, meta: Meta, parts: list[Token]) -> Node:
        return _node("bool", meta, value=True)

    def false(self, meta: Meta, parts: list[Token]) -> Node:
        return _node("bool", meta, value=False)

    def null(self, meta: Meta, parts: list[Token]) -> Node:
        return _node("null", meta)


def _unescaped(token: Token) -> str:
    def character(found: re.Match[str]) -> str:
        escape = found[1]
        if escape in _SHORT_ESCAPES:
            return _SHORT_ESCAPES[escape]
        code = int(escape[1:], 16) if len(escape) > 1 else -1
        if not 0 <= code <= 0x10FFFF:
            raise ExpressionError(rf"no such escape: \{escape}; a backslash is written \\", _place(token))
        return chr(code)

    return _sound(_ESCAPE.sub(character, str(token)[1:-1]), token)


def _sound(text: str, token: Token) -> str:
    """*text*, unless it has half of a surrogate pair, which neither columns nor records can hold."""
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise ExpressionError("half of a surrogate pair is no character", _place(token))
    return text
