"""The registry's log: a compacted Kafka topic that every instance reads and one instance at a time may write.

*Who may write* is the broker's decision, not ours: writers share one transactional id. Whoever initialises it last
is the leader; an earlier leader's next transaction fails as fenced, at the broker, however long it slept. A new leader
first writes a marker and waits until its own reader has seen it: from then on its state is the whole log, and nobody
else can add to it. Writes that wait together become one transaction, decided one after the other on a state that runs
ahead by what was decided before; they are answered only after the own reader has applied them.
"""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.connection import KafkaConnection
from schemas.registry.errors import RegistryError, store_failed, timed_out
from schemas.registry.state import RegistryState, apply_bytes, record
from schemas.registry.writer import MAX_RECORD, TAG, LostLead, Record, ensure_topic, librdkafka_log, new_writer

Answer = TypeVar("Answer")
#: Looks at a state and says what to write and what to answer once it is written; raises RegistryError to refuse.
Decide = Callable[[RegistryState], tuple[Sequence[Record], Answer]]

_MOST_AT_ONCE = 100
#: Some brokers (Tansu) look for new records only about twice in this time, and each write waits for its own to be read.
_LONG_POLL_MS = 20
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Pending:
    """A write that waits for its answer."""

    decide: Decide[Any]
    deadline: float
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class _Batch:
    """Writes decided together, with what they will be told when their transaction has been read back."""

    writes: list[tuple[_Pending, Any]]
    records: list[Record]
    seen: asyncio.Future[None]

    def settle(self) -> None:
        for pending, outcome in self.writes:
            if pending.answer.done():
                continue
            if isinstance(outcome, Exception):
                pending.answer.set_exception(outcome)
            else:
                pending.answer.set_result(outcome)


