"""What the log says: subjects, versions, ids, levels and modes, in memory.

The log's records are applied one by one in order; nothing else changes the state. Layout of keys and values is
Confluent's, so that either registry can read the other's topic.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Reference:
    """That a schema builds on another, registered one."""

    name: str
    subject: str
    version: int

    def as_json(self) -> dict[str, Any]:
        """As the protocol writes it."""
        return {"name": self.name, "subject": self.subject, "version": self.version}


@dataclass(frozen=True, slots=True)
class Content:
    """What an id stands for: the text, what it builds on, and its data contract (JSON text, keys sorted)."""

    schema: str
    references: tuple[Reference, ...] = ()
    metadata: bytes | None = None
    rule_set: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        """The part that every answer about a schema shares."""
        out: dict[str, Any] = {}
        if self.references:
            out["references"] = [reference.as_json() for reference in self.references]
        if self.metadata is not None:
            out["metadata"] = orjson.loads(self.metadata)
        if self.rule_set is not None:
            out["ruleSet"] = orjson.loads(self.rule_set)
        return out | {"guid": self.guid, "schema": self.schema}

    @property
    def guid(self) -> str:
        """A name for this content that is the same in every registry."""
        parts = (self.schema.encode(), *(_as_bytes(ref) for ref in self.references), self.metadata, self.rule_set)
        digest = hashlib.md5(usedforsecurity=False)
        for part in parts:
            # Lengths between the parts, so that no two contents run together to the same bytes.
            digest.update(b"-" if part is None else b"%d:%s" % (len(part), part))
        return str(uuid.UUID(bytes=digest.digest()))

    def same_schema(self, other: Content) -> bool:
        """True when only the data contract differs, if anything does."""
        return self.schema == other.schema and self.references == other.references


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of a subject."""

    subject: str
    version: int
    id: int
    content: Content
    deleted: bool = False

    def as_json(self) -> dict[str, Any]:
        """As ``GET /subjects/{subject}/versions/{version}`` answers."""
        out: dict[str, Any] = {"subject": self.subject, "version": self.version, "id": self.id}
        return out | self.content.as_json()


@dataclass(slots=True)
class _Id:
    content: Content
    places: set[tuple[str, int]] = field(default_factory=set)
    answer: bytes = b""


