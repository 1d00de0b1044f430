"""Producers and what they promise: every message handed over is confirmed by all in-sync replicas, or the caller hears
why.

Two clients, each for what it is good at (docs/decisions/two-producers.md): aiokafka takes whole record batches
for one partition (accepted records, in order), librdkafka takes single messages for thousands of topics (feedback).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError, KafkaException, Producer

from schemas.connection import KafkaConnection

_POLL_SECONDS = 0.003
_BATCH_BYTES = 1_000_000

Headers = list[tuple[str, bytes]]


class DeliveryError(Exception):
    """The broker did not take a message: the worker must stop without committing."""


@dataclass(frozen=True, slots=True)
class Single:
    """One message for any topic; the partition is chosen by the key. ``timestamp`` in ms, 0 is now."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 0


class _Ticket:
    """Counts the delivery reports of one group of messages."""

    def __init__(self, count: int, future: asyncio.Future[None]) -> None:
        self._left = count
        self._future = future

    def report(self, error: KafkaError | None, message: Any) -> None:
        if error is not None and not self._future.done():
            self._future.set_exception(DeliveryError(f"{message.topic()}: {error.str()}"))
        self._left -= 1
        if self._left == 0 and not self._future.done():
            self._future.set_result(None)


class SinglesProducer:
    """librdkafka behind asyncio: :meth:`send` returns a future for the whole group."""

    def __init__(self, kafka: KafkaConnection, *, client_id: str, max_message_bytes: int) -> None:
        self._producer = Producer(
            kafka.confluent()
            | {
                "client.id": client_id,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.max.bytes": max_message_bytes,
                "queue.buffering.max.kbytes": 1_048_576,
                "partitioner": "murmur2_random",
                "delivery.timeout.ms": 60_000,
                "topic.metadata.propagation.max.ms": 10_000,
                "log_level": 3,
            }
        )
        self._outstanding = 0
        self._wake = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve delivery reports."""
        self._poller = asyncio.create_task(self._poll(), name="singles-producer")

    async def stop(self) -> None:
        """Stop serving; what is not confirmed by now was not promised."""
        if self._poller:
            self._poller.cancel()
        await asyncio.to_thread(self._producer.flush, 5)

    async def send(self, messages: Sequence[Single]) -> asyncio.Future[None]:
        """Hand over *messages*; the future ends when all are confirmed, or with DeliveryError."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = _Ticket(len(messages), future)
        for message in messages:
            await self._produce(message, ticket)
        self._outstanding += 1
        future.add_done_callback(self._settled)
        self._wake.set()
        return future

    async def _produce(self, message: Single, ticket: _Ticket) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    headers=message.headers,
                    timestamp=message.timestamp,
                    on_delivery=ticket.report,
                )
                return
            except BufferError:
                self._producer.poll(0)
                await asyncio.sleep(_POLL_SECONDS)
            except KafkaException as error:
                raise DeliveryError(f"{message.topic}: {error}") from error

    def _settled(self, _: asyncio.Future[None]) -> None:
        self._outstanding -= 1

    async def _poll(self) -> None:
        while True:
            self._producer.poll(0)
            if self._outstanding:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                self._wake.clear()
                await self._wake.wait()


class BatchProducer:
    """aiokafka's batch builder: records in order to one partition, one future a batch."""

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
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(**self._options)
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer:
            await self._producer.stop()

    async def send(
        self, topic: str, partition: int, records: Iterable[tuple[int, bytes | None, bytes | None, Headers]]
    ) -> list[asyncio.Future[Any]]:
        """Append ``(timestamp ms, key, value, headers)`` in order; each future ends when its batch is confirmed."""
        assert self._producer is not None
        producer = self._producer
        futures: list[asyncio.Future[Any]] = []
        builder = producer.create_batch()
        append = builder.append
        for timestamp, key, value, headers in records:
            if append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
                futures.append(await producer.send_batch(builder, topic, partition=partition))
                builder = producer.create_batch()
                append = builder.append
                append(timestamp=timestamp, key=key, value=value, headers=headers)
        if builder.record_count():
            builder.close()
            futures.append(await producer.send_batch(builder, topic, partition=partition))
        return futures
