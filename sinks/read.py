"""The read side of the sinks, for query services, dashboards and verification.

``CreditStore`` reads ClickHouse, ``HotCache`` reads Redis, ``SubjectReader`` reads through the one to the other.
All of it blocks and may be used from several threads.
"""

from __future__ import annotations

from typing import Literal

from sinks.base import SinkUnavailable
from sinks.clickhouse.reader import VERDICTS, CreditStore
from sinks.models import AuditRow, CityFreshness, Latency, MovedRecord, RejectRow, StoredRecord, StoredVerdict
from sinks.redis.reader import HotCache

__all__ = [
    "VERDICTS",
    "AuditRow",
    "CityFreshness",
    "CreditStore",
    "HotCache",
    "Latency",
    "MovedRecord",
    "RejectRow",
    "StoredRecord",
    "StoredVerdict",
    "SubjectReader",
]


class SubjectReader:
    """Read-through: the cache if it is known to have all of a subject, else the store; then the cache is filled."""

    def __init__(self, cache: HotCache, store: CreditStore) -> None:
        self._cache = cache
        self._store = store

    def read(self, subject: str) -> tuple[list[StoredRecord], Literal["cache", "store"]]:
        """The subject's current records and where they came from.

        A cache that does not answer is left out; raises SinkUnavailable only when the store does not answer either.
        """
        try:
            cached = self._cache.subject_records(subject)
        except SinkUnavailable:
            return self._store.subject_records(subject), "store"
        if cached is not None:
            return cached, "cache"
        records, moved = self._store.subject_state(subject)
        try:
            # What the cache holds may be newer than what the store has got so far.
            return self._cache.merge(subject, records, moved), "store"
        except SinkUnavailable:
            return records, "store"