class SchemaLog:
    """Reads the whole topic into *state*, follows it, and writes to it when it leads."""

    def __init__(self, kafka: KafkaConnection, topic: str, state: RegistryState, *, timeout: float = 15.0) -> None:
        self._kafka = kafka
        self._topic = topic
        self._state = state
        self._timeout = timeout
        self._writer = new_writer(kafka, topic, timeout)
        self._writer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="registry-writer")
        self._ahead: RegistryState | None = None
        self._queue: deque[_Pending] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._reader: threading.Thread | None = None
        self._stopping = threading.Event()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._consumer: Consumer | None = None
        self._position = 0
        self._catch_ups = 0
        self._catching_up = asyncio.Lock()
        self._caught_up: asyncio.Future[None]

    @property
    def leading(self) -> bool:
        """True while this instance was the last, as far as it knows, to take the right to write."""
        return self._writer.leading

    async def start(self) -> None:
        """Make the topic if it is not there, and return when everything in it has been applied."""
        loop = asyncio.get_running_loop()
        await self._block(ensure_topic, self._kafka, self._topic, self._timeout)
        self._caught_up = loop.create_future()
        self._reader = threading.Thread(target=self._read, args=(loop,), name="registry-reader", daemon=True)
        self._reader.start()
        await self._caught_up

    async def stop(self) -> None:
        """Leave without a trace: the threads and the clients are gone when this returns."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        while self._queue:
            self._queue.popleft().answer.set_exception(store_failed("the registry stops"))
        if self._reader is not None:
            await asyncio.to_thread(self._reader.join)
        await self._block(self._writer.drop)
        self._writer_thread.shutdown(wait=False)

    async def write(self, decide: Decide[Answer]) -> Answer:
        """Let *decide* look at the newest state, write what it says, and return its answer once that is read back.

        *decide* is called again whenever the right to write was lost in between, each time on the whole log. What it
        raises is raised. RegistryError (50001, 50002) when the broker does not let us write in time.
        """
        loop = asyncio.get_running_loop()
        pending = _Pending(decide, loop.time() + self._timeout, loop.create_future())
        self._queue.append(pending)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._write_all(), name="registry-writer")
        return cast("Answer", await pending.answer)

    async def catch_up_unless_leading(self) -> None:
        """Return when everything that was in the topic at the time of the call is applied; at once when leading.

        Any number of callers share one question to the broker, as long as it was asked after they came.
        """
        mine = self._catch_ups + 1
        async with self._catching_up:
            if self.leading or self._catch_ups >= mine:
                return
            self._catch_ups += 1
            await self._catch_up()

    async def _catch_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            end = await asyncio.to_thread(self._end)
        except KafkaException as error:
            raise store_failed(f"the log cannot be read: {error.args[0].str()}") from None
        deadline = loop.time() + self._timeout
        while self._position < end:
            if loop.time() > deadline:
                raise timed_out("the log was not read to its end in time")
            await asyncio.sleep(0.005)

    async def _write_all(self) -> None:
        """Write until nobody waits; the only task that writes."""
        batch: _Batch | None = None
        while batch is not None or self._queue:
            try:
                ahead = await self._lead()
                if batch is not None and batch.seen.done():
                    # Fenced or cut off while committing, and the broker had completed the transaction all the same.
                    batch.settle()
                    batch = None
                    continue
                batch = self._decide(ahead, [pending for pending, _ in batch.writes] if batch else self._next())
                if batch.records:
                    await self._append(batch.records, batch.seen)
                batch.settle()
                batch = None
            except LostLead as lost:
                self._ahead = None
                batch = self._give_up_late(batch, str(lost))
                # Leave the other instance some turns; random, so that two that compete do not keep step.
                await asyncio.sleep(random.uniform(0.02, 0.15))  # noqa: S311 - not a secret
            except Exception as error:
                # Whatever it is, nobody may wait for ever.
                self._ahead = None
                _log.exception("registry_write_failed", topic=self._topic)
                self._fail(batch, error)
                batch = None

    def _next(self) -> list[_Pending]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_AT_ONCE))]

    def _decide(self, ahead: RegistryState, writes: Sequence[_Pending]) -> _Batch:
        batch = _Batch([], [], asyncio.get_running_loop().create_future())
        for pending in writes:
            try:
                records, outcome = pending.decide(ahead)
            except RegistryError as refusal:
                batch.writes.append((pending, refusal))
                continue
            except Exception:
                _log.exception("registry_decision_failed", topic=self._topic)
                batch.writes.append((pending, store_failed("the write failed")))
                continue
            for key, value in records:
                apply_bytes(ahead, key, value)
            batch.records += records
            batch.writes.append((pending, outcome))
        return batch

    def _give_up_late(self, batch: _Batch | None, reason: str) -> _Batch | None:
        """Answer those whose time is over; return the rest of the batch, to be tried again."""
        now = asyncio.get_running_loop().time()
        error = timed_out(f"the write was not confirmed in time: {reason}")
        waiting = [pending for pending, _ in batch.writes] if batch else []
        for pending in [*waiting, *self._queue]:
            if pending.deadline < now and not pending.answer.done():
                pending.answer.set_exception(error)
        self._queue = deque(pending for pending in self._queue if not pending.answer.done())
        if batch is None:
            return None
        batch.writes = [write for write in batch.writes if not write[0].answer.done()]
        return batch if batch.writes else None

    def _fail(self, batch: _Batch | None, error: Exception) -> None:
        refusal = error if isinstance(error, RegistryError) else store_failed("the write failed")
        waiting = [pending for pending, _ in batch.writes] if batch else []
        for pending in [*waiting, *self._queue]:
            if not pending.answer.done():
                pending.answer.set_exception(refusal)
        self._queue.clear()

    async def _lead(self) -> RegistryState:
        """The state of the whole log, ahead of which nobody else can write."""
        if self._ahead is not None and self._writer.leading:
            return self._ahead
        await self._block(self._writer.take_over)
        await self._append([record("NOOP", None, {})], asyncio.get_running_loop().create_future())
        _log.info("registry_leads", topic=self._topic)
        self._ahead = self._state.copy()
        return self._ahead

    async def _append(self, records: Sequence[Record], seen: asyncio.Future[None]) -> None:
        tag = uuid.uuid4().hex.encode()
        self._waiting[tag] = seen
        await self._block(self._writer.transact, records, tag)
        try:
            await asyncio.wait_for(asyncio.shield(seen), self._timeout)
        except TimeoutError:
            await self._block(self._writer.drop)
            raise LostLead("the write was not read back") from None

    async def _block(self, function: Callable[..., None], *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer_thread, function, *arguments)

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
                "fetch.wait.max.ms": _LONG_POLL_MS,
                "fetch.error.backoff.ms": 100,
                "fetch.message.max.bytes": 4 * MAX_RECORD,
            },
            logger=librdkafka_log,
        )

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        # librdkafka's clients may be used by several threads: this one polls, others ask for the end.
        consumer = self._consumer = self._new_consumer()
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while not self._stopping.is_set():
                # consume() alone would wait for its batch to fill: the first message must not wait for others.
                first = consumer.poll(0.1)
                if first is not None:
                    loop.call_soon_threadsafe(self._deliver, [first, *consumer.consume(500, timeout=0)])
        finally:
            self._consumer = None
            consumer.close()

    def _end(self) -> int:
        """The offset after the last record, as the broker says now."""
        if self._consumer is None:
            raise store_failed("the registry has not started")
        offsets = self._consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=self._timeout)
        return int(offsets[1])

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
            apply_bytes(self._state, message.key(), message.value())
        except Exception as error:
            # A record that is not of the layout must not keep the registry from serving all others.
            _log.error("registry_log_record_unreadable", topic=self._topic, offset=offset, error=str(error))
        self._position = offset + 1
        for name, tag in message.headers() or []:
            waiting = self._waiting.pop(tag, None) if name == TAG and isinstance(tag, bytes) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
