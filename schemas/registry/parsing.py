"""From what a client sent, or the log holds, to a parsed schema with everything that it references."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import fastavro

from schemas.registry import avro
from schemas.registry.canonical import canonical_text
from schemas.registry.errors import invalid_schema, too_large
from schemas.registry.requests import SchemaRequest
from schemas.registry.state import Content, Reference, RegistryState, SchemaVersion

_MAX_REFERENCED = 512
_MAX_REFERENCED_TEXT = 4 * avro.MAX_TEXT
#: A schema of this many characters is parsed on a thread, so that other requests go on.
_LONG_TEXT = 20_000
_CACHED = 1_000


class SchemaReader:
    """Parses requests and stored schemas; remembers the stored ones by id."""

    def __init__(self, state: RegistryState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._stored: OrderedDict[Content, avro.AvroSchema] = OrderedDict()

    async def content(self, request: SchemaRequest, *, normalize: bool) -> Content:
        """What the request stands for, in canonical text; 42201 when it is not valid Avro, 42209 when too large."""
        references = tuple(self._concrete(reference) for reference in request.references)
        texts = self._texts(references)
        if len(request.text) + sum(map(len, texts)) > _LONG_TEXT:
            text = await asyncio.to_thread(_canonical, request.text, texts, normalize)
        else:
            text = _canonical(request.text, texts, normalize)
        return Content(text, references, request.metadata, request.rule_set)

    def parsed(self, content: Content) -> avro.AvroSchema:
        """The graph of a canonical schema; may be called from any thread."""
        with self._lock:
            known = self._stored.get(content)
        if known is None:
            known = avro.parse(content.schema, self._texts(content.references))
        with self._lock:
            self._stored[content] = known
            self._stored.move_to_end(content)
            while len(self._stored) > _CACHED:
                self._stored.popitem(last=False)
        return known

    def _concrete(self, reference: Reference) -> Reference:
        """The reference with a version number in the place of -1 (latest); 42201 when there is no such version."""
        return replace(reference, version=self._target(reference).version)

    def _target(self, reference: Reference) -> SchemaVersion:
        if reference.version == -1:
            versions = self._state.versions(reference.subject)
            found = versions[-1] if versions else None
        else:
            found = self._state.version(reference.subject, reference.version)
        if found is None or found.deleted:
            raise invalid_schema(
                f"Invalid schema: no schema for the reference {reference.name[:64]!r} "
                f"to subject '{reference.subject[:64]}' version {reference.version}"
            )
        return found

    def _texts(self, references: Sequence[Reference]) -> list[str]:
        """The texts of everything referenced, directly or not, each after those that it builds on."""
        texts: list[str] = []
        seen: set[tuple[str, int]] = set()
        # An explicit stack: chains of references may be longer than Python's recursion limit.
        stack: list[tuple[Reference, bool]] = [(reference, False) for reference in reversed(references)]
        while stack:
            reference, expanded = stack.pop()
            place = (reference.subject, reference.version)
            if not expanded and place in seen:
                continue
            target = self._state.version(*place)
            if target is None:
                raise invalid_schema(f"Invalid schema: reference to unknown '{place[0][:64]}' version {place[1]}")
            if expanded:
                texts.append(target.content.schema)
                continue
            seen.add(place)
            if len(seen) > _MAX_REFERENCED:
                raise too_large(f"The schema builds on more than {_MAX_REFERENCED} others")
            stack.append((reference, True))
            stack += [(inner, False) for inner in reversed(target.content.references)]
        if sum(map(len, texts)) > _MAX_REFERENCED_TEXT:
            raise too_large(f"The schema builds on more than {_MAX_REFERENCED_TEXT} characters of other schemas")
        return texts


def _canonical(text: str, references: Sequence[str], normalize: bool) -> str:
    schema = avro.parse(text, references)
    _check_readable(text, references)
    return canonical_text(schema, normalize=normalize)


def _check_readable(text: str, references: Sequence[str]) -> None:
    """A second opinion by the library that reads the records: what it cannot parse must not be registered."""
    names: dict[str, Any] = {}
    try:
        for item in (*references, text):
            fastavro.parse_schema(avro.load_json(item), named_schemas=names)
    except Exception as error:
        raise invalid_schema(f"Invalid schema: {type(error).__name__}: {str(error)[:200]}") from None
