"""Reads what a way has sent, so that all ways are known to have judged every record the same."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from zlib import crc32

import orjson
from confluent_kafka import Consumer, TopicPartition

from benchmarks.measure import BenchError, Place
from schemas.connection import KafkaConnection
from schemas.topics import QUARANTINE_TOPIC, REASON_HEADER, REJECTED_TOPIC, VERDICT_HEADER, VIOLATIONS_HEADER
from schemas.verdict import decode_feedback

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Digest:
    """Counts by verdict, and a sum over what was said of each record that does not depend on order."""

    verdicts: tuple[tuple[str, int], ...]
    checksum: int


def read_back(kafka: KafkaConnection, starts: dict[Place, int], ends: dict[Place, int]) -> Digest:
    """The digest of all messages from *starts* to *ends*."""
    consumer = Consumer(
        kafka.confluent() | {"group.id": "zhida-bench-readback", "enable.auto.commit": False, "log_level": 3}
    )
    left = {place: ends[place] for place in starts if ends[place] > starts[place]}
    verdicts: Counter[str] = Counter()
    checksum = 0
    deadline = time.monotonic() + _PATIENCE
    consumer.assign([TopicPartition(*place, starts[place]) for place in left])
    try:
        while left:
            messages = consumer.consume(5000, 0.2)
            if messages:
                deadline = time.monotonic() + _PATIENCE
            elif time.monotonic() > deadline:
                raise BenchError("the outputs cannot be read back")
            for message in messages:
                place = (message.topic(), message.partition())
                offset = message.offset()
                if place not in left or offset >= left[place]:
                    left.pop(place, None)
                    continue
                verdict, said = _said(message)
                verdicts[verdict] += 1
                checksum = (checksum + crc32(said)) & 0xFFFF_FFFF_FFFF
                if offset + 1 >= left[place]:
                    del left[place]
    finally:
        consumer.close()
    return Digest(tuple(sorted(verdicts.items())), checksum)


def _said(message: object) -> tuple[str, bytes]:
    """The verdict, and bytes that stand for record, source, rules and content."""
    topic, value = message.topic(), message.value()  # type: ignore[attr-defined]
    if topic == REJECTED_TOPIC:
        feedback = decode_feedback(value)
        rules = [[v.rule, v.field, v.value, v.message_zh] for v in feedback.violations]
        source = f"{feedback.source_topic}|{feedback.source_partition}|{feedback.source_offset}|{feedback.unit}"
        return feedback.verdict, source.encode() + orjson.dumps(rules) + (feedback.record or b"")
    headers = dict(message.headers() or [])  # type: ignore[attr-defined]
    parts = dict(part.split("=", 1) for part in headers[VERDICT_HEADER].decode().split(";"))
    source = f"{parts['source']}|{parts['partition']}|{parts['offset']}|{parts['rules']}"
    if topic == QUARANTINE_TOPIC:
        return parts["verdict"], source.encode() + headers[REASON_HEADER] + (value or b"")
    place = f"{source}|{message.partition()}|{message.timestamp()[1]}"  # type: ignore[attr-defined]
    key = message.key() or b""  # type: ignore[attr-defined]
    return parts["verdict"], place.encode() + key + value + headers.get(VIOLATIONS_HEADER, b"")
