"""Reads every unit's feedback topic from beginning to end, once, for verification."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.connection import KafkaConnection
from schemas.topics import feedback_topic
from schemas.verdict import Feedback, decode_feedback
from zhida.errors import ExitCode, UserError

_LOG = logging.getLogger("zhida.sample.kafka")
_LOG.addHandler(logging.NullHandler())
_POLL_SECONDS = 0.5
_POLL_MESSAGES = 2000
#: Topics read at once: a fetch request that names thousands of partitions is slow on every broker.
_TOPICS_AT_ONCE = 200


def read_all_feedback(
    kafka: KafkaConnection,
    *,
    units: Collection[str] | None = None,
    patience: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[str, Feedback]]:
    """Every (topic, feedback) that is on the broker now, in order of each topic; of *units* only, where given.

    Raises ValueError for a message that is no feedback, and UserError when the broker says nothing for *patience*
    seconds.
    """
    consumer = Consumer(
        kafka.confluent()
        | {
            "group.id": "zhida-sample-verify",  # named, but never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
        },
        logger=_LOG,
    )
    try:
        topics = None if units is None else {feedback_topic(unit) for unit in units}
        places = _feedback_partitions(consumer, topics, patience)
        for start in range(0, len(places), _TOPICS_AT_ONCE):
            yield from _read(consumer, places[start : start + _TOPICS_AT_ONCE], patience, clock)
    finally:
        consumer.close()


def _feedback_partitions(consumer: Any, wanted: Collection[str] | None, patience: float) -> list[TopicPartition]:
    try:
        known = consumer.list_topics(timeout=patience).topics
    except KafkaException as error:
        raise _unreachable(error.args[0].str()) from error
    prefix = feedback_topic("")
    return [
        TopicPartition(name, partition, OFFSET_BEGINNING)
        for name, topic in sorted(known.items())
        if name.startswith(prefix) and (wanted is None or name in wanted)
        for partition in sorted(topic.partitions)
    ]


def _read(
    consumer: Any, places: list[TopicPartition], patience: float, clock: Callable[[], float]
) -> Iterator[tuple[str, Feedback]]:
    """All messages of *places* up to where each ends."""
    open_places = {(place.topic, place.partition) for place in places}
    consumer.assign(places)
    heard = clock()
    while open_places:
        messages = consumer.consume(_POLL_MESSAGES, _POLL_SECONDS)
        if messages:
            heard = clock()
        elif clock() - heard > patience:
            raise _unreachable(f"nothing from {len(open_places)} feedback topics for {patience:.0f} s")
        for message in messages:
            error = message.error()
            if error is None:
                yield message.topic(), decode_feedback(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                open_places.discard((message.topic(), message.partition()))
    consumer.unassign()


def _unreachable(reason: str) -> UserError:
    return UserError(
        f"读取反馈主题失败：{reason}",
        f"cannot read the feedback topics: {reason}",
        "zhida status",
        ExitCode.UNREACHABLE,
    )
