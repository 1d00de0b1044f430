"""Producers and what they promise: every message handed over is confirmed by all in-sync replicas, or the caller hears
why.

Both are aiokafka's, for it sends what is ready for all partitions of a broker in one request, where librdkafka sends a
request a partition (docs/decisions/two-producers.md): :class:`BatchProducer` takes whole record batches for one
partition (accepted records, in order), :class:`SinglesProducer` a few messages for each of thousands (feedback).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.connection import KafkaConnection

_BATCH_BYTES = 1_000_000

Headers = list[tuple[str, bytes]]
#: Topic, partition, and ``(timestamp ms, key, value, headers)`` of each record.
Batch = tuple[str, int, Iterable[tuple[int, bytes | None, bytes | None, Headers]]]


class DeliveryError(Exception):
    """The broker did not take a message: the worker must stop without committing."""


@dataclass(frozen=True, slots=True)
class Single:
    """One message for any topic. ``timestamp`` in ms, 0 is now; ``place`` counts partitions round and round."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 0
    place: int = 0


class _Sender:
    """An aiokafka producer that takes batches for one partition in turn.

    aiokafka takes one batch a partition at a time. Of many who wait there for it, it wakes all, and those who come away
    empty-handed lose their patience too early: so they queue here, at a lock, which wakes them as they came.
    """

    def __init__(self, kafka: KafkaConnection, *, client_id: str, max_message_bytes: int) -> None:
        self._options = kafka.aiokafka() | {
            "client_id": client_id,
            "acks": "all",
            # Not idempotent: aiokafka keeps one batch a partition in flight, so order holds without it, a retry's
            # double is what consumers expect anyway, and the embedded broker refuses aiokafka's InitProducerId.
            "enable_idempotence": False,
            "max_batch_size": _BATCH_BYTES,
            "max_request_size": max_message_bytes,
            "request_timeout_ms": 60_000,
            "linger_ms": 0,
        }
        self._connected: AIOKafkaProducer | None = None
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def _producer(self) -> AIOKafkaProducer:
        assert self._connected is not None, "not started"
        return self._connected

    async def _connect(self) -> None:
        self._connected = AIOKafkaProducer(**self._options)
        await self._connected.start()

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._connected:
            await self._connected.stop()

    async def _hand_over(self, builders: Iterable[Any], topic: str, partition: int) -> list[asyncio.Future[Any]]:
        """Give *builders* to the producer in order; each future ends when the broker has confirmed its batch."""
        sent: list[asyncio.Future[Any]] = []
        async with self._turns[topic, partition]:
            for builder in builders:
                builder.close()
                sent.append(await self._producer.send_batch(builder, topic, partition=partition))
        return sent


class SinglesProducer(_Sender):
    """A few messages for each of many partitions: :meth:`send` returns a future for the whole group."""

    def __init__(self, kafka: KafkaConnection, *, client_id: str, max_message_bytes: int) -> None:
        super().__init__(kafka, client_id=client_id, max_message_bytes=max_message_bytes)
        self._partitions: dict[str, int] = {}

    async def start(self, topics: Iterable[str] = ()) -> None:
        """Connect, and learn at once where the partitions of *topics* are; others are asked for when they come."""
        await self._connect()
        if known := set(topics):
            await self._producer.client.set_topics(known)

    async def send(self, messages: Sequence[Single]) -> asyncio.Future[None]:
        """Hand over *messages*; the future ends when all are confirmed, or with DeliveryError."""
        return asyncio.create_task(self._ship(messages))

    async def _ship(self, messages: Sequence[Single]) -> None:
        try:
            built: dict[tuple[str, int], list[Any]] = {}
            for message in messages:
                partition = message.place and message.place % await self._count(message.topic)
                builders = built.setdefault((message.topic, partition), [])
                if not builders or not _append(builders[-1], message):
                    builders.append(self._producer.create_batch())
                    _append(builders[-1], message)
            sent: list[asyncio.Future[Any]] = []
            for (topic, partition), builders in built.items():
                sent += await self._hand_over(builders, topic, partition)
            for future in sent:
                await future
        except KafkaError as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    async def _count(self, topic: str) -> int:
        if topic not in self._partitions:
            self._partitions[topic] = len(await self._producer.partitions_for(topic))
        return self._partitions[topic]


def _append(builder: Any, message: Single) -> bool:
    """False where the builder is full; an empty one takes a message of any size."""
    taken = builder.append(
        timestamp=message.timestamp or None, key=message.key, value=message.value, headers=message.headers
    )
    return taken is not None


class BatchProducer(_Sender):
    """aiokafka's batch builder: records in order to one partition, one future a batch."""

    def __init__(self, kafka: KafkaConnection, *, client_id: str, max_message_bytes: int) -> None:
        super().__init__(kafka, client_id=client_id, max_message_bytes=max_message_bytes)
        #: What each partition was sent last.
        self._last: dict[tuple[str, int], asyncio.Future[Any]] = {}

    async def start(self) -> None:
        """Connect."""
        await self._connect()

    async def send(self, batches: Iterable[Batch]) -> list[asyncio.Future[Any]]:
        """Append the records of each batch in order; each future ends when its records are confirmed.

        Does not wait for the broker: batches for one partition are sent in the order of the calls. The caller bounds
        how many it begins before the first are confirmed.
        """
        return [
            await self._begin(built, topic, partition)
            for topic, partition, records in batches
            if (built := self._built(records))
        ]

    async def _begin(self, built: list[Any], topic: str, partition: int) -> asyncio.Future[Any]:
        """Hand over where that can be done at once, else have a task wait for the partition's turn."""
        before = self._last.get((topic, partition))
        if len(built) == 1 and (before is None or before.done()):
            (sent,) = await self._hand_over(built, topic, partition)
        else:
            sent = asyncio.create_task(self._ship(built, topic, partition))
        self._last[topic, partition] = sent
        return sent

    def _built(self, records: Iterable[tuple[int, bytes | None, bytes | None, Headers]]) -> list[Any]:
        create = self._producer.create_batch
        builder = create()
        append = builder.append
        built = [builder]
        for timestamp, key, value, headers in records:
            if append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
                builder = create()
                append = builder.append
                built.append(builder)
                append(timestamp=timestamp, key=key, value=value, headers=headers)
        return [builder for builder in built if builder.record_count()]

    async def _ship(self, built: list[Any], topic: str, partition: int) -> None:
        """Hand over record batches in order and wait until all are confirmed.

        aiokafka takes one batch a partition at a time and lets the next one wait until the broker has answered: who
        judges records must not wait along with it.
        """
        await asyncio.gather(*await self._hand_over(built, topic, partition))
