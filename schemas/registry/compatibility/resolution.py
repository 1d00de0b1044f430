"""Avro schema resolution on two graphs: everything that keeps a reader from reading what a writer wrote.

The same answers as Avro's own ``SchemaCompatibility`` in Java, on which Confluent's registry rests. Two types of one
name in different namespaces match by their short name, as there; aliases count on the reader's side.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.registry.avro import MISSING, Field, Node
from schemas.registry.errors import too_large

#: Which primitive of the writer may become which of the reader.
PROMOTIONS: dict[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
_MAX_STEPS = 200_000
_MAX_MESSAGES = 100


def incompatibilities(reader: Node, writer: Node) -> list[str]:
    """One sentence each, with the path of the field; empty when every value of *writer* can be read.

    Raises RegistryError 42209 when the two are too intertwined to compare.
    """
    try:
        found = _Comparison().compare(reader, writer, "")
    except RecursionError:
        # A chain of named types may be as long as the schema, however shallow its JSON is.
        raise too_large("The two schemas are too intertwined to compare") from None
    return list(dict.fromkeys(found))[:_MAX_MESSAGES]


class _Comparison:
    """Remembers every pair, so that recursive and diamond-shaped schemas cost each pair once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], list[str]] = {}
        self._compatible: list[tuple[int, int]] = []
        self._named: dict[int, dict[str, list[Node]]] = {}
        self._steps = 0

    def compare(self, reader: Node, writer: Node, path: str) -> list[str]:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise too_large("The two schemas are too intertwined to compare")
        pair = (id(reader), id(writer))
        if pair in self._known:
            return self._known[pair]
        # Compatible unless proven otherwise: what breaks a recursion is found where the recursion began.
        self._known[pair] = []
        since = len(self._compatible)
        found = self._resolve(reader, writer, path)
        if found:
            # What was found compatible meanwhile may rest on this pair's being so: it is looked at again when needed.
            for assumed in self._compatible[since:]:
                self._known.pop(assumed, None)
            del self._compatible[since:]
        else:
            self._compatible.append(pair)
        self._known[pair] = found
        return found

    def _resolve(self, reader: Node, writer: Node, path: str) -> list[str]:
        if writer.kind == "union":
            return [message for branch in writer.branches for message in self._read_branch(reader, branch, path)]
        if reader.kind == "union":
            return self._into_union(reader, writer, path)
        if _kind(reader) != _kind(writer):
            if reader.kind in PROMOTIONS.get(writer.kind, ()):
                return []
            return [_at(path, f"type {writer.label} cannot be read as {reader.label}")]
        match _kind(reader):
            case "record":
                return self._name(reader, writer, path) or self._record(reader, writer, path)
            case "enum":
                return self._name(reader, writer, path) or self._enum(reader, writer, path)
            case "fixed":
                return self._name(reader, writer, path) or self._fixed(reader, writer, path)
            case "array" | "map" if reader.items is not None and writer.items is not None:
                return self.compare(
                    reader.items, writer.items, f"{path}[]" if reader.kind == "array" else f"{path}{{}}"
                )
            case _:
                return []

    def _read_branch(self, reader: Node, branch: Node, path: str) -> list[str]:
        found = self.compare(reader, branch, path)
        if found and reader.kind == "union" and not branch.named:
            return [_at(path, f"the union lacks the writer's type {branch.label}")]
        return found

    def _into_union(self, reader: Node, writer: Node, path: str) -> list[str]:
        reasons: list[str] = []
        for branch in self._candidates(reader, writer):
            found = self.compare(branch, writer, path)
            if not found:
                return []
            if branch.named and _kind(branch) == _kind(writer):
                reasons = found
        return reasons or [_at(path, f"the union lacks the writer's type {writer.label}")]

    def _candidates(self, union: Node, writer: Node) -> Sequence[Node]:
        """The branches that may read *writer* at all: of a named type, those of its name."""
        if not writer.named:
            return union.branches
        index = self._named.get(id(union))
        if index is None:
            index = self._named[id(union)] = {}
            for branch in union.branches:
                for name in {_short(branch), *branch.aliases} if branch.named else ():
                    index.setdefault(name, []).append(branch)
        return list(dict.fromkeys([*index.get(_short(writer), ()), *index.get(writer.name, ())]))

    def _name(self, reader: Node, writer: Node, path: str) -> list[str]:
        if _same_name(reader, writer):
            return []
        return [_at(path, f"the name was {writer.name} and is expected to be {reader.name}")]

    def _record(self, reader: Node, writer: Node, path: str) -> list[str]:
        written = {field.name: field for field in writer.fields}
        found: list[str] = []
        for field in reader.fields:
            inner = f"{path}.{field.name}" if path else field.name
            source = _written_field(written, field)
            if source is not None:
                found += self.compare(field.type, source.type, inner)
            elif field.default is MISSING:
                found.append(_at(inner, "the writer has no such field and the reader has no default for it"))
        return found

    def _enum(self, reader: Node, writer: Node, path: str) -> list[str]:
        known = set(reader.symbols)
        lost = [symbol for symbol in writer.symbols if symbol not in known]
        if not lost or reader.default is not MISSING:
            return []
        return [_at(path, f"the enum {reader.name} lacks the symbols {', '.join(lost[:10])} and has no default")]

    def _fixed(self, reader: Node, writer: Node, path: str) -> list[str]:
        if reader.size == writer.size:
            return []
        return [_at(path, f"the size of {reader.name} was {writer.size} and is expected to be {reader.size}")]


def _kind(node: Node) -> str:
    return "record" if node.kind == "error" else node.kind


def _same_name(reader: Node, writer: Node) -> bool:
    return _short(reader) == _short(writer) or writer.name in reader.aliases


def _short(node: Node) -> str:
    return node.name.rpartition(".")[2]


def _written_field(written: dict[str, Field], field: Field) -> Field | None:
    for name in (field.name, *field.aliases):
        if name in written:
            return written[name]
    return None


def _at(path: str, reason: str) -> str:
    return f"field '{path}': {reason}" if path else reason
