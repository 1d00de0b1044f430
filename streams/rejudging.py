"""Judging again: what waits for another record is read from its report topic once more when that one has come.

Every worker sees to the partitions that it owns, so that one partition has one writer, and only to messages that are
committed: their first verdict is out by then, and the new one stands behind it. Messages stay on the due list until the
new verdict is confirmed, so that a worker that is killed leaves nothing undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.connection import KafkaConnection
from streams import lenient

#: Topic and partition.
Place = tuple[str, int]

_POLL_SECONDS = 0.25
_RETRY_SECONDS = 2.0
#: Offsets no farther apart than this are read in one go; what lies between is thrown away.
_NEAR = 500
_WAIT_MS = 5_000
#: How long the broker may hold a fetch that finds nothing: one of the partition before stands in the way of the next.
_HELD_MS = 10
#: Messages of one round, of all partitions together.
_AT_ONCE = 2_000

log = structlog.get_logger("govern")


class Due(Protocol):
    """The due lists; blocking."""

    def take(
        self, topic_partitions: Collection[Place], below: Mapping[Place, int], limit: int = 500
    ) -> dict[Place, list[int]]:
        """Offsets that are due, lower than what is committed, in order; they stay until :meth:`done`."""
        ...

    def done(self, topic: str, partition: int, offsets: Collection[int]) -> None:
        """Take these off the list."""
        ...


class Fetcher:
    """Reads single messages from anywhere in a topic, outside of any consumer group."""

    def __init__(self, kafka: KafkaConnection, *, client_id: str) -> None:
        self._options = kafka.aiokafka() | {
            "client_id": client_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "max_partition_fetch_bytes": 256 * 1024,
            "fetch_max_wait_ms": _HELD_MS,
        }
        self._consumer: AIOKafkaConsumer | None = None

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def fetch(self, topic: str, partition: int, offsets: Sequence[int]) -> list[Any]:
        """The messages at *offsets* (sorted) that are still there. Raises TimeoutError when the broker says nothing."""
        consumer = await self._connected()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        wanted = iter(offsets)
        target = next(wanted, None)
        position = None
        found: list[Any] = []
        while target is not None:
            if position is None or not 0 <= target - position <= _NEAR:
                position = target
                consumer.seek(place, position)
            batch = (await consumer.getmany(place, timeout_ms=_WAIT_MS)).get(place, [])
            if not batch:
                end = consumer.highwater(place)
                if end is None or target < end:
                    raise TimeoutError(f"{topic}[{partition}] at {target}: the broker sends nothing")
                break
            for message in batch:
                while target is not None and target < message.offset:
                    target = next(wanted, None)  # no longer there
                if message.offset == target:
                    found.append(message)
                    target = next(wanted, None)
            position = batch[-1].offset + 1
        # Nothing is fetched ahead: what is due next is elsewhere.
        consumer.pause(place)
        return found

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            lenient.install()
            consumer = AIOKafkaConsumer(**self._options)
            await consumer.start()
            self._consumer = consumer
        return self._consumer


class Rejudger:
    """Works off the due lists of the partitions that this worker owns.

    *owned* gives these, each with the offset up to which it is committed; *judge* judges messages of one of them and
    returns when all it led to is confirmed, or False when the partition is no longer ours.
    """

    def __init__(
        self,
        due: Due,
        fetcher: Fetcher,
        owned: Callable[[], Mapping[Place, int]],
        judge: Callable[[str, int, list[Any]], Awaitable[bool]],
    ) -> None:
        self._due = due
        self._fetcher = fetcher
        self._owned = owned
        self._judge = judge

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                busy = await self._round()
            except Exception as error:
                log.warning("cannot judge again, will try later", error=f"{type(error).__name__}: {error}"[:500])
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if not busy:
                await asyncio.sleep(_POLL_SECONDS)

    async def _round(self) -> bool:
        below = self._owned()
        if not below:
            return False
        due = await asyncio.to_thread(self._due.take, below.keys(), below, _AT_ONCE)
        for (topic, partition), offsets in due.items():
            messages = await self._fetcher.fetch(topic, partition, offsets)
            if missing := len(offsets) - len(messages):
                log.warning(
                    "records that had to be judged again are no longer in Kafka",
                    topic=topic,
                    partition=partition,
                    count=missing,
                )
            if messages and not await self._judge(topic, partition, messages):
                return True
            await asyncio.to_thread(self._due.done, topic, partition, offsets)
            log.info("judged again", topic=topic, partition=partition, count=len(messages))
        return bool(due)
