"""What the read side hands out: plain immutable rows, the same from ClickHouse and from Redis."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """The current state of one record of one subject; withdrawn records are never handed out.

    ``verdict`` is accepted or suspect. ``fields`` holds the dataset's business fields in catalog order as JSON values:
    dates and timestamps as ISO 8601 text, decimals as text with trailing zeros removed, absent ones as None.
    ``source_offset`` is the message's place in its report topic: of two with one version the earlier one is current.
    """

    dataset: str
    unit: str
    record_id: str
    version: int
    verdict: str
    reported_at: datetime
    fields: dict[str, Any]
    source_offset: int = 0


@dataclass(frozen=True, slots=True)
class MovedRecord:
    """A record that was once of the subject asked for and is not now: ``subject`` is whose it is, "" when withdrawn."""

    dataset: str
    unit: str
    record_id: str
    version: int
    source_offset: int
    subject: str


def sort_key(record: StoredRecord) -> tuple[str, str, str]:
    """The order in which a subject's records are handed out."""
    return record.dataset, record.unit, record.record_id


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from reported to governed; None where nothing was judged in the window."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class CityFreshness:
    """How fresh one city's data is: newest accepted (or suspect) record and how many there are."""

    city: str
    reported_at: datetime
    governed_at: datetime
    accepted: int


@dataclass(frozen=True, slots=True)
class RejectRow:
    """One rejected or quarantined message; ``violations`` are dicts with the keys of ``schemas.verdict.Violation``."""

    time: datetime
    dataset: str
    unit: str
    city: str
    record_id: str
    verdict: str
    violations: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """The verdict that stands on the message at these source coordinates; the message itself is not kept with it.

    ``violations`` are dicts with the keys of ``schemas.verdict.Violation``, personal values masked as they were in the
    feedback. Of a quarantined message there is one: ``rule`` is the reason, ``value`` what the decoder said; its
    ``unit`` and ``record_id`` are what its key claims, where the unit exists. ``again``: it was judged more than once.
    """

    topic: str
    partition: int
    offset: int
    dataset: str
    unit: str  # "" where unknown
    record_id: str  # "" where unknown
    version: int | None
    verdict: str
    rule_set: str
    schema_id: int | None
    reported_at: datetime
    governed_at: datetime
    violations: list[dict[str, str]]
    again: bool


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One read by a user: who, when, what, why and from where, and how it ended.

    ``what`` is the action and what it was about, such as ``subject.read 9132…``; ``why`` the stated purpose or the
    authorisation's number; ``outcome`` such as ``ok:cache``, ``ok:store``, ``denied`` or ``not_found``.
    """

    at: datetime
    who: str
    what: str
    why: str
    source: str
    outcome: str
