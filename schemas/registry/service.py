"""What the registry does with schemas, apart from HTTP and Kafka: look-ups, and decisions what to write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import orjson

from schemas.registry import errors
from schemas.registry.compatibility import check
from schemas.registry.levels import Settings
from schemas.registry.log import Record, SchemaLog
from schemas.registry.parsing import SchemaReader
from schemas.registry.requests import MAX_VERSION, SchemaRequest, check_subject
from schemas.registry.state import Content, RegistryState, SchemaVersion, record, schema_record, tombstone

LATEST = -1


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

    async def look_up(self, subject: str, request: SchemaRequest, *, normalize: bool, deleted: bool) -> SchemaVersion:
        """The version of *subject* with this schema; 40401 without the subject, 40403 without the schema."""
        self.existing(subject, deleted=deleted)
        content = await self._content(subject, request, normalize)
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
            return await self._log.write(lambda: self._decide_import(subject, request, content))
        found = _matching(content, self.state.versions(subject))
        if found is not None:
            return found
        # On a follower the state may be a moment old; a refusal must be about the newest.
        await self._log.catch_up_unless_leading()
        while True:
            self.settings.check_writable(subject)
            before = self.state.versions(subject)
            level = self.settings.level(subject)
            complete = _with_contract_of(before, content)
            messages = await self._compare(subject, complete, before, level)
            if messages and _matching(content, before) is None:
                raise errors.incompatible(_refusal(subject, messages, level))
            answer = await self._log.write(
                lambda: self._decide_register(subject, content, complete, before, level)  # noqa: B023 - awaited here
            )
            if answer is not None:
                return answer

    async def compatible(
        self, subject: str, wanted: str | None, request: SchemaRequest, *, normalize: bool
    ) -> list[str]:
        """Why the schema may not follow version *wanted*, or without one all that the level names; none when it may."""
        level = self.settings.level(check_subject(subject))
        before = self.state.versions(subject) if wanted is None else [self.version(subject, wanted)]
        content = await self._content(subject, request, normalize)
        return await self._compare(subject, content, before, level)

    async def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete all versions and return their numbers; 40401, 40404, 40405, 42206."""
        check_subject(subject)
        return await self._log.write(lambda: self._decide_delete_subject(subject, permanent))

    async def delete_version(self, subject: str, wanted: str, *, permanent: bool) -> int:
        """Delete one version and return its number; 40401, 40402, 40406, 40407, 42206."""
        check_subject(subject)
        number = read_version(wanted)
        return await self._log.write(lambda: self._decide_delete_version(subject, number, permanent))

    # decisions, on the whole log

    def _decide_register(
        self, subject: str, content: Content, complete: Content, before: list[SchemaVersion], level: str
    ) -> tuple[Sequence[Record], SchemaVersion | None]:
        self.settings.check_writable(subject)
        now = self.state.versions(subject)
        found = _matching(content, now)
        if found is not None:
            return [], found
        if now != before or self.settings.level(subject) != level:
            # Someone was faster: compare again, outside of this turn.
            return [], None
        self._check_references(complete)
        made = SchemaVersion(
            subject=subject,
            version=1 + max((version.version for version in self.state.versions(subject, deleted=True)), default=0),
            id=self.state.id_of(complete) or self.state.next_id,
            content=complete,
            timestamp=int(time.time() * 1000),
        )
        return [schema_record(made)], made

    def _decide_import(
        self, subject: str, request: SchemaRequest, content: Content
    ) -> tuple[Sequence[Record], SchemaVersion]:
        self.settings.check_importable(subject)
        self._check_references(content)
        wanted = request.id or self.state.next_id
        known = self.state.content(wanted)
        if known is not None and known != content:
            raise errors.not_permitted(f"Overwrite new schema with id {wanted} is not permitted.")
        versions = self.state.versions(subject, deleted=True)
        number = request.version or 1 + max((version.version for version in versions), default=0)
        there = self.state.version(subject, number)
        if there is not None and there.id != wanted:
            raise errors.not_permitted(f"Version {number} of subject '{subject}' has another id already")
        made = SchemaVersion(subject, number, wanted, content, timestamp=int(time.time() * 1000))
        return ([] if there == made else [schema_record(made)]), made

    def _decide_delete_subject(self, subject: str, permanent: bool) -> tuple[Sequence[Record], list[int]]:
        self.settings.check_writable(subject)
        versions = self.existing(subject, deleted=True)
        alive = [version for version in versions if not version.deleted]
        if permanent and alive:
            raise errors.subject_not_soft_deleted(subject)
        if not permanent and not alive:
            raise errors.subject_soft_deleted(subject)
        for version in versions if permanent else alive:
            self._check_unreferenced(version)
        if permanent:
            records = [self._highest_id(), *(tombstone(subject, version.version) for version in versions)]
            return [*records, record("DELETE_SUBJECT", subject, None)], [version.version for version in versions]
        last = alive[-1].version
        gone = record("DELETE_SUBJECT", subject, {"subject": subject, "version": last})
        return [gone, *self.settings.forget(subject)], [version.version for version in alive]

    def _decide_delete_version(self, subject: str, number: int, permanent: bool) -> tuple[Sequence[Record], int]:
        self.settings.check_writable(subject)
        versions = self.existing(subject, deleted=True)
        alive = [version for version in versions if not version.deleted]
        if number == LATEST:
            candidates = versions if permanent else alive
            if not candidates:
                raise errors.subject_not_found(subject)
            number = candidates[-1].version
        version = self.state.version(subject, number)
        if version is None:
            raise errors.version_not_found(number)
        self._check_unreferenced(version)
        if permanent:
            if not version.deleted:
                raise errors.version_not_soft_deleted(subject, number)
            return [self._highest_id(), tombstone(subject, number)], number
        if version.deleted:
            raise errors.version_soft_deleted(subject, number)
        last = self.settings.forget(subject) if len(alive) == 1 else []
        return [schema_record(replace(version, deleted=True)), *last], number

    def _highest_id(self) -> Record:
        """Before a version goes for good: its id must not be given to another schema, even after compaction."""
        return record("HIGHEST_ID", None, {"id": self.state.highest_id})

    def _check_unreferenced(self, version: SchemaVersion) -> None:
        users = self.state.users(version.subject, version.version)
        if users:
            raise errors.reference_exists(
                f"One or more references exist to the schema: version {version.version} of subject "
                f"'{version.subject}' is used by version {users[0].version} of subject '{users[0].subject}'"
            )

    def _check_references(self, content: Content) -> None:
        for reference in content.references:
            target = self.state.version(reference.subject, reference.version)
            if target is None or target.deleted:
                raise errors.invalid_schema(
                    f"Invalid schema: no schema for the reference to '{reference.subject}' version {reference.version}"
                )

    # content

    async def _content(self, subject: str, request: SchemaRequest, normalize: bool) -> Content:
        normalize = normalize or self.settings.normalizes(subject)
        try:
            return await self._reader.content(request, normalize=normalize)
        except errors.RegistryError:
            if not request.references:
                raise
        # The reference may have been registered a moment ago on another instance.
        await self._log.catch_up_unless_leading()
        return await self._reader.content(request, normalize=normalize)

    async def _compare(self, subject: str, content: Content, before: list[SchemaVersion], level: str) -> list[str]:
        group = self.settings.compatibility_group(subject)
        if group is not None:
            before = [version for version in before if _group_of(version.content, group) == _group_of(content, group)]
        if level == "NONE" or not before:
            return []
        new = self._reader.parsed(content)
        old = [(version.version, self._reader.parsed(version.content)) for version in before]
        if len(content.schema) * len(old) < 10_000:
            return check(level, new, old)
        return await asyncio.to_thread(check, level, new, old)


def _matching(content: Content, versions: Sequence[SchemaVersion]) -> SchemaVersion | None:
    """The newest version that says the same; content without a data contract matches whatever contract is there."""
    for version in reversed(versions):
        there = version.content
        if there == content:
            return version
        if content.metadata is None and content.rule_set is None and content.same_schema(there):
            return version
    return None


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
