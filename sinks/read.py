"""The read side of the sinks, for query services, dashboards and verification.

``CreditStore`` reads ClickHouse, ``HotCache`` reads Redis, ``SubjectReader`` reads through the one to the other.
All of it blocks and may be used from several threads.
"""

from __future__ import annotations

import polars as pl

from schemas.catalog import Catalog
from schemas.connection import ClickHouseConnection, RedisConnection
from sinks.models import AuditRow, CityFreshness, Latency, RejectRow, StoredRecord

__all__ = [
    "AuditRow",
    "CityFreshness",
    "CreditStore",
    "HotCache",
    "Latency",
    "RejectRow",
    "StoredRecord",
    "SubjectReader",
]


class CreditStore:
    """The ClickHouse credit store."""

    @classmethod
    def connect(cls, connection: ClickHouseConnection, catalog: Catalog) -> CreditStore:
        """Open the store and bring its tables up to the catalog."""
        raise NotImplementedError

    def subject_records(self, subject: str) -> list[StoredRecord]:
        """The current records of *subject* in order of dataset, unit and record id; empty when there are none."""
        raise NotImplementedError

    def totals(self) -> dict[str, int]:
        """Verdict -> number of source messages, exact under replays; verdicts that never came are 0."""
        raise NotImplementedError

    def per_second(self, seconds: int) -> list[tuple[int, int]]:
        """(epoch second of governed_at, judged messages) of the last *seconds*, oldest first, without empty seconds."""
        raise NotImplementedError

    def latency(self, seconds: int) -> Latency:
        """Milliseconds from reported to governed over the last *seconds*."""
        raise NotImplementedError

    def freshness(self) -> list[CityFreshness]:
        """Each city's newest accepted record, in order of city code; cities without one are absent."""
        raise NotImplementedError

    def newest_rejects(self, limit: int) -> list[RejectRow]:
        """The newest rejected and quarantined messages, newest first."""
        raise NotImplementedError

    def verdict_rows(self) -> pl.DataFrame:
        """Every judged message once, columns as ``schemas.batch.VERDICT_COLUMNS``."""
        raise NotImplementedError

    def current_records(self, dataset: str) -> pl.DataFrame:
        """Every record of *dataset* once, in its current version, withdrawn ones left out; all columns."""
        raise NotImplementedError

    def write_audit(self, rows: list[AuditRow]) -> None:
        """Append to the audit log."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise SinkUnavailable with a reason when the store does not answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the connection."""
        raise NotImplementedError


class HotCache:
    """The Redis hot cache."""

    @classmethod
    def connect(cls, connection: RedisConnection) -> HotCache:
        """A cache at *connection*; does not talk to it yet."""
        raise NotImplementedError

    def subject_records(self, subject: str) -> list[StoredRecord] | None:
        """The current records of *subject*, sorted as in the store; None when nothing is cached for it."""
        raise NotImplementedError

    def many(self, subjects: list[str]) -> list[list[StoredRecord]]:
        """The records of many subjects in one round trip; an empty list where nothing is cached."""
        raise NotImplementedError

    def fill(self, subject: str, records: list[StoredRecord]) -> None:
        """Put what the store holds into the cache; never replaces a newer version."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise SinkUnavailable with a reason when the cache does not answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the connections."""
        raise NotImplementedError


class SubjectReader:
    """Read-through: the cache if it has the subject, else the store, and then the cache is filled."""

    def __init__(self, cache: HotCache, store: CreditStore) -> None:
        self._cache = cache
        self._store = store

    def read(self, subject: str) -> tuple[list[StoredRecord], str]:
        """The subject's current records and where they came from: ``cache`` or ``store``."""
        raise NotImplementedError
