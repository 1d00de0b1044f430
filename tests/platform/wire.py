"""For tests on a running platform: sends what units send, and reads what became of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.assignments import Assignments
from schemas.catalog import Catalog, Dataset
from schemas.topics import GOVERN_GROUP, QUARANTINE_TOPIC, REJECTED_TOPIC, VERDICT_HEADER, feedback_topic
from schemas.units import Regions, Units
from schemas.verdict import Feedback, decode_feedback, parse_verdict_prefix
from zhida.lag import committed_and_end
from zhida.platform import Platform
from zhida.preparation import register_schemas
from zhida.sample.generate import UNRELATED, FaultShares, generate
from zhida.sample.message import MessageEncoder, SampleMessage

#: Topic, partition, offset of a reported message.
Place = tuple[str, int, int]
Headers = list[tuple[str, bytes | None]]
_READING = {
    "group.id": "test-reader",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 20,
    "fetch.message.max.bytes": 100_000_000,
    "fetch.max.bytes": 200_000_000,
    "receive.message.max.bytes": 300_000_000,
    "log_level": 3,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it was sent, and where it went."""

    place: Place
    key: bytes | None
    value: bytes | None
    timestamp: int


class Wire:
    """A unit's producer and everybody's consumer on one platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.kafka = platform.settings.kafka()
        self.catalog = Catalog.load()
        self.ids = register_schemas(platform.settings)
        self.encoder = MessageEncoder(self.catalog, self.ids)
        self.topics = [dataset.report_topic for dataset in self.catalog]

    @cached_property
    def _province(self) -> tuple[Units, Regions, Assignments]:
        units, regions = Units.load(), Regions.load()
        return units, regions, Assignments.load(self.catalog, units, regions)

    def sound(
        self, count: int, dataset: str = "administrative_penalty", faults: FaultShares = UNRELATED
    ) -> list[SampleMessage]:
        """*count* records that break no rule whatever others say, different ones with every call."""
        seed = secrets.randbits(30)
        today = datetime.now(UTC).date()
        made = generate(seed, count * 6 + 60, self.catalog, *self._province, today, faults)
        found = [message for message in made if message.dataset == dataset][:count]
        return [_renumbered(message, f"{seed:08x}") for message in found]

    def send(
        self,
        messages: Iterable[tuple[bytes | None, bytes | None]],
        *,
        dataset: str = "administrative_penalty",
        headers: Headers | None = None,
        timestamp: int = 0,
        partition: int = -1,
        **options: Any,
    ) -> list[Sent]:
        """Send ``(key, value)`` pairs; returns when the broker has confirmed all. *options* are librdkafka's."""
        producer = Producer(
            self.kafka.confluent()
            | {"acks": "all", "linger.ms": 20, "message.max.bytes": 100_000_000, "partitioner": "murmur2_random"}
            | {name.replace("_", "."): value for name, value in options.items()}
        )
        sent: list[Sent | None] = []

        def confirm(number: int, error: Any, message: Message) -> None:
            assert error is None, error
            place = (message.topic(), message.partition(), message.offset())
            sent[number] = Sent(place, message.key(), message.value(), message.timestamp()[1])

        topic = self.catalog[dataset].report_topic
        for number, (key, value) in enumerate(messages):
            sent.append(None)
            producer.produce(
                topic,
                value=value,
                key=key,
                headers=headers or [],
                timestamp=timestamp,
                partition=partition,
                on_delivery=lambda error, message, number=number: confirm(number, error, message),
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        return [one for one in sent if one is not None]

    def pairs(self, messages: Sequence[SampleMessage]) -> list[tuple[bytes | None, bytes | None]]:
        """Keys and values of sample messages."""
        return [(message.key, self.encoder.value(message)) for message in messages]

    def committed(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Committed and end offset of every partition that govern reads."""
        return committed_and_end(self.kafka, GOVERN_GROUP, self.topics)

    def wait_judged(self, sent: Sequence[Sent], seconds: float = 60.0) -> None:
        """Return when govern has committed all of *sent*: then all that it led to is on the broker."""
        ends: dict[tuple[str, int], int] = {}
        for one in sent:
            topic, partition, offset = one.place
            ends[topic, partition] = max(ends.get((topic, partition), 0), offset + 1)
        deadline = time.monotonic() + seconds
        places = [TopicPartition(*place) for place in ends]
        group = Consumer(self.kafka.confluent() | _READING | {"group.id": GOVERN_GROUP})
        try:
            while True:
                found = {(at.topic, at.partition): at.offset for at in group.committed(places, timeout=10)}
                behind = {place: found[place] for place, end in ends.items() if found[place] < end}
                if not behind:
                    return
                assert time.monotonic() < deadline, f"not judged within {seconds} s: {behind} of {ends}"
                self.platform.watch()
                time.sleep(0.05)
        finally:
            group.close()

    def accepted(self, dataset: Dataset) -> dict[Place, Message]:
        """Accepted and suspect messages by the place where they were reported."""
        return {_source(message): message for message in self.read(dataset.accepted_topic)}

    def quarantined(self) -> dict[Place, Message]:
        """Quarantined messages by the place where they were reported."""
        return {_source(message): message for message in self.read(QUARANTINE_TOPIC)}

    def feedback(self, unit: str) -> dict[Place, Feedback]:
        """What a unit was told, by the place of the record."""
        return self._told(feedback_topic(unit))

    def rejected(self) -> dict[Place, Feedback]:
        """What was said of every rejected record, also of those whose unit is not registered."""
        return self._told(REJECTED_TOPIC)

    def _told(self, topic: str) -> dict[Place, Feedback]:
        read = [decode_feedback(message.value() or b"") for message in self.read(topic)]
        return {(item.source_topic, item.source_partition, item.source_offset): item for item in read}

    def read(self, topic: str) -> list[Message]:
        """All that is on a topic now; nothing where it does not exist."""
        consumer = Consumer(self.kafka.confluent() | _READING)
        try:
            known = consumer.list_topics(timeout=10).topics
            waiting = set(known[topic].partitions if topic in known else ())
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in waiting])
            found: list[Message] = []
            deadline = time.monotonic() + 60
            while waiting:
                assert time.monotonic() < deadline, f"{topic} cannot be read to its end: {waiting}"
                for message in consumer.consume(1000, 0.2):
                    # Not get_watermark_offsets: the embedded broker answers with where its last batch begins.
                    if message.error() is None:
                        found.append(message)
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        waiting.discard(message.partition())
                    else:
                        raise KafkaException(message.error())
            return found
        finally:
            consumer.close()


def _renumbered(message: SampleMessage, salt: str) -> SampleMessage:
    """The same with a record id that no other call gives: units number their records from 1 in each."""
    assert message.record is not None
    record_id = f"{message.record['record_id']}-{salt}"
    key = f"{message.record['unit']}|{record_id}".encode()
    return replace(message, key=key, record=message.record | {"record_id": record_id})


def header_list(message: Message) -> Headers:
    """The headers of a message."""
    return [(name, value) for name, value in message.headers() or []]


def _source(message: Message) -> Place:
    header = dict(header_list(message))[VERDICT_HEADER] or b""
    prefix, _, offset = header.rpartition(b"=")
    parsed = parse_verdict_prefix(prefix + b"=")
    return parsed.source_topic, parsed.source_partition, int(offset)
