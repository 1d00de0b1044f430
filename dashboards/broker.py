"""How much the report topics have been sent, straight from the broker's offsets.

This figure is independent of everything downstream, so the live page can hold it against the verdicts. It counts
offsets: a unit that produces in transactions adds one for each transaction's marker.
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.connection import KafkaConnection


class KafkaBroker:
    """Asks one Kafka cluster about the given topics; topics that do not exist yet count as empty."""

    def __init__(self, connection: KafkaConnection, topics: Iterable[str], *, timeout: float = 5.0) -> None:
        """*timeout* is in seconds and holds for each of the two requests of :meth:`received`."""
        self._admin = AdminClient({**connection.confluent(), "client.id": "zhida-dashboards"})
        self._topics = tuple(topics)
        self._timeout = timeout

    def received(self) -> int:
        """The sum of all partitions' end offsets; raises KafkaException when the broker does not answer.

        Not end − begin: retention moves the begin of a topic on, while the verdicts on what it drops stay counted.
        """
        known = self._admin.list_topics(timeout=self._timeout).topics
        partitions = [
            (topic, partition)
            for topic in self._topics
            if topic in known and known[topic].error is None
            for partition in known[topic].partitions
        ]
        if not partitions:
            return 0
        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in partitions}
        futures = self._admin.list_offsets(wanted, request_timeout=self._timeout)
        return sum(int(future.result().offset) for future in futures.values())
