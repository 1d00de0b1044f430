"""What the connectors share of confluent-kafka: reaching the broker, and saying why it cannot be reached."""

from __future__ import annotations

import logging
import time
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from connectors.base import UnreachableError
from schemas.connection import KafkaConnection

# librdkafka would otherwise write to standard error by itself; what matters is in the exceptions.
_LOG = logging.getLogger("zhida.connectors.kafka")
_LOG.addHandler(logging.NullHandler())

METADATA_TIMEOUT = 5.0
_CONSUMED_AT_ONCE = 1000
_CONSUME_SECONDS = 0.05


class Trouble:
    """Remembers what librdkafka said last: its exceptions often say no more than that time was up."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        self.last = error.str()


def new_producer(kafka: KafkaConnection, trouble: Trouble, delivery_timeout_seconds: float, max_bytes: int) -> Any:
    """An idempotent producer that waits for all replicas and places keys as Java clients do."""
    return Producer(
        kafka.confluent()
        | {
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 20,
            # Small, because the reporter remembers the row of every message that waits.
            "queue.buffering.max.messages": 20_000,
            # librdkafka counts some framing against this limit; the topic's own limit is the broker's business.
            "message.max.bytes": max(1_000_000, max_bytes + 10_000),
            "delivery.timeout.ms": int(delivery_timeout_seconds * 1000),
            "error_cb": trouble,
        },
        logger=_LOG,
    )


def new_consumer(kafka: KafkaConnection, trouble: Trouble, group: str) -> Any:
    """A consumer that creates no topic, joins no group (assign, not subscribe) and commits nothing by itself."""
    return Consumer(
        kafka.confluent()
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 2000,
            "error_cb": trouble,
        },
        logger=_LOG,
    )


def topic_names(client: Any, kafka: KafkaConnection, trouble: Trouble) -> dict[str, int]:
    """The topics that there are and their numbers of partitions; raises UnreachableError."""
    try:
        metadata = client.list_topics(timeout=METADATA_TIMEOUT)
    except KafkaException as error:
        raise unreachable(kafka, trouble.last or error.args[0].str()) from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}


def watermarks(client: Any, places: list[tuple[str, int]], timeout: float) -> dict[tuple[str, int], tuple[int, int]]:
    """First offset and end of each (topic, partition), which must exist; raises KafkaException.

    The end is the high watermark of a fetch. ListOffsets alone would do on Apache Kafka, but the embedded broker
    answers it with the *first* offset of the last batch, plus one. Takes the consumer's assignment away.
    """
    begins, ends = (_listed(client, places, which, timeout) for which in (OFFSET_BEGINNING, OFFSET_END))
    found = {place: (begins[place], ends[place]) for place in places}
    waiting = {place for place, (low, listed) in found.items() if listed > low}
    client.assign([TopicPartition(*place, found[place][1]) for place in waiting])
    deadline = time.monotonic() + timeout
    try:
        while waiting:
            for message in client.consume(_CONSUMED_AT_ONCE, _CONSUME_SECONDS):
                if message.topic() is None:
                    continue
                # A message or the end of the partition: either way a fetch was answered, its watermark included.
                place = (message.topic(), message.partition())
                marks = client.get_watermark_offsets(TopicPartition(*place), cached=True)
                if marks is not None and place in waiting:
                    low, listed = found[place]
                    found[place] = (low, max(listed, int(marks[1])))
                    waiting.discard(place)
            if waiting and time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer to a fetch"))
    finally:
        client.unassign()
    return found


def _listed(client: Any, places: list[tuple[str, int]], which: int, timeout: float) -> dict[tuple[str, int], int]:
    """The first or the last offset of each place as the broker lists it: one request a broker for all of them."""
    asked = [TopicPartition(*place, which) for place in places]
    found = {}
    for answer in client.offsets_for_times(asked, timeout=timeout) if asked else ():
        if answer.error is not None:
            raise KafkaException(answer.error)
        found[answer.topic, answer.partition] = int(answer.offset)
    return found


def unreachable(kafka: KafkaConnection, reason: str) -> UnreachableError:
    """The error for a broker that does not answer."""
    return UnreachableError(
        f"连接不上 Kafka（{kafka.bootstrap}）：{reason}",
        f"Kafka at {kafka.bootstrap} does not answer: {reason}",
        "zhida status 查看各部分是否在运行 shows what is running",
    )
