"""What hand-written loops share: batches in flight whose offsets are committed once every output is confirmed."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from benchmarks.ways.job import Orders
from schemas.connection import KafkaConnection

#: Messages taken at once, and batches whose outputs may be on their way.
BATCH = 5000
IN_FLIGHT = 8


class Batch:
    """Counts the delivery reports of everything that one batch of messages led to."""

    __slots__ = ("ends", "left")

    def __init__(self, ends: dict[tuple[str, int], int]) -> None:
        self.ends = ends
        self.left = 0

    def delivered(self, error: KafkaError | None, _: Any) -> None:
        """The delivery callback: a message that the broker does not take ends the process."""
        if error is not None:
            raise RuntimeError(error.str())
        self.left -= 1


def consumer(kafka: KafkaConnection, orders: Orders) -> Any:
    """A consumer of the reports, from the beginning; commits are ours."""
    made = Consumer(
        kafka.confluent()
        | {
            "group.id": orders.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
            "log_level": 3,
        }
    )
    made.subscribe(list(orders.topics))
    return made


def producer(kafka: KafkaConnection, max_message_bytes: int) -> Any:
    """A producer that waits for all replicas and keeps order."""
    return Producer(
        kafka.confluent()
        | {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 10,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
            "message.max.bytes": max_message_bytes,
            "log_level": 3,
        }
    )


def run(source: Any, sinks: Sequence[Any], handle: Callable[[list[Any], Batch], None]) -> None:
    """Consume, handle, commit what is delivered, until a signal."""
    stopping = False

    def stop(*_: Any) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    in_flight: deque[Batch] = deque()
    while not stopping:
        messages = source.consume(BATCH, 0.05)
        if messages:
            batch = Batch({(m.topic(), m.partition()): m.offset() + 1 for m in messages})
            handle(messages, batch)
            in_flight.append(batch)
        for sink in sinks:
            sink.poll(0)
        while len(in_flight) >= IN_FLIGHT and in_flight[0].left:
            for sink in sinks:
                sink.poll(0.005)
        _commit(source, in_flight)
    for sink in sinks:
        sink.flush(10)
    _commit(source, in_flight)
    source.close()


def _commit(source: Any, in_flight: deque[Batch]) -> None:
    ends: dict[tuple[str, int], int] = {}
    while in_flight and not in_flight[0].left:
        ends |= in_flight.popleft().ends
    if ends:
        source.commit(offsets=[TopicPartition(*place, end) for place, end in ends.items()], asynchronous=True)
