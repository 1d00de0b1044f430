"""A compacted topic of one partition: making it, and writing to it fenced by the broker. Everything here blocks.

Writers of one topic share one transactional id. Whoever initialises it last may write; an earlier writer's next
transaction fails as fenced, at the broker, however long it slept.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from schemas.connection import KafkaConnection

Record = tuple[bytes, bytes | None]

#: The header that tells a writer that its own transaction has been read.
TAG = "zhida-write"
MAX_RECORD = 4_000_000
#: A broker that fences by closing the connection (Tansu) is told from a slow one by this: asking again is always sound.
_COMMIT_SECONDS = 4.0
# librdkafka reports being fenced and reconnecting as errors; both are dealt with here and logged where they matter.
librdkafka_log = logging.getLogger(f"{__name__}.librdkafka")
librdkafka_log.setLevel(logging.CRITICAL + 1)


class CompactedTopicError(Exception):
    """The topic cannot be used: the broker does not answer, or the topic is not compacted or not of one partition."""


class LostLead(Exception):  # noqa: N818 - a turn of events, not a fault
    """Another instance may write now, or the broker did not confirm: whether the write took effect is in the log."""


class FencedWriter:
    """One transaction at a time, and none after another instance has taken over."""

    def __init__(self, kafka: KafkaConnection, topic: str, timeout: float, *, transactional_id: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._timeout = timeout
        self._transactional_id = transactional_id
        self._producer: Producer | None = None

    @property
    def leading(self) -> bool:
        """True while this instance was the last, as far as it knows, to take the right to write."""
        return self._producer is not None

    def take_over(self) -> None:
        """Take the right to write from whoever has it; raises LostLead when the broker does not give it."""
        producer = Producer(
            self._kafka.confluent()
            | {
                "transactional.id": self._transactional_id,
                "transaction.timeout.ms": 10_000,
                "acks": "all",
                "linger.ms": 0,
                "message.max.bytes": MAX_RECORD,
            },
            logger=librdkafka_log,
        )
        try:
            # A client that is connected finds its coordinator at once, and half a second later otherwise.
            producer.list_topics(timeout=self._timeout)
            producer.init_transactions(self._timeout)
        except KafkaException as error:
            raise LostLead(error.args[0].str()) from None
        self._producer = producer

    def transact(self, records: Sequence[Record], tag: bytes) -> None:
        """Write all records or none; the last carries *tag*. After LostLead it must be found out which."""
        producer = self._producer
        if producer is None:
            raise LostLead("no producer")
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        try:
            producer.begin_transaction()
            for at, (key, value) in enumerate(records, start=1):
                headers: list[tuple[str, str | bytes | None]] = [(TAG, tag)] if at == len(records) else []
                producer.produce(self._topic, value, key, partition=0, headers=headers, on_delivery=delivered)
            producer.commit_transaction(min(self._timeout, _COMMIT_SECONDS))
        except (KafkaException, BufferError) as error:
            self.drop(abort=isinstance(error, BufferError) or error.args[0].txn_requires_abort())
            raise LostLead(str(error)) from None
        if failed:
            self.drop(abort=True)
            raise LostLead(failed[0].str())

    def drop(self, *, abort: bool = False) -> None:
        """Give the right to write back; no harm without it."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if abort:
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(2.0)
        producer.purge()


def ensure_topic(kafka: KafkaConnection, topic: str, timeout: float) -> None:
    """Make the topic unless it is there; CompactedTopicError when it is unfit or the broker does not answer.

    A topic that is not compacted would forget what it holds when its retention ends, so one is refused.
    """
    admin = AdminClient(kafka.confluent(), logger=librdkafka_log)
    try:
        found = admin.list_topics(timeout=timeout)
        if topic not in found.topics:
            _create(admin, topic, len(found.brokers), timeout)
            return
        partitions = len(found.topics[topic].partitions)
    except KafkaException as error:
        raise CompactedTopicError(f"the log cannot be opened: {error.args[0].str()}") from None
    if partitions != 1:
        raise CompactedTopicError(f"topic {topic} has {partitions} partitions; it needs exactly 1")
    _check_compacted(admin, topic, timeout)


def _create(admin: AdminClient, topic: str, brokers: int, timeout: float) -> None:
    replicas = min(3, brokers)
    config = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_RECORD)}
    if replicas == 3:
        config["min.insync.replicas"] = "2"
    wanted = NewTopic(topic, num_partitions=1, replication_factor=replicas, config=config)
    try:
        admin.create_topics([wanted])[topic].result(timeout)
    except KafkaException as error:
        # Another instance that starts at the same moment may have been faster.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _check_compacted(admin: AdminClient, topic: str, timeout: float) -> None:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        config = admin.describe_configs([resource])[resource].result(timeout)
    except KafkaException:
        # Not every broker lets its configuration be read; the topic was most likely made by us.
        return
    policy = config.get("cleanup.policy")
    if policy is not None and policy.value and "compact" not in policy.value:
        raise CompactedTopicError(f"topic {topic} has cleanup.policy={policy.value}; it must be compacted")
