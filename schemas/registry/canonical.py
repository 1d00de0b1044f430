"""One text for one schema, so that the same schema gets the same id however it was written."""

from __future__ import annotations

import json
from typing import Any

from schemas.registry.avro import MISSING, PRIMITIVES, AvroSchema, Field, Node


def canonical_text(schema: AvroSchema, *, normalize: bool = False) -> str:
    """The schema as compact JSON with attributes in a fixed order.

    Without *normalize* only white space, order of attributes and equivalent ways to write a name or a primitive are
    evened out. With it, custom attributes and aliases are sorted too.
    """
    return json.dumps(
        _Writer(normalize, schema.external).write(schema.root, ""), ensure_ascii=False, separators=(",", ":")
    )


class _Writer:
    def __init__(self, normalize: bool, external: frozenset[str]) -> None:
        self._normalize = normalize
        self._written = set(external)

    def write(self, node: Node, space: str) -> Any:
        if node.kind == "union":
            return [self.write(branch, space) for branch in node.branches]
        if node.named:
            return self._named(node, space)
        if node.kind in PRIMITIVES:
            return {"type": node.kind, **self._props(node.props)} if node.props else node.kind
        key = "items" if node.kind == "array" else "values"
        inner = self.write(node.items, space) if node.items is not None else None
        return {"type": node.kind, key: inner, **self._props(node.props)}

    def _named(self, node: Node, space: str) -> Any:
        own_space, _, short = node.name.rpartition(".")
        if node.name in self._written:
            return short if own_space == space else node.name
        self._written.add(node.name)
        out: dict[str, Any] = {"type": node.kind, "name": short}
        if own_space != space:
            out["namespace"] = own_space
        if node.doc is not None:
            out["doc"] = node.doc
        if node.kind == "enum":
            out["symbols"] = list(node.symbols)
            if node.default is not MISSING:
                out["default"] = node.default
        elif node.kind == "fixed":
            out["size"] = node.size
        else:
            out["fields"] = [self._field(item, own_space) for item in node.fields]
        out |= self._props(node.props)
        if node.aliases:
            out["aliases"] = self._aliases(node.aliases)
        return out

    def _field(self, item: Field, space: str) -> dict[str, Any]:
        out: dict[str, Any] = {"name": item.name, "type": self.write(item.type, space)}
        if item.doc is not None:
            out["doc"] = item.doc
        if item.default is not MISSING:
            out["default"] = item.default
        if item.order != "ascending":
            out["order"] = item.order
        if item.aliases:
            out["aliases"] = self._aliases(item.aliases)
        return out | self._props(item.props)

    def _aliases(self, aliases: tuple[str, ...]) -> list[str]:
        return sorted(aliases) if self._normalize else list(aliases)

    def _props(self, props: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(props.items())) if self._normalize else props
