"""How much the report topics have been sent, straight from the broker.

This figure is independent of everything downstream, so the live page can hold it against the verdicts. It counts
offsets: a unit that produces in transactions adds one for each transaction's marker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.connection import KafkaConnection

_Partition = tuple[str, int]
_POLL_SECONDS = 0.02
_POLL_MESSAGES = 2_000


class KafkaBroker:
    """Asks one Kafka cluster about the given topics; topics that do not exist yet count as empty.

    The end of a partition is the high watermark of a fetch at the offset that ListOffsets calls the latest. ListOffsets
    alone would do on Apache Kafka, but the embedded broker (Tansu, in memory) answers it with the *first* offset of the
    last batch, plus one. Only partitions whose listed offset has changed are fetched from.
    """

    def __init__(self, connection: KafkaConnection, topics: Iterable[str], *, timeout: float = 5.0) -> None:
        """*timeout* is in seconds and holds for each request."""
        self._admin: AdminClient | None = AdminClient({**connection.confluent(), "client.id": "zhida-dashboards"})
        self._consumer = Consumer(
            {
                **connection.confluent(),
                "client.id": "zhida-dashboards",
                # Partitions are assigned by hand and nothing is committed: the group is never joined.
                "group.id": "zhida-dashboards",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,
                "fetch.message.max.bytes": 1024,
            }
        )
        self._topics = tuple(topics)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._listed: dict[_Partition, int] = {}
        self._ends: dict[_Partition, int] = {}

    def count_also(self, topics: Iterable[str]) -> None:
        """Add *topics* to those that are counted; none is ever left out, as its verdicts stay counted too."""
        with self._lock:
            self._topics = tuple(dict.fromkeys((*self._topics, *topics)))

    def received(self) -> int:
        """The sum of all partitions' ends; raises KafkaException when the broker does not answer.

        Not end − begin: retention moves the begin of a topic on, while the verdicts on what it drops stay counted.
        """
        with self._lock:
            return self._received()

    def _received(self) -> int:
        known = self._open_admin().list_topics(timeout=self._timeout).topics
        partitions = [
            (topic, partition)
            for topic in self._topics
            if topic in known and known[topic].error is None
            for partition in known[topic].partitions
        ]
        listed = self._latest(partitions)
        changed = {place: offset for place, offset in listed.items() if self._listed.get(place) != offset}
        if changed:
            self._ends |= self._watermarks(changed)
        self._listed = listed
        return sum(self._ends.get(place, 0) for place in partitions)

    def close(self) -> None:
        """Release the connections."""
        with self._lock:
            self._consumer.close()
        # An AdminClient has no close; its threads end with the last reference.
        self._admin = None

    def _open_admin(self) -> AdminClient:
        if self._admin is None:
            raise RuntimeError("this broker client has been closed")
        return self._admin

    def _latest(self, partitions: list[_Partition]) -> dict[_Partition, int]:
        if not partitions:
            return {}
        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in partitions}
        futures = self._open_admin().list_offsets(wanted, request_timeout=self._timeout)
        return {(place.topic, place.partition): int(future.result().offset) for place, future in futures.items()}

    def _watermarks(self, starts: dict[_Partition, int]) -> dict[_Partition, int]:
        """Each partition's high watermark; raises KafkaException when one does not answer in time."""
        self._consumer.assign([TopicPartition(topic, partition, start) for (topic, partition), start in starts.items()])
        try:
            waiting = {place for place, start in starts.items() if start > 0}
            deadline = time.monotonic() + self._timeout
            while waiting:
                for message in self._consumer.consume(_POLL_MESSAGES, _POLL_SECONDS):
                    error = message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    # A message or the end of the partition: either way a fetch was answered, watermark included.
                    waiting.discard((message.topic(), message.partition()))
                if waiting and time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer to a fetch"))
            return {place: self._watermark(place, start) for place, start in starts.items()}
        finally:
            self._consumer.unassign()

    def _watermark(self, place: _Partition, start: int) -> int:
        if start == 0:
            return 0
        marks = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return max(start, int(marks[1])) if marks else start
