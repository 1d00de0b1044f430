"""Avro schemas as a graph: parsing with every rule of the specification, default values included, within limits.

The registry needs more than "is it valid": names resolved across references for compatibility, one text for one meaning
so that the same schema gets the same id, and a bound on the work that a hostile schema can cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from schemas.registry.errors import RegistryError, invalid_schema, too_large

MAX_TEXT = 1_000_000
MAX_DEPTH = 64
MAX_NODES = 20_000
MAX_BRANCHES = 512
_MAX_DEFAULT_STEPS = 200_000

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = frozenset({"record", "error", "enum", "fixed"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ORDERS = frozenset({"ascending", "descending", "ignore"})
_OWN_KEYS = {
    "record": frozenset({"type", "name", "namespace", "doc", "fields", "aliases"}),
    "error": frozenset({"type", "name", "namespace", "doc", "fields", "aliases"}),
    "enum": frozenset({"type", "name", "namespace", "doc", "symbols", "default", "aliases"}),
    "fixed": frozenset({"type", "name", "namespace", "doc", "size", "aliases"}),
    "array": frozenset({"type", "items"}),
    "map": frozenset({"type", "values"}),
}
_FIELD_KEYS = frozenset({"name", "type", "doc", "default", "order", "aliases"})
_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)


class _Missing:
    """The default of a field that has none (``None`` is the default *null*)."""


MISSING = _Missing()


@dataclass(eq=False, slots=True)
class Field:
    """A field of a record; ``default`` is MISSING when there is none."""

    name: str
    type: Node
    default: Any = MISSING
    doc: str | None = None
    order: str = "ascending"
    aliases: tuple[str, ...] = ()
    props: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Node:
    """One type; named types may be reached from several places and from within themselves."""

    kind: str
    name: str = ""
    doc: str | None = None
    aliases: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    symbols: tuple[str, ...] = ()
    default: Any = MISSING
    size: int = 0
    items: Node | None = None
    branches: tuple[Node, ...] = ()
    props: dict[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> bool:
        """True for record, error, enum and fixed."""
        return self.kind in _NAMED

    @property
    def label(self) -> str:
        """The full name of a named type, else its kind."""
        return self.name or self.kind


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """A parsed schema; ``external`` are the names that its references define and its own text only uses."""

    root: Node
    external: frozenset[str]


def parse(text: str, references: Iterable[str] = ()) -> AvroSchema:
    """The graph of a schema's JSON *text*; *references* are the texts it builds on, dependencies first.

    Raises RegistryError: 42201 with the place and the reason, 42209 beyond the size limit.
    """
    names: dict[str, Node] = {}
    for reference in references:
        _Parser(names).parse(reference)
    external = frozenset(names)
    return AvroSchema(_Parser(names).parse(text), external)


def load_json(text: str) -> Any:
    """JSON with exact integers; refuses what is too large, too deep, not finite, or not JSON (RegistryError)."""
    if len(text) > MAX_TEXT:
        raise too_large(f"The schema has {len(text)} characters; at most {MAX_TEXT} are allowed")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise invalid_schema(f"Invalid schema: nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        # A bare name (string instead of "string") is what some clients send for a primitive type.
        if text.strip() in PRIMITIVES:
            return text.strip()
        raise invalid_schema(f"Invalid schema: not JSON: {str(error)[:200]}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def full_name(name: str, space: str) -> str:
    """*name* as seen from inside the namespace *space*."""
    return name if "." in name or not space else f"{space}.{name}"


class _Parser:
    def __init__(self, names: dict[str, Node]) -> None:
        self._names = names
        self._nodes = 0
        self._defaults: list[tuple[str, Field]] = []

    def parse(self, text: str) -> Node:
        node = self._node(load_json(text), "", "", 0)
        # Defaults last: a default may be of a record that is defined only later.
        fits = _Fit()
        for where, item in self._defaults:
            if not fits(item.type, item.default, 0):
                self._fail(where, f"invalid default {_short(item.default)} for type {item.type.label}")
        return node

    def _fail(self, where: str, reason: str) -> NoReturn:
        raise invalid_schema(f"Invalid schema: {where or '/'}: {reason}")

    def _node(self, raw: Any, space: str, where: str, depth: int) -> Node:
        self._nodes += 1
        if depth > MAX_DEPTH:
            self._fail(where[:100], f"nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise too_large(f"The schema has more than {MAX_NODES} types")
        if isinstance(raw, str):
            return self._by_name(raw, space, where)
        if isinstance(raw, list):
            return self._union(raw, space, where, depth)
        if not isinstance(raw, dict):
            self._fail(where, f"a type must be a name, an object or a list, not {_short(raw)}")
        return self._object(raw, space, where, depth)

    def _by_name(self, name: str, space: str, where: str) -> Node:
        if name in PRIMITIVES:
            return Node(name)
        known = self._names.get(full_name(name, space)) or self._names.get(name)
        if known is None:
            self._fail(where, f"undefined name: {_short(name)}")
        return known

    def _union(self, raw: list[Any], space: str, where: str, depth: int) -> Node:
        if len(raw) > MAX_BRANCHES:
            raise too_large(f"{where}: a union of {len(raw)} types; at most {MAX_BRANCHES} are allowed")
        branches = tuple(self._node(item, space, f"{where}/{at}", depth + 1) for at, item in enumerate(raw))
        seen: set[str] = set()
        for branch in branches:
            if branch.kind == "union":
                self._fail(where, "a union may not hold a union")
            if branch.label in seen:
                self._fail(where, f"duplicate in union: {branch.label}")
            seen.add(branch.label)
        return Node("union", branches=branches)

    def _object(self, raw: dict[str, Any], space: str, where: str, depth: int) -> Node:
        kind = raw.get("type")
        if not isinstance(kind, str):
            self._fail(where, f"no type: {_short(raw)}")
        if kind in PRIMITIVES:
            return Node(kind, props=_props(raw, frozenset({"type"})))
        if kind in _NAMED:
            return self._named_type(kind, raw, space, where, depth)
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            if key not in raw:
                self._fail(where, f"{kind} has no {key}")
            items = self._node(raw[key], space, f"{where}/{key}", depth + 1)
            return Node(kind, items=items, props=_props(raw, _OWN_KEYS[kind]))
        return self._by_name(kind, space, where)

    def _named_type(self, kind: str, raw: dict[str, Any], space: str, where: str, depth: int) -> Node:
        name = self._full_name_of(raw, space, where)
        inner = name.rpartition(".")[0]
        node = Node(kind, name=name, doc=_doc(raw), props=_props(raw, _OWN_KEYS[kind]))
        node.aliases = tuple(full_name(alias, inner) for alias in self._aliases(raw, where))
        if name in self._names:
            self._fail(where, f"can't redefine: {name}")
        self._names[name] = node
        if kind == "fixed":
            node.size = self._size(raw, where)
        elif kind == "enum":
            self._fill_enum(node, raw, where)
        else:
            self._fill_record(node, raw, inner, where, depth)
        return node

    def _full_name_of(self, raw: dict[str, Any], space: str, where: str) -> str:
        name, own_space = raw.get("name"), raw.get("namespace", space)
        if not isinstance(name, str):
            self._fail(where, "no name")
        if not isinstance(own_space, str):
            self._fail(where, f"namespace must be a string, not {_short(own_space)}")
        full = full_name(name, own_space)
        for part in full.split("."):
            if not _NAME.fullmatch(part):
                self._fail(where, f"illegal name: {_short(full)}")
        if full in PRIMITIVES:
            self._fail(where, f"schemas may not be named after primitives: {full}")
        return full

    def _aliases(self, raw: dict[str, Any], where: str) -> list[str]:
        aliases = raw.get("aliases", [])
        if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
            self._fail(where, "aliases must be a list of names")
        for alias in aliases:
            if not all(_NAME.fullmatch(part) for part in alias.split(".")):
                self._fail(where, f"illegal alias: {_short(alias)}")
        return aliases

    def _size(self, raw: dict[str, Any], where: str) -> int:
        size = raw.get("size")
        if not _whole(size, (0, _INT[1])):
            self._fail(where, f"invalid or no size: {_short(size)}")
        return int(raw["size"])

    def _fill_enum(self, node: Node, raw: dict[str, Any], where: str) -> None:
        symbols = raw.get("symbols")
        if not isinstance(symbols, list):
            self._fail(where, "enum has no symbols")
        for symbol in symbols:
            if not isinstance(symbol, str) or not _NAME.fullmatch(symbol):
                self._fail(where, f"illegal enum symbol: {_short(symbol)}")
        if len(set(symbols)) != len(symbols):
            self._fail(where, "duplicate enum symbol")
        node.symbols = tuple(symbols)
        if "default" in raw:
            node.default = raw["default"]
            if node.default not in node.symbols:
                self._fail(where, f"the enum default {_short(node.default)} is not among its symbols")

    def _fill_record(self, node: Node, raw: dict[str, Any], space: str, where: str, depth: int) -> None:
        fields = raw.get("fields")
        if not isinstance(fields, list):
            self._fail(where, "record has no fields")
        seen: set[str] = set()
        made: list[Field] = []
        for at, item in enumerate(fields):
            made.append(self._field(item, space, f"{where}/fields/{at}", depth))
            if made[-1].name in seen:
                self._fail(where, f"duplicate field {made[-1].name} in record {node.name}")
            seen.add(made[-1].name)
        node.fields = tuple(made)

    def _field(self, raw: Any, space: str, where: str, depth: int) -> Field:
        if not isinstance(raw, dict):
            self._fail(where, "a field must be an object")
        name = raw.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._fail(where, f"illegal field name: {_short(name)}")
        if "type" not in raw:
            self._fail(where, f"field {name} has no type")
        order = raw.get("order", "ascending")
        if order not in _ORDERS:
            self._fail(where, f"field {name}: invalid order {_short(order)}")
        item = Field(
            name=name,
            type=self._node(raw["type"], space, f"{where}/type", depth + 1),
            default=raw.get("default", MISSING),
            doc=_doc(raw),
            order=order,
            aliases=tuple(self._aliases(raw, where)),
            props=_props(raw, _FIELD_KEYS),
        )
        if item.default is not MISSING:
            self._defaults.append((f"{where} ({name})", item))
        return item


def _doc(raw: Mapping[str, Any]) -> str | None:
    doc = raw.get("doc")
    return doc if isinstance(doc, str) else None


def _props(raw: Mapping[str, Any], own: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in own}


def _whole(value: Any, bounds: tuple[int, int]) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and bounds[0] <= value <= bounds[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_bytes(value: Any) -> bool:
    return isinstance(value, str) and all(ord(char) < 256 for char in value)


class _Fit:
    """Checks defaults; those that are filled up by further defaults, and might never end, within a bound."""

    def __init__(self) -> None:
        self._steps = 0

    def __call__(self, node: Node, value: Any, depth: int) -> bool:
        """Whether the JSON *value* may be a default of *node* (Avro 1.12: of a union, any branch)."""
        self._steps += 1
        if self._steps > _MAX_DEFAULT_STEPS:
            raise too_large("The defaults are too intertwined to check")
        if depth > MAX_DEPTH:
            return False
        match node.kind:
            case "null":
                return value is None
            case "boolean":
                return isinstance(value, bool)
            case "int":
                return _whole(value, _INT)
            case "long":
                return _whole(value, _LONG)
            case "float" | "double":
                return _is_number(value)
            case "string":
                return isinstance(value, str)
            case "bytes":
                return _is_bytes(value)
            case "fixed":
                return _is_bytes(value) and len(value) == node.size
            case "enum":
                return value in node.symbols
            case "array":
                return isinstance(value, list) and all(self(_items(node), item, depth + 1) for item in value)
            case "map":
                return isinstance(value, dict) and all(self(_items(node), item, depth + 1) for item in value.values())
            case "union":
                return any(self(branch, value, depth + 1) for branch in node.branches)
            case _:
                return isinstance(value, dict) and all(
                    self(item.type, value.get(item.name, item.default), depth + 1) for item in node.fields
                )


def _items(node: Node) -> Node:
    if node.items is None:
        raise RegistryError(500, 50001, f"{node.kind} without items")
    return node.items


def _short(value: Any) -> str:
    """*value* for a message: hostile input is not echoed at length."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
