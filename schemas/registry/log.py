"""The registry's log: a compacted Kafka topic that every instance reads and one instance at a time may write.

*Who may write* is the broker's decision, not ours: writers share one transactional id. Whoever initialises it last
is the leader; an earlier leader's next transaction fails as fenced, at the broker, however long it slept. A new leader
first writes a marker and waits until its own reader has seen it: from then on its state is the whole log, and nobody
else can add to it. A write is one transaction of all its records, answered only after the own reader has applied it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.connection import KafkaConnection
from schemas.registry.errors import store_failed, timed_out
from schemas.registry.state import record

Record = tuple[bytes, bytes | None]
Apply = Callable[[bytes | None, bytes | None, int], None]
Answer = TypeVar("Answer")

_TAG = "zhida-write"
_MAX_RECORD = 4_000_000
_log = structlog.get_logger(__name__)
# librdkafka reports being fenced and reconnecting as errors; both are dealt with here and logged where they matter.
_librdkafka_log = logging.getLogger(f"{__name__}.librdkafka")
_librdkafka_log.setLevel(logging.CRITICAL + 1)


class _LostLead(Exception):  # noqa: N818 - a turn of events, not a fault
    """Another instance may write now, or the broker did not confirm: whether the write took effect is in the log."""


@dataclass(slots=True)
class _Write(Generic[Answer]):
    answer: Answer
    seen: asyncio.Future[None]


class SchemaLog:
    """Reads the whole topic, follows it, and writes to it when it leads.

    *apply* is called on the event loop with key, value and timestamp (ms) of every record, in order.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, apply: Apply, *, timeout: float = 15.0) -> None:
        self._kafka = kafka
        self._topic = topic
        self._apply = apply
        self._timeout = timeout
        self._transactional_id = f"zhida-registry-{topic}"
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="registry-writer")
        self._producer: Producer | None = None
        self._reader: threading.Thread | None = None
        self._stopping = threading.Event()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._position = 0
        self._turn = asyncio.Lock()
        self._caught_up: asyncio.Future[None]

    @property
    def leading(self) -> bool:
        """True while this instance was the last, as far as it knows, to take the right to write."""
        return self._producer is not None

    async def start(self) -> None:
        """Make the topic if it is not there, and return when everything in it has been applied."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._make_topic)
        self._caught_up = loop.create_future()
        self._reader = threading.Thread(target=self._read, args=(loop,), name="registry-reader", daemon=True)
        self._reader.start()
        await self._caught_up

    async def stop(self) -> None:
        """Leave without a trace: the thread and the clients are gone when this returns."""
        self._stopping.set()
        loop = asyncio.get_running_loop()
        if self._reader is not None:
            await loop.run_in_executor(None, self._reader.join)
        await loop.run_in_executor(self._writer, self._drop_producer)
        self._writer.shutdown(wait=False)

    async def write(self, decide: Callable[[], tuple[Sequence[Record], Answer]]) -> Answer:
        """Let *decide* look at the state and say what to write and what to answer; return its answer once that is true.

        *decide* is called again whenever the right to write was lost in between, each time on the whole log. What it
        raises is raised. RegistryError (50001, 50002) when the broker does not let us write in time.
        """
        async with self._turn:
            deadline = asyncio.get_running_loop().time() + self._timeout
            written: _Write[Answer] | None = None
            while True:
                try:
                    await self._lead()
                    # Fenced or cut off while committing: the broker may have completed the transaction all the same.
                    if written is not None and written.seen.done():
                        return written.answer
                    records, answer = decide()
                    if not records:
                        return answer
                    written = _Write(answer, asyncio.get_running_loop().create_future())
                    await self._append(records, written.seen)
                    return answer
                except _LostLead as lost:
                    if asyncio.get_running_loop().time() > deadline:
                        raise timed_out(f"the write was not confirmed in time: {lost}") from None
                    # Leave the other instance some turns; random, so that two that compete do not keep step.
                    await asyncio.sleep(random.uniform(0.02, 0.15))  # noqa: S311 - not a secret

    async def catch_up_unless_leading(self) -> None:
        """Return when everything that was in the topic at the time of the call is applied; at once when leading."""
        if self._producer is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            end = await loop.run_in_executor(None, self._end)
        except KafkaException as error:
            raise store_failed(f"the log cannot be read: {error.args[0].str()}") from None
        deadline = loop.time() + self._timeout
        while self._position < end:
            if loop.time() > deadline:
                raise timed_out("the log was not read to its end in time")
            await asyncio.sleep(0.005)

    async def _lead(self) -> None:
        if self._producer is not None:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._take_over)
        seen: asyncio.Future[None] = loop.create_future()
        await self._append([record("NOOP", None, {})], seen)
        _log.info("registry_leads", topic=self._topic)

    async def _append(self, records: Sequence[Record], seen: asyncio.Future[None]) -> None:
        tag = uuid.uuid4().hex.encode()
        self._waiting[tag] = seen
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, records, tag)
            await asyncio.wait_for(asyncio.shield(seen), self._timeout)
        except TimeoutError:
            self._producer = None
            raise _LostLead("not read back") from None

    # On the writer's thread: librdkafka's calls block.

    def _take_over(self) -> None:
        producer = Producer(
            self._kafka.confluent()
            | {
                "transactional.id": self._transactional_id,
                "transaction.timeout.ms": 10_000,
                "acks": "all",
                "linger.ms": 0,
                "message.max.bytes": _MAX_RECORD,
            },
            logger=_librdkafka_log,
        )
        try:
            producer.init_transactions(self._timeout)
        except KafkaException as error:
            raise _LostLead(error.args[0].str()) from None
        self._producer = producer

    def _transact(self, records: Sequence[Record], tag: bytes) -> None:
        producer = self._producer
        if producer is None:
            raise _LostLead("no producer")
        failed: list[KafkaError] = []
        try:
            producer.begin_transaction()
            for at, (key, value) in enumerate(records, start=1):
                # The tag goes on the last record: who has read that has applied them all.
                headers: list[tuple[str, str | bytes | None]] = [(_TAG, tag)] if at == len(records) else []
                producer.produce(
                    self._topic,
                    value,
                    key,
                    partition=0,
                    headers=headers,
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                )
            producer.commit_transaction(self._timeout)
        except (KafkaException, BufferError) as error:
            self._drop_producer(abort=True)
            raise _LostLead(str(error)) from None
        if failed:
            self._drop_producer(abort=True)
            raise _LostLead(failed[0].str())

    def _drop_producer(self, abort: bool = False) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if abort:
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(2.0)
        producer.purge()

    def _make_topic(self) -> None:
        admin = AdminClient(self._kafka.confluent(), logger=_librdkafka_log)
        try:
            found = admin.list_topics(timeout=self._timeout)
            if self._topic not in found.topics:
                self._create_topic(admin, len(found.brokers))
                return
            partitions = len(found.topics[self._topic].partitions)
        except KafkaException as error:
            raise store_failed(f"the log cannot be opened: {error.args[0].str()}") from None
        if partitions != 1:
            raise store_failed(f"topic {self._topic} has {partitions} partitions; the registry's log needs exactly 1")

    def _create_topic(self, admin: AdminClient, brokers: int) -> None:
        replicas = min(3, brokers)
        config = {"cleanup.policy": "compact", "max.message.bytes": str(_MAX_RECORD)}
        if replicas == 3:
            config["min.insync.replicas"] = "2"
        topic = NewTopic(self._topic, num_partitions=1, replication_factor=replicas, config=config)
        try:
            admin.create_topics([topic])[self._topic].result(self._timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    # On the reader's thread.

    def _new_consumer(self) -> Consumer:
        return Consumer(
            self._kafka.confluent()
            | {
                "group.id": f"zhida-registry-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.error.backoff.ms": 100,
                "fetch.message.max.bytes": 4 * _MAX_RECORD,
            },
            logger=_librdkafka_log,
        )

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        consumer = self._new_consumer()
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while not self._stopping.is_set():
                # consume() alone would wait for its batch to fill: the first message must not wait for others.
                first = consumer.poll(0.1)
                if first is not None:
                    loop.call_soon_threadsafe(self._deliver, [first, *consumer.consume(500, timeout=0)])
        finally:
            consumer.close()

    def _end(self) -> int:
        """The offset after the last record; asked with a client of its own, for the reader's thread is busy."""
        consumer = self._new_consumer()
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=self._timeout)[1])
        finally:
            consumer.close()

    # On the event loop.

    def _deliver(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._deliver_one(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._position = max(self._position, message.offset() or 0)
                if not self._caught_up.done():
                    self._caught_up.set_result(None)
            else:
                _log.warning("registry_log_read", topic=self._topic, error=error.str())

    def _deliver_one(self, message: Message) -> None:
        offset = message.offset() or 0
        try:
            self._apply(message.key(), message.value(), message.timestamp()[1])
        except Exception as error:
            # A record that is not of the layout must not keep the registry from serving all others.
            _log.error("registry_log_record_unreadable", topic=self._topic, offset=offset, error=str(error))
        self._position = offset + 1
        for name, tag in message.headers() or []:
            waiting = self._waiting.pop(tag, None) if name == _TAG and isinstance(tag, bytes) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
