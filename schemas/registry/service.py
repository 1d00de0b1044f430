"""What the registry does with schemas, apart from HTTP and Kafka: look-ups, and decisions what to write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from schemas.registry import errors
from schemas.registry.compatibility import check, versions_that_count
from schemas.registry.levels import InForce, Settings
from schemas.registry.log import SchemaLog
from schemas.registry.parsing import SchemaReader
from schemas.registry.requests import MAX_VERSION, SchemaRequest, check_subject
from schemas.registry.state import Content, RegistryState, SchemaVersion, record, schema_record, tombstone
from schemas.registry.writer import Record

LATEST = -1
#: Schemas of together this many characters are compared on a thread, so that other requests go on.
_LONG = 100_000


@dataclass(frozen=True, slots=True)
class _Compared:
    """What a comparison found, and what it compared with."""

    level: str
    against: list[SchemaVersion]
    messages: list[str]


def read_version(text: str) -> int:
    """A version number, or LATEST for ``latest`` and ``-1``; RegistryError 42202 for anything else."""
    if text in ("latest", "-1"):
        return LATEST
    if text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_VERSION:
        return int(text)
    raise errors.invalid_version(text)


class Registry:
    """The protocol's operations on schemas. Every failure is a RegistryError with the protocol's code."""

    def __init__(self, state: RegistryState, log: SchemaLog, settings: Settings) -> None:
        self.state = state
        self.settings = settings
        self._log = log
        self._reader = SchemaReader(state)

    def existing(self, subject: str, *, deleted: bool = False) -> list[SchemaVersion]:
        """The versions of *subject*, at least one; 40401 when there are none."""
        versions = self.state.versions(check_subject(subject), deleted=deleted)
        if not versions:
            raise errors.subject_not_found(subject)
        return versions

    def version(self, subject: str, wanted: str, *, deleted: bool = False) -> SchemaVersion:
        """One version by number or ``latest``; 40401, 40402, 42202."""
        number = read_version(wanted)
        versions = self.existing(subject, deleted=deleted)
        if number == LATEST:
            return versions[-1]
        for version in versions:
            if version.version == number:
                return version
        raise errors.version_not_found(number)

    async def content(self, schema_id: int) -> Content:
        """What the id stands for; 40403 only when the log, as of now, has no such id.

        A worker that asks one instance for a schema that was registered at another a moment ago must not be told that
        there is none: it would turn the record away.
        """
        content = self.state.content(schema_id)
        if content is None:
            await self._log.catch_up_unless_leading()
            content = self.state.content(schema_id)
        if content is None:
            raise errors.schema_not_found(schema_id)
        return content

    async def look_up(self, subject: str, request: SchemaRequest, *, normalize: bool, deleted: bool) -> SchemaVersion:
        """The version of *subject* with this schema; 40401 without the subject, 40403 without the schema."""
        self.existing(subject, deleted=deleted)
        content = await self._content(subject, request, normalize)
        # An empty contract, which clears one when it is registered, asks for nothing when it is looked up.
        content = replace(content, metadata=_unless_empty(content.metadata), rule_set=_unless_empty(content.rule_set))
        found = _matching(content, self.existing(subject, deleted=deleted))
        if found is None:
            raise errors.schema_not_found()
        return found

    async def register(self, subject: str, request: SchemaRequest, *, normalize: bool) -> SchemaVersion:
        """Give the schema a version and an id under *subject*; registering it again changes nothing.

        Raises 409 when it is not compatible, 42201 when not valid, 42205 when the mode forbids it.
        """
        check_subject(subject)
        content = await self._content(subject, request, normalize)
        if request.id is not None:
            return await self._log.write(lambda state: self._decide_import(state, subject, request, content))
        found = _matching(content, self.state.versions(subject))
        if found is not None:
            return found
        while True:
            # Comparing long schemas takes its time: it is done before our turn to write, on what is there now.
            compared = await self._compared_aside(subject, content)
            answer = await self._log.write(
                lambda state: self._decide_register(state, subject, content, compared)  # noqa: B023 - awaited here
            )
            if answer is not None:
                return answer

    async def compatible(
        self, subject: str, wanted: str | None, request: SchemaRequest, *, normalize: bool
    ) -> list[str]:
        """Why the schema may not follow version *wanted*, or without one all that the level names; none when it may."""
        before = self.state.versions(check_subject(subject)) if wanted is None else [self.version(subject, wanted)]
        content = await self._content(subject, request, normalize)
        level, against = self._to_compare(InForce(self.state), subject, content, before)
        return await self._check_aside(level, content, against)

    async def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete all versions and return their numbers; 40401, 40404, 40405, 42206."""
        check_subject(subject)
        return await self._log.write(lambda state: self._decide_delete_subject(state, subject, permanent))

    async def delete_version(self, subject: str, wanted: str, *, permanent: bool) -> int:
        """Delete one version and return its number; 40401, 40402, 40406, 40407, 42206."""
        check_subject(subject)
        number = read_version(wanted)
        return await self._log.write(lambda state: self._decide_delete_version(state, subject, number, permanent))

    # decisions, on the whole log

    def _decide_register(
        self, state: RegistryState, subject: str, content: Content, compared: _Compared | None
    ) -> tuple[Sequence[Record], SchemaVersion | None]:
        in_force = InForce(state)
        in_force.check_writable(subject)
        before = state.versions(subject)
        found = _matching(content, before)
        if found is not None:
            return [], found
        content = _with_contract_of(before, content)
        level, against = self._to_compare(in_force, subject, content, before)
        if compared is not None and compared.level == level and compared.against == against:
            messages = compared.messages
        elif _is_long(content, against):
            # Someone was faster: compare again, outside of this turn.
            return [], None
        else:
            messages = self._check(level, content, against)
        if messages:
            raise errors.incompatible(_refusal(subject, messages, level))
        _check_references(state, content)
        made = SchemaVersion(
            subject=subject,
            version=_next_version(state, subject),
            id=state.id_of(content) or state.next_id,
            content=content,
        )
        return [schema_record(made)], made

    def _decide_import(
        self, state: RegistryState, subject: str, request: SchemaRequest, content: Content
    ) -> tuple[Sequence[Record], SchemaVersion]:
        InForce(state).check_importable(subject)
        _check_references(state, content)
        wanted = request.id or state.next_id
        known = state.content(wanted)
        if known is not None and known != content:
            raise errors.not_permitted(f"Overwrite new schema with id {wanted} is not permitted.")
        number = request.version or _next_version(state, subject)
        there = state.version(subject, number)
        if there is not None and there.id != wanted:
            raise errors.not_permitted(f"Version {number} of subject '{subject}' has another id already")
        made = SchemaVersion(subject, number, wanted, content)
        return ([] if there == made else [schema_record(made)]), made

    def _decide_delete_subject(
        self, state: RegistryState, subject: str, permanent: bool
    ) -> tuple[Sequence[Record], list[int]]:
        in_force = InForce(state)
        in_force.check_writable(subject)
        versions = _existing(state, subject)
        alive = [version for version in versions if not version.deleted]
        if permanent and alive:
            raise errors.subject_not_soft_deleted(subject)
        if not permanent and not alive:
            raise errors.subject_soft_deleted(subject)
        for version in versions if permanent else alive:
            _check_unreferenced(state, version)
        if permanent:
            records = [_highest_id(state), *(tombstone(subject, version.version) for version in versions)]
            return [*records, record("DELETE_SUBJECT", subject, None)], [version.version for version in versions]
        last = alive[-1].version
        gone = record("DELETE_SUBJECT", subject, {"subject": subject, "version": last})
        return [gone, *in_force.own_settings(subject)], [version.version for version in alive]

    def _decide_delete_version(
        self, state: RegistryState, subject: str, number: int, permanent: bool
    ) -> tuple[Sequence[Record], int]:
        in_force = InForce(state)
        in_force.check_writable(subject)
        versions = _existing(state, subject)
        alive = [version for version in versions if not version.deleted]
        if number == LATEST:
            candidates = versions if permanent else alive
            if not candidates:
                raise errors.subject_not_found(subject)
            number = candidates[-1].version
        version = state.version(subject, number)
        if version is None:
            raise errors.version_not_found(number)
        _check_unreferenced(state, version)
        if permanent:
            if not version.deleted:
                raise errors.version_not_soft_deleted(subject, number)
            return [_highest_id(state), tombstone(subject, number)], number
        if version.deleted:
            raise errors.version_soft_deleted(subject, number)
        last = in_force.own_settings(subject) if len(alive) == 1 else []
        return [schema_record(replace(version, deleted=True)), *last], number

    # content

    async def _content(self, subject: str, request: SchemaRequest, normalize: bool) -> Content:
        normalize = normalize or InForce(self.state).normalizes(subject)
        try:
            return await self._reader.content(request, normalize=normalize)
        except errors.RegistryError:
            if not request.references:
                raise
        # The reference may have been registered a moment ago on another instance.
        await self._log.catch_up_unless_leading()
        return await self._reader.content(request, normalize=normalize)

    async def _compared_aside(self, subject: str, content: Content) -> _Compared | None:
        """The comparison with the versions that are there now, on a thread; None when it is short and can wait."""
        before = self.state.versions(subject)
        content = _with_contract_of(before, content)
        level, against = self._to_compare(InForce(self.state), subject, content, before)
        if not _is_long(content, against):
            return None
        return _Compared(level, against, await self._check_aside(level, content, against))

    def _to_compare(
        self, in_force: InForce, subject: str, content: Content, before: list[SchemaVersion]
    ) -> tuple[str, list[SchemaVersion]]:
        """The level in force, and the versions that count for it."""
        level = in_force.level(subject)
        group = in_force.compatibility_group(subject)
        if group is not None:
            before = [version for version in before if _group_of(version.content, group) == _group_of(content, group)]
        return level, versions_that_count(level, before)

    def _check(self, level: str, content: Content, against: Sequence[SchemaVersion]) -> list[str]:
        old = [(version.version, self._reader.parsed(version.content)) for version in against]
        return check(level, self._reader.parsed(content), old) if old else []

    async def _check_aside(self, level: str, content: Content, against: Sequence[SchemaVersion]) -> list[str]:
        if not _is_long(content, against):
            return self._check(level, content, against)
        return await asyncio.to_thread(self._check, level, content, against)


