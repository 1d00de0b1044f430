"""How far a consumer group is behind the topics it reads."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import TopicPartition

from connectors.kafka import Trouble, new_consumer, topic_names, watermarks
from schemas.connection import KafkaConnection

_SECONDS = 10.0


def committed_and_end(
    kafka: KafkaConnection, group: str, topics: Sequence[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """(committed offset, end offset) of each (topic, partition); nothing committed counts as the beginning.

    Raises connectors.base.UnreachableError or KafkaException.
    """
    trouble = Trouble()
    consumer = new_consumer(kafka, trouble, group)
    try:
        known = topic_names(consumer, kafka, trouble)
        places = [(topic, partition) for topic in topics if topic in known for partition in range(known[topic])]
        committed = consumer.committed([TopicPartition(*place) for place in places], timeout=_SECONDS)
        marks = watermarks(consumer, places, _SECONDS)
        return {
            (c.topic, c.partition): (
                c.offset if c.offset >= 0 else marks[c.topic, c.partition][0],
                marks[c.topic, c.partition][1],
            )
            for c in committed
        }
    finally:
        consumer.close()


def group_lag(kafka: KafkaConnection, group: str, topics: Sequence[str]) -> int:
    """Messages of *topics* that *group* has not committed."""
    return sum(max(0, end - done) for done, end in committed_and_end(kafka, group, topics).values())
