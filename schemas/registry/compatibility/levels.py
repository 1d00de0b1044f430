"""The seven levels: which earlier versions a new schema is compared with, and in which direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from schemas.registry.avro import AvroSchema
from schemas.registry.compatibility.resolution import incompatibilities

_Version = TypeVar("_Version")


@dataclass(frozen=True, slots=True)
class _Level:
    reads_old: bool
    read_by_old: bool
    transitive: bool


LEVELS: dict[str, _Level] = {
    "NONE": _Level(reads_old=False, read_by_old=False, transitive=False),
    "BACKWARD": _Level(reads_old=True, read_by_old=False, transitive=False),
    "BACKWARD_TRANSITIVE": _Level(reads_old=True, read_by_old=False, transitive=True),
    "FORWARD": _Level(reads_old=False, read_by_old=True, transitive=False),
    "FORWARD_TRANSITIVE": _Level(reads_old=False, read_by_old=True, transitive=True),
    "FULL": _Level(reads_old=True, read_by_old=True, transitive=False),
    "FULL_TRANSITIVE": _Level(reads_old=True, read_by_old=True, transitive=True),
}


def versions_that_count(level: str, versions: Sequence[_Version]) -> list[_Version]:
    """Those of a subject's *versions* (ascending) that a new schema is compared with at this level."""
    rule = LEVELS[level]
    if not (rule.reads_old or rule.read_by_old):
        return []
    return list(versions if rule.transitive else versions[-1:])


def check(level: str, new: AvroSchema, earlier: Sequence[tuple[int, AvroSchema]]) -> list[str]:
    """Why *new* may not follow the *earlier* versions (number, schema; ascending) at this level; none when it may."""
    rule = LEVELS[level]
    messages: list[str] = []
    for number, old in reversed(versions_that_count(level, earlier)):
        if rule.reads_old:
            found = incompatibilities(reader=new.root, writer=old.root)
            messages += [f"new schema cannot read version {number}: {message}" for message in found]
        if rule.read_by_old:
            found = incompatibilities(reader=old.root, writer=new.root)
            messages += [f"version {number} cannot read new schema: {message}" for message in found]
    return messages