def _is_long(content: Content, against: Sequence[SchemaVersion]) -> bool:
    """True when comparing would keep other requests waiting."""
    return bool(against) and len(content.schema) + sum(len(version.content.schema) for version in against) > _LONG


def _existing(state: RegistryState, subject: str) -> list[SchemaVersion]:
    versions = state.versions(subject, deleted=True)
    if not versions:
        raise errors.subject_not_found(subject)
    return versions


def _next_version(state: RegistryState, subject: str) -> int:
    return 1 + max((version.version for version in state.versions(subject, deleted=True)), default=0)


def _highest_id(state: RegistryState) -> Record:
    """Before a version goes for good: its id must not be given to another schema, even after compaction."""
    return record("HIGHEST_ID", None, {"id": state.highest_id})


def _check_unreferenced(state: RegistryState, version: SchemaVersion) -> None:
    users = state.users(version.subject, version.version)
    if users:
        raise errors.reference_exists(
            f"One or more references exist to the schema: version {version.version} of subject "
            f"'{version.subject}' is used by version {users[0].version} of subject '{users[0].subject}'"
        )


def _check_references(state: RegistryState, content: Content) -> None:
    for reference in content.references:
        target = state.version(reference.subject, reference.version)
        if target is None or target.deleted:
            raise errors.invalid_schema(
                f"Invalid schema: no schema for the reference to '{reference.subject}' version {reference.version}"
            )


