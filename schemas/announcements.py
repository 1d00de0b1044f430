"""Announcements: what is in force, on a compacted topic of one partition that every process reads and follows.

Publishing is fenced as in the schema registry (``schemas.compacted``): a publisher takes the right to write, writes a
mark, reads the whole topic up to its mark and only then decides what to write. An earlier publisher's transaction fails
at the broker from that moment, so two at once never decide on the same state and never become the same number.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.compacted import (
    MAX_RECORD,
    TAG,
    CompactedTopicError,
    FencedWriter,
    LostLead,
    Record,
    ensure_topic,
    librdkafka_log,
)
from schemas.connection import KafkaConnection

#: The key of publishers' marks; they say nothing to readers.
_MARK = b"-"
#: Some brokers (Tansu) look for new records only about twice in this time.
_LONG_POLL_MS = 250
_POLL_SECONDS = 0.1
_FIRST_SECONDS = 5.0
#: Seconds between two attempts to publish.
_LONGEST_PAUSE = 5.0

#: Looks at the newest value of each key and says what to write; what it raises is raised to the publisher.
Decide = Callable[[Mapping[bytes, bytes]], Sequence[Record]]

_log = structlog.get_logger("announcements")


class AnnouncementError(Exception):
    """The broker does not answer, or does not let us read or write the topic."""


@dataclass(frozen=True, slots=True)
class Announced:
    """One record of a followed topic; ``value`` is None where the key was withdrawn."""

    topic: str
    key: bytes
    value: bytes | None
    offset: int


@dataclass(slots=True)
class _Read:
    """A topic up to some place in it."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    tags: set[bytes] = field(default_factory=set)

    def add(self, message: Message) -> None:
        key, value = message.key() or b"", message.value()
        self.tags |= {tag for name, tag in message.headers() or [] if name == TAG and isinstance(tag, bytes)}
        if value is None:
            self.values.pop(key, None)
        elif key != _MARK:
            self.values[key] = value


class Announcements:
    """One topic of announcements; every call blocks for at most about *timeout* seconds. Raises AnnouncementError."""

    def __init__(self, kafka: KafkaConnection, topic: str, *, timeout: float = 20.0) -> None:
        self.topic = topic
        self._kafka = kafka
        self._timeout = timeout

    def ensure(self) -> None:
        """Make the topic unless it is there."""
        try:
            ensure_topic(self._kafka, self.topic, self._timeout)
        except CompactedTopicError as error:
            raise AnnouncementError(f"{self.topic}: {error}") from None
        except KafkaException as error:
            raise AnnouncementError(f"{self.topic}: {error.args[0].str()}") from None

    def read(self) -> dict[bytes, bytes]:
        """The newest value of each key; nothing where the topic does not exist."""
        return self._read_until(None).values

    def publish(self, decide: Decide) -> None:
        """Let *decide* look at all that is there, and write what it says in one transaction.

        *decide* is called again when another publisher takes over in between, each time on the whole topic; it is not
        called again when the write took effect.
        """
        deadline = time.monotonic() + self._timeout
        writer = FencedWriter(
            self._kafka, self.topic, self._timeout, transactional_id=f"zhida-announcements-{self.topic}"
        )
        written = uuid.uuid4().hex.encode()
        pause = 0.3
        while True:
            try:
                writer.take_over()
                mark = uuid.uuid4().hex.encode()
                writer.transact([(_MARK, b"")], mark)
                found = self._read_until(mark)
                if written in found.tags:
                    return  # cut off while committing, and the broker had completed the transaction all the same
                records = decide(found.values)
                if records:
                    writer.transact(records, written)
                return
            except LostLead as lost:
                if time.monotonic() > deadline:
                    raise AnnouncementError(f"{self.topic}: the broker did not confirm the write: {lost}") from None
                # Random and growing, so that those that compete do not take the right from each other for ever.
                time.sleep(random.uniform(0.2, 1.0) * pause)  # noqa: S311 - not a secret
                pause = min(2 * pause, _LONGEST_PAUSE)
            finally:
                writer.drop()

    def _read_until(self, tag: bytes | None) -> _Read:
        """The topic up to the record with *tag*, or to the end that it has now."""
        found = _Read()
        deadline = time.monotonic() + self._timeout
        consumer = _new_consumer(self._kafka)
        try:
            # Also because a client that knows where the topic is reads at once, and half a second later otherwise.
            if self.topic not in consumer.list_topics(timeout=self._timeout).topics and tag is None:
                return found
            consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
            while True:
                message = consumer.poll(_POLL_SECONDS)
                error = message.error() if message is not None else None
                if message is not None and error is None:
                    found.add(message)
                    if tag is not None and tag in found.tags:
                        return found
                elif error is not None and error.code() == KafkaError._PARTITION_EOF and tag is None:
                    return found
                if time.monotonic() > deadline:
                    reason = f": {error.str()}" if error is not None else ""
                    raise AnnouncementError(f"{self.topic} cannot be read to its end{reason}")
        except KafkaException as error:
            raise AnnouncementError(f"{self.topic}: {error.args[0].str()}") from None
        finally:
            consumer.close()


class Follower:
    """Reads topics from their beginning on a thread of its own and says what is on them, in order, for ever.

    *told* is called on that thread with every record; what it raises is logged and the next record follows. Outages of
    the broker are waited out. New records are noticed within about a tenth of a second.
    """

    def __init__(self, kafka: KafkaConnection, topics: Sequence[str], told: Callable[[Announced], None]) -> None:
        self._kafka = kafka
        self._topics = tuple(topics)
        self._told = told
        self._ahead = set(topics)
        self._read = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcements", daemon=True)

    def start(self) -> None:
        """Begin to read; the topics must exist."""
        self._thread.start()

    @property
    def caught_up(self) -> bool:
        """True when all that was there at the start has been told."""
        return self._read.is_set()

    def wait_until_read(self, timeout: float) -> None:
        """Return when all that was there at the start has been told; raises AnnouncementError after *timeout* s."""
        if not self._read.wait(timeout):
            raise AnnouncementError(f"{', '.join(self._topics)} could not be read to the end within {timeout:g} s")

    def stop(self) -> None:
        """End the thread; nothing is told any more when this returns (unless *told* itself calls it)."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        consumer = _new_consumer(self._kafka)
        try:
            with suppress(KafkaException):
                # A client that knows where the topics are reads at once, and half a second later otherwise.
                consumer.list_topics(timeout=_FIRST_SECONDS)
            consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in self._topics])
            while not self._stopping.is_set():
                message = consumer.poll(_POLL_SECONDS)
                if message is not None:
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        error, topic = message.error(), message.topic() or ""
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._ahead.discard(topic)
                if not self._ahead:
                    self._read.set()
            else:
                _log.warning("announcements cannot be read", topic=topic, error=error.str())
            return
        key = message.key() or b""
        if key == _MARK:
            return
        try:
            self._told(Announced(topic, key, message.value(), message.offset() or 0))
        except Exception as fault:
            _log.error("an announcement was not taken", topic=topic, error=f"{type(fault).__name__}: {fault}")


def _new_consumer(kafka: KafkaConnection) -> Consumer:
    return Consumer(
        kafka.confluent()
        | {
            "group.id": f"zhida-announcements-{uuid.uuid4().hex}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": _LONG_POLL_MS,
            "fetch.error.backoff.ms": 100,
            "fetch.message.max.bytes": 4 * MAX_RECORD,
            "reconnect.backoff.max.ms": 1000,
            "topic.metadata.refresh.interval.ms": 5000,
        },
        logger=librdkafka_log,
    )
