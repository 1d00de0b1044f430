"""What the connectors share of confluent-kafka: reaching the broker, and saying why it cannot be reached."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from connectors.base import UnreachableError
from schemas.connection import KafkaConnection

# librdkafka would otherwise write to standard error by itself; what matters is in the exceptions.
_LOG = logging.getLogger("zhida.connectors.kafka")
_LOG.addHandler(logging.NullHandler())

METADATA_TIMEOUT = 10.0


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


def unreachable(kafka: KafkaConnection, reason: str) -> UnreachableError:
    """The error for a broker that does not answer."""
    return UnreachableError(
        f"连接不上 Kafka（{kafka.bootstrap}）：{reason}",
        f"Kafka at {kafka.bootstrap} does not answer: {reason}",
        "zhida status 查看各部分是否在运行 shows what is running",
    )
