"""A registry in a thread, feedback as govern writes it, and what a topic holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka import Trouble, new_consumer, watermarks
from schemas.connection import KafkaConnection
from schemas.framing import frame_header
from schemas.registry.server import create_registry
from schemas.topics import feedback_topic
from schemas.units import Units
from schemas.verdict import Feedback, Violation, encode_feedback, feedback_id
from zhida.settings import Settings

VIOLATION = Violation(
    rule="penalty.date",
    dimension="准确性",
    severity="reject",
    field="CF_JDRQ",
    value="2099-01-01",
    message_zh="处罚决定日期晚于今天",
    message_en="the date of the decision lies in the future",
)


@dataclass
class Platform:
    kafka: KafkaConnection
    registry_url: str
    settings: Settings
    _given: list[str] = field(default_factory=list)

    def next_unit(self, units: Units) -> str:
        code = [unit.code for unit in units][len(self._given) + 10]
        self._given.append(code)
        return code


@contextmanager
def running_registry(kafka: KafkaConnection) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = create_registry(kafka, port=0)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(timeout=60)
    yield server.url
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)
    loop.close()


def make_feedback(unit: str, topic: str, partition: int, offset: int, verdict: Any = "rejected") -> Feedback:
    return Feedback(
        feedback_id=feedback_id(topic, partition, offset),
        unit=unit,
        dataset="administrative_penalty",
        record_id=f"R-{offset}",
        version=1,
        verdict=verdict,
        rule_set="2026.1",
        schema_id=1,
        source_topic=topic,
        source_partition=partition,
        source_offset=offset,
        reported_at=1_764_000_000_000,
        governed_at=1_764_000_000_020,
        violations=(VIOLATION,),
        record=b"\0\0\0\0\1secret",
    )


def send_feedback(kafka: KafkaConnection, *feedbacks: Feedback) -> None:
    producer = Producer(kafka.confluent())
    for feedback in feedbacks:
        producer.produce(feedback_topic(feedback.unit), value=encode_feedback(feedback, frame_header(9)), partition=0)
    assert producer.flush(30) == 0


def messages(kafka: KafkaConnection, topic: str, partitions: int = 4) -> list[Any]:
    """Every message of *topic*."""
    consumer: Consumer = new_consumer(kafka, Trouble(), "tests")
    places = [(topic, partition) for partition in range(partitions)]
    marks = watermarks(consumer, places, 10)
    wanted = sum(high - low for low, high in marks.values())
    consumer.assign([TopicPartition(*place, marks[place][0]) for place in places])
    found: list[Any] = []
    while len(found) < wanted:
        found += [message for message in consumer.consume(1000, 1) if message.error() is None]
    consumer.close()
    return found