def _matching(content: Content, versions: Sequence[SchemaVersion]) -> SchemaVersion | None:
    """The newest version that says the same; content without a data contract matches whatever contract is there."""
    for version in reversed(versions):
        there = version.content
        if there == content:
            return version
        if content.metadata is None and content.rule_set is None and content.same_schema(there):
            return version
    return None


def _unless_empty(contract: bytes | None) -> bytes | None:
    return None if contract == b"{}" else contract


def _with_contract_of(versions: Sequence[SchemaVersion], content: Content) -> Content:
    """A data contract stays in force until another takes its place: what is not given comes from the latest version."""
    if not versions:
        return content
    latest = versions[-1].content
    return replace(
        content,
        metadata=content.metadata if content.metadata is not None else latest.metadata,
        rule_set=content.rule_set if content.rule_set is not None else latest.rule_set,
    )


def _group_of(content: Content, name: str) -> str | None:
    metadata = orjson.loads(content.metadata) if content.metadata is not None else {}
    group = (metadata.get("properties") or {}).get(name)
    return group if isinstance(group, str) else None


def _refusal(subject: str, messages: Sequence[str], level: str) -> str:
    shown = "; ".join(messages[:10])
    return (
        f"Schema being registered is incompatible with an earlier schema for subject '{subject}', "
        f"details: [{shown}], compatibility level: {level}"
    )
