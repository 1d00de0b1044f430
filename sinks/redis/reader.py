"""The read side of the Redis hot cache. Blocking; may be used from several threads.

A subject's records are answered from here only while they are known to be all of its records: after a loss of Redis the
sink goes on writing what is new, and a credit file without its older penalties would be a wrong one. A subject becomes
whole when its records from the store have been merged in (:meth:`HotCache.merge`); the sink then keeps it so. The mark
is believed for ten minutes, which bounds whatever a lost Redis and a lagging store can do together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import redis

from schemas.connection import RedisConnection
from schemas.ordering import order_text
from schemas.redis_script import Script, open_client
from sinks.columns import join_identity, split_identity
from sinks.models import MovedRecord, StoredRecord, sort_key
from sinks.payload import decode, encode
from sinks.redis.client import APPLY, COMPLETE, NONE_KEY, SUBJECT_KEY, explained, key

#: Seconds for which a subject is taken as wholly cached before the store is asked again.
WHOLE_FOR = 600.0
#: Milliseconds for which a subject that has no records is remembered.
NONE_FOR = 2000


class HotCache:
    """The Redis hot cache; *now* gives seconds since the epoch."""

    def __init__(self, client: redis.Redis, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._apply = Script(client, APPLY)
        self._complete = Script(client, COMPLETE)

    @classmethod
    def connect(cls, connection: RedisConnection, now: Callable[[], float] = time.time) -> HotCache:
        """A cache at *connection*; does not talk to it yet."""
        return cls(open_client(connection), now)

    def subject_records(self, subject: str) -> list[StoredRecord] | None:
        """All current records of *subject*, sorted as in the store; None when they are not all known to be here."""
        with explained("subject look-up"):
            pipeline = self._client.pipeline(transaction=False)
            pipeline.hgetall(key(SUBJECT_KEY, subject))
            pipeline.exists(key(NONE_KEY, subject))
            cached, known_empty = pipeline.execute()
        if not cached:
            return [] if known_empty else None
        mark = cached.get(b"")
        if mark is None or not 0 <= self._now() - int(mark) / 1000 <= WHOLE_FOR:
            return None
        return _records(cached)

    def many(self, subjects: list[str]) -> list[list[StoredRecord]]:
        """What is cached for each of *subjects*, whole or not, in one round trip; an empty list where nothing is."""
        with explained("look-up of many subjects"):
            pipeline = self._client.pipeline(transaction=False)
            for subject in subjects:
                pipeline.hgetall(key(SUBJECT_KEY, subject))
            return [_records(cached) for cached in pipeline.execute()]

    def fill(self, subject: str, records: list[StoredRecord]) -> None:
        """Put what the store holds for *subject* into the cache; never replaces a newer version."""
        self.merge(subject, records, [])

    def merge(self, subject: str, records: Sequence[StoredRecord], moved: Sequence[MovedRecord]) -> list[StoredRecord]:
        """Merge what the store knows of *subject* into the cache and return the subject's records.

        *moved* are records that were once the subject's. Where the cache holds something newer than the store, the
        cache's is kept and returned.
        """
        parts = [_packed(record, subject, encode(record)) for record in records]
        parts += [_packed(record, record.subject, "") for record in moved]
        with explained("fill"):
            if parts:
                self._apply.call([(b"".join(parts), "fill")])
            moment = int(self._now() * 1000)
            flat = self._complete.call([(subject.encode("utf-8", "surrogatepass"), moment, NONE_FOR)])[0]
        return _records(dict(zip(flat[::2], flat[1::2], strict=True)))

    def check(self) -> None:
        """Raise SinkUnavailable with a reason when the cache does not answer."""
        with explained("health check"):
            self._client.ping()

    def close(self) -> None:
        """Release the connections."""
        self._client.close()


def _records(cached: dict[bytes, bytes]) -> list[StoredRecord]:
    records = [decode(*split_identity(name.decode()), text) for name, text in cached.items() if name]
    return sorted(records, key=sort_key)


def _packed(record: StoredRecord | MovedRecord, subject: str, payload: str) -> bytes:
    """One record for ``apply.lua``; ``sinks.redis.sink.packed`` is the columnar writer of the same."""
    parts: list[Any] = [
        join_identity(record.dataset, record.unit, record.record_id).encode(),
        subject.encode("utf-8", "surrogatepass"),
        payload.encode(),
    ]
    lengths = "".join(f"{len(part):09d}" for part in parts)
    return b"".join([lengths.encode(), order_text(record.version, record.source_offset).encode(), *parts])