class RegistryState:
    """The registry as of one point of the log."""

    def __init__(self) -> None:
        self._subjects: dict[str, dict[int, SchemaVersion]] = {}
        self._ids: dict[int, _Id] = {}
        self._id_of: dict[Content, int] = {}
        self._id_of_guid: dict[str, int] = {}
        self._users: dict[tuple[str, int], set[tuple[str, int]]] = {}
        self._highest_id = 0
        self.config: dict[str | None, dict[str, Any]] = {}
        self.modes: dict[str | None, str] = {}

    def copy(self) -> RegistryState:
        """A state that can be changed without changing this one."""
        made = RegistryState()
        made._subjects = {name: dict(versions) for name, versions in self._subjects.items()}
        made._ids = {number: replace(entry, places=set(entry.places)) for number, entry in self._ids.items()}
        made._id_of = dict(self._id_of)
        made._id_of_guid = dict(self._id_of_guid)
        made._users = {place: set(users) for place, users in self._users.items()}
        made._highest_id = self._highest_id
        made.config = dict(self.config)
        made.modes = dict(self.modes)
        return made

    # reading

    @property
    def next_id(self) -> int:
        """The id that the next new schema gets: one more than any that was ever given."""
        return self._highest_id + 1

    @property
    def highest_id(self) -> int:
        """The highest id ever given, 0 at first."""
        return self._highest_id

    def subjects(self, *, deleted: bool = False, deleted_only: bool = False) -> list[str]:
        """Names of the subjects that have a version which is not deleted (or any, or only deleted ones), sorted."""
        names = []
        for name, versions in self._subjects.items():
            alive = any(not version.deleted for version in versions.values())
            if (alive or deleted) if not deleted_only else not alive:
                names.append(name)
        return sorted(names)

    def versions(self, subject: str, *, deleted: bool = False) -> list[SchemaVersion]:
        """The versions of *subject* in ascending order; none for an unknown one."""
        versions = self._subjects.get(subject, {})
        return [versions[at] for at in sorted(versions) if deleted or not versions[at].deleted]

    def version(self, subject: str, version: int) -> SchemaVersion | None:
        """That version, deleted or not, or None."""
        return self._subjects.get(subject, {}).get(version)

    def content(self, schema_id: int) -> Content | None:
        """What the id stands for, or None."""
        entry = self._ids.get(schema_id)
        return entry.content if entry else None

    def answer(self, schema_id: int) -> bytes | None:
        """The body of ``GET /schemas/ids/{id}``, serialised once, or None."""
        entry = self._ids.get(schema_id)
        return entry.answer if entry else None

    def id_of_guid(self, guid: str) -> int | None:
        """The id of the content with this guid, or None."""
        return self._id_of_guid.get(guid)

    def places(self, schema_id: int) -> list[SchemaVersion]:
        """Every version that has this id, deleted ones too, in order of subject and version."""
        entry = self._ids.get(schema_id)
        return [self._subjects[subject][version] for subject, version in sorted(entry.places)] if entry else []

    def id_of(self, content: Content) -> int | None:
        """The id of exactly this content, or None."""
        return self._id_of.get(content)

    def users(self, subject: str, version: int) -> list[SchemaVersion]:
        """The versions, not deleted, that reference this one."""
        found = (self._subjects[name][at] for name, at in sorted(self._users.get((subject, version), ())))
        return [user for user in found if not user.deleted]

    def all_versions(self) -> list[SchemaVersion]:
        """Every version of every subject, deleted ones too, in order."""
        return [version for name in sorted(self._subjects) for version in self.versions(name, deleted=True)]

    # applying the log

    def apply(self, key: dict[str, Any], value: dict[str, Any] | None) -> None:
        """Apply one record; keys that are not known (of other registries) change nothing.

        Raises KeyError, TypeError or ValueError for a record that is not of the layout; the state is then unchanged.
        """
        match key.get("keytype"):
            case "SCHEMA":
                self._apply_schema(key, value)
            case "DELETE_SUBJECT":
                if value is not None:
                    self._delete_up_to(str(key["subject"]), int(value["version"]))
            case "CONFIG":
                _set_or_drop(self.config, key.get("subject"), value)
            case "MODE":
                _set_or_drop(self.modes, key.get("subject"), None if value is None else str(value["mode"]))
            case "HIGHEST_ID":
                if value is not None:
                    self._highest_id = max(self._highest_id, int(value["id"]))
            case _:
                pass

    def _apply_schema(self, key: dict[str, Any], value: dict[str, Any] | None) -> None:
        subject, version = str(key["subject"]), int(key["version"])
        if value is None:
            self._remove(subject, version)
            return
        made = SchemaVersion(
            subject=subject,
            version=version,
            id=int(value["id"]),
            content=content_of(value),
            deleted=bool(value.get("deleted", False)),
        )
        self._remove(subject, version)
        self._subjects.setdefault(subject, {})[version] = made
        self._highest_id = max(self._highest_id, made.id)
        entry = self._ids.get(made.id)
        if entry is None or entry.content != made.content:
            entry = _Id(made.content, entry.places if entry else set())
            entry.answer = orjson.dumps(made.content.as_json())
            self._ids[made.id] = entry
        entry.places.add((subject, version))
        self._id_of[made.content] = made.id
        self._id_of_guid[made.content.guid] = made.id
        for reference in made.content.references:
            self._users.setdefault((reference.subject, reference.version), set()).add((subject, version))

    def _delete_up_to(self, subject: str, version: int) -> None:
        versions = self._subjects.get(subject, {})
        for at in versions:
            if at <= version:
                versions[at] = replace(versions[at], deleted=True)

    def _remove(self, subject: str, version: int) -> None:
        versions = self._subjects.get(subject, {})
        gone = versions.pop(version, None)
        if gone is None:
            return
        if not versions:
            del self._subjects[subject]
        for reference in gone.content.references:
            self._users.get((reference.subject, reference.version), set()).discard((subject, version))
        entry = self._ids[gone.id]
        entry.places.discard((subject, version))
        if not entry.places:
            del self._ids[gone.id]
            if self._id_of.get(entry.content) == gone.id:
                del self._id_of[entry.content]
                self._id_of_guid.pop(entry.content.guid, None)


def apply_bytes(state: RegistryState, key: bytes | None, value: bytes | None) -> None:
    """Apply one record of the log as it is; raises ValueError, KeyError or TypeError when it is not of the layout."""
    if key is not None:
        state.apply(orjson.loads(key), None if value is None else orjson.loads(value))


def content_of(value: dict[str, Any]) -> Content:
    """The content in a log value or in a request, which write it alike."""
    references = tuple(
        Reference(str(item["name"]), str(item["subject"]), int(item["version"]))
        for item in value.get("references") or ()
    )
    return Content(str(value["schema"]), references, as_sorted(value.get("metadata")), as_sorted(value.get("ruleSet")))


def _as_bytes(reference: Reference) -> bytes:
    return orjson.dumps(reference.as_json())


def as_sorted(value: Any) -> bytes | None:
    """JSON with sorted keys, which makes equal data contracts equal bytes; None stays None."""
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _set_or_drop(table: dict[str | None, Any], subject: str | None, value: Any) -> None:
    if value is None:
        table.pop(subject, None)
    else:
        table[subject] = value


def schema_record(version: SchemaVersion) -> tuple[bytes, bytes]:
    """The log's key and value of a version."""
    key = {"keytype": "SCHEMA", "subject": version.subject, "version": version.version, "magic": 1}
    value = version.as_json() | {"deleted": version.deleted}
    return orjson.dumps(key), orjson.dumps(value)


def record(keytype: str, subject: str | None, value: dict[str, Any] | None) -> tuple[bytes, bytes | None]:
    """The log's key and value of anything but a schema; a *value* of None takes back what was said."""
    key: dict[str, Any] = {"keytype": keytype, "magic": 0}
    if keytype in ("CONFIG", "MODE", "DELETE_SUBJECT"):
        key = {"keytype": keytype, "subject": subject, "magic": 0}
    return orjson.dumps(key), None if value is None else orjson.dumps(value)


def tombstone(subject: str, version: int) -> tuple[bytes, None]:
    """The record that removes a version for good."""
    return orjson.dumps({"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}), None
