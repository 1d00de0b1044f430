"""The registry's own names for its compacted topic: the shared transactional id, and the protocol's errors."""

from __future__ import annotations

from schemas import compacted
from schemas.compacted import MAX_RECORD, TAG, FencedWriter, LostLead, Record, librdkafka_log
from schemas.connection import KafkaConnection
from schemas.registry.errors import store_failed

__all__ = ["MAX_RECORD", "TAG", "FencedWriter", "LostLead", "Record", "ensure_topic", "librdkafka_log", "new_writer"]


def new_writer(kafka: KafkaConnection, topic: str, timeout: float) -> FencedWriter:
    """The writer of the registry's log *topic*: all instances share its transactional id."""
    return FencedWriter(kafka, topic, timeout, transactional_id=f"zhida-registry-{topic}")


def ensure_topic(kafka: KafkaConnection, topic: str, timeout: float) -> None:
    """Make the log's topic unless it is there; RegistryError 50001 when it is unfit or the broker does not answer."""
    try:
        compacted.ensure_topic(kafka, topic, timeout)
    except compacted.CompactedTopicError as error:
        raise store_failed(str(error)) from None
