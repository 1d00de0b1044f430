"""What clients send, read with care: every wrong shape becomes a protocol error, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from schemas.registry.errors import (
    invalid_rule_set,
    invalid_schema,
    invalid_subject,
    malformed,
    too_large,
    unprocessable,
)
from schemas.registry.state import Reference, as_sorted

MAX_SUBJECT = 512
MAX_REFERENCES = 256
MAX_VERSION = 2**31 - 1
_REQUEST_FIELDS = frozenset(
    {
        "schema", "schemaType", "references", "metadata", "ruleSet", "id", "version", "subject",
        # Sent by newer clients, of no meaning here.
        "guid", "deleted", "ts", "schemaTags", "schemaTagsToAdd", "schemaTagsToRemove", "propagateSchemaTags",
    }
)  # fmt: skip
_RULE_KINDS = frozenset({"TRANSFORM", "CONDITION"})
_RULE_MODES = {
    "migrationRules": frozenset({"UPGRADE", "DOWNGRADE", "UPDOWN"}),
    "domainRules": frozenset({"WRITE", "READ", "WRITEREAD"}),
    "encodingRules": frozenset({"WRITE", "READ", "WRITEREAD"}),
}


@dataclass(frozen=True, slots=True)
class SchemaRequest:
    """A schema as a client sends it, not yet parsed; ``metadata`` and ``rule_set`` are JSON with sorted keys."""

    text: str
    references: tuple[Reference, ...] = ()
    metadata: bytes | None = None
    rule_set: bytes | None = None
    id: int | None = None
    version: int | None = None


def read_json(body: bytes) -> dict[str, Any]:
    """The body as an object; 400 for bytes that are not JSON in UTF-8, 422 for JSON that is not an object."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(f"The request body is not JSON: {str(error)[:200]}") from None
    if not isinstance(parsed, dict):
        raise unprocessable("The request body must be a JSON object")
    return parsed


def read_schema_request(body: bytes) -> SchemaRequest:
    """The schema in *body*; RegistryError 400, 422, 42201, 42209 or 42210 for anything else."""
    raw = read_json(body)
    unknown = raw.keys() - _REQUEST_FIELDS
    if unknown:
        raise unprocessable(f"Unrecognized field: {min(unknown)[:64]}")
    kind = raw.get("schemaType")
    if kind not in (None, "", "AVRO"):
        raise invalid_schema(f"Invalid schema type {str(kind)[:32]}: this registry serves AVRO only")
    text = raw.get("schema")
    if not isinstance(text, str) or not text.strip():
        raise invalid_schema("Invalid schema: empty")
    return SchemaRequest(
        text=text,
        references=_references(raw.get("references")),
        metadata=_metadata(raw.get("metadata")),
        rule_set=_rule_set(raw.get("ruleSet")),
        id=_whole_or_none(raw, "id", 1),
        version=_whole_or_none(raw, "version", 1),
    )


def check_subject(subject: str) -> str:
    """*subject* when it may be the name of one (RegistryError 42208 when not)."""
    if not subject or len(subject) > MAX_SUBJECT or subject in ("__GLOBAL", "__EMPTY"):
        raise invalid_subject(subject)
    if any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in subject):
        raise invalid_subject(subject.encode("ascii", "backslashreplace").decode())
    if subject.startswith(":."):
        raise invalid_subject(f"{subject[:40]}' (contexts are not supported by this registry) '")
    return subject


def _whole_or_none(raw: dict[str, Any], name: str, lowest: int) -> int | None:
    value = raw.get(name)
    # Clients send 0 or -1 for "none".
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value in (0, -1)):
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= MAX_VERSION:
        raise unprocessable(f"{name} must be a whole number from {lowest} to {MAX_VERSION}")
    return value


def _references(raw: Any) -> tuple[Reference, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise unprocessable("references must be a list")
    if len(raw) > MAX_REFERENCES:
        raise too_large(f"{len(raw)} references; at most {MAX_REFERENCES} are allowed")
    found: list[Reference] = []
    for item in raw:
        if not isinstance(item, dict) or item.keys() - {"name", "subject", "version"}:
            raise unprocessable("a reference is an object of name, subject and version")
        name, subject, version = item.get("name"), item.get("subject"), item.get("version")
        if not isinstance(name, str) or not isinstance(subject, str):
            raise unprocessable("a reference needs a name and a subject")
        if not isinstance(version, int) or isinstance(version, bool) or not -1 <= version <= MAX_VERSION:
            raise unprocessable("a reference needs a version")
        found.append(Reference(name, check_subject(subject), version))
    return tuple(found)


def _metadata(raw: Any) -> bytes | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or raw.keys() - {"tags", "properties", "sensitive"}:
        raise unprocessable("metadata is an object of tags, properties and sensitive")
    properties, tags, sensitive = raw.get("properties"), raw.get("tags"), raw.get("sensitive")
    if properties is not None and not (
        isinstance(properties, dict) and all(isinstance(value, str) for value in properties.values())
    ):
        raise unprocessable("metadata.properties is an object of strings")
    if tags is not None and not (isinstance(tags, dict) and all(_are_strings(value) for value in tags.values())):
        raise unprocessable("metadata.tags is an object of lists of strings")
    if sensitive is not None and not _are_strings(sensitive):
        raise unprocessable("metadata.sensitive is a list of strings")
    return as_sorted(_pruned(raw))


def _pruned(raw: Any) -> Any:
    """Without what means the same when it is absent: clients write back more, or less, than they read."""
    if isinstance(raw, list):
        return [_pruned(item) for item in raw]
    if not isinstance(raw, dict):
        return raw
    pruned = {key: _pruned(value) for key, value in raw.items()}
    return {
        key: value
        for key, value in pruned.items()
        if value not in (None, [], {}) and not (key == "disabled" and value is False)
    }


def _are_strings(raw: Any) -> bool:
    return isinstance(raw, list) and all(isinstance(item, str) for item in raw)


def _rule_set(raw: Any) -> bytes | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or raw.keys() - {*_RULE_MODES, "enableAt"}:
        raise invalid_rule_set("Invalid rule set: an object of migrationRules, domainRules and encodingRules")
    names: set[str] = set()
    for group, modes in _RULE_MODES.items():
        rules = raw.get(group) or []
        if not isinstance(rules, list):
            raise invalid_rule_set(f"Invalid rule set: {group} must be a list")
        for rule in rules:
            _check_rule(rule, group, modes, names)
    return as_sorted(_pruned(raw))


def _check_rule(rule: Any, group: str, modes: frozenset[str], names: set[str]) -> None:
    name = rule.get("name") if isinstance(rule, dict) else None
    if not isinstance(name, str) or not name or len(name) > 256:
        raise invalid_rule_set(f"Invalid rule set: a rule of {group} has no name")
    if name in names:
        raise invalid_rule_set(f"Invalid rule set: found rule with duplicate name '{name[:64]}'")
    names.add(name)
    if rule.get("kind") not in (None, *_RULE_KINDS):
        raise invalid_rule_set(f"Invalid rule set: rule '{name[:64]}' has an unknown kind")
    if rule.get("mode") not in (None, *modes):
        raise invalid_rule_set(f"Invalid rule set: rule '{name[:64]}' of {group} has a mode that is not allowed there")
