"""Topics read in bulk: partitions from where a range begins, in batches, joining no group and committing nothing.

The broker's index of times says where a range *begins*: nothing before that place was sent later. It cannot say where
one ends, because the time of a message is its sender's, and what is judged again keeps the time that it had. So
everything is read from the beginning of the range to the end that the partition has now, and chosen by its own time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka import Trouble, new_consumer, topic_names, unreachable, watermarks
from schemas.connection import KafkaConnection

#: Only named, never joined: partitions are assigned by hand.
_GROUP = "zhida-replay"
#: A poll takes its time to the end unless a whole batch is there.
_POLL_SECONDS = 0.02
_ASK_SECONDS = 20.0

#: Topic and partition.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where to read a partition: from *begin* up to before *end*. ``low`` is its oldest offset that is still there."""

    begin: int
    end: int
    low: int

    def __len__(self) -> int:
        return max(0, self.end - self.begin)


class History:
    """Reads topics; use it as a context. Every call raises UnreachableError when the broker does not answer."""

    def __init__(self, kafka: KafkaConnection, *, batch: int = 5000, patience: float = 30.0) -> None:
        """*batch* messages at a time; *patience*: seconds without any answer."""
        self._kafka = kafka
        self._batch = batch
        self._patience = patience
        self._trouble = Trouble()
        self._consumer: Any = new_consumer(kafka, self._trouble, _GROUP)

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def stretches(self, topics: Sequence[str], since: int) -> dict[Place, Stretch]:
        """Where each partition of *topics* holds messages sent at *since* (ms) or later, up to its end as it is now.

        Topics that do not exist are left out.
        """
        known = topic_names(self._consumer, self._kafka, self._trouble)
        places = [(topic, partition) for topic in topics if topic in known for partition in range(known[topic])]
        try:
            asked = [TopicPartition(*place, max(0, since)) for place in places]
            begins = self._consumer.offsets_for_times(asked, timeout=_ASK_SECONDS) if asked else []
            marks = watermarks(self._consumer, places, _ASK_SECONDS)
        except KafkaException as error:
            raise unreachable(self._kafka, self._trouble.last or error.args[0].str()) from error
        found: dict[Place, Stretch] = {}
        for at in begins:
            if at.error is not None:
                raise unreachable(self._kafka, at.error.str())
            low, end = marks[at.topic, at.partition]
            # Nothing was sent as late as that: -1, by the protocol.
            found[at.topic, at.partition] = Stretch(max(at.offset, low) if at.offset >= 0 else end, end, low)
        return found

    def read(
        self, stretches: Mapping[Place, Stretch], told: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[Place, list[Message]]]:
        """The messages of *stretches* that are still there, in batches of one partition each, in order of each.

        *told* is told of each advance.
        """
        at = {place: stretch.begin for place, stretch in stretches.items() if len(stretch)}
        self._consumer.assign([TopicPartition(*place, begin) for place, begin in at.items()])
        heard = time.monotonic()
        try:
            while at:
                polled = self._consumer.consume(self._batch, _POLL_SECONDS)
                if polled:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._patience:
                    raise unreachable(self._kafka, self._trouble.last or f"nothing from {sorted(at)[:3]}")
                found, ended = self._sorted(polled, at)
                for place, messages in found.items():
                    end = stretches[place].end
                    position = messages[-1].offset() + 1
                    if position > end:
                        messages = [message for message in messages if message.offset() < end]
                    if messages:
                        yield place, messages
                    told(min(position, end) - at[place])
                    at[place] = position
                for place in [place for place in at if place in ended or at[place] >= stretches[place].end]:
                    # What has been dropped, or is no message, is nothing to wait for.
                    told(max(0, stretches[place].end - at.pop(place)))
                    self._consumer.pause([TopicPartition(*place)])
        finally:
            self._consumer.unassign()

    def _sorted(
        self, polled: Sequence[Message], at: Mapping[Place, int]
    ) -> tuple[dict[Place, list[Message]], set[Place]]:
        """Messages by partition, and the partitions that have been read to their end; raises for what is an error."""
        found: dict[Place, list[Message]] = {}
        ended: set[Place] = set()
        only = next(iter(at)) if len(at) == 1 else None
        for message in polled:
            error = message.error()
            place = only or (message.topic() or "", message.partition() or 0)
            if error is None:
                if place in at:
                    found.setdefault(place, []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(place)
            else:
                raise unreachable(self._kafka, error.str())
        return found, ended


def portions(stretches: Mapping[Place, Stretch], offsets: int) -> Iterator[dict[Place, Stretch]]:
    """*stretches* in groups of at most so many *offsets* (a larger one by itself): each is read in one go.

    Partitions with next to nothing in them cost a round trip each where they are read one by one.
    """
    group: dict[Place, Stretch] = {}
    for place, stretch in stretches.items():
        if group and total(group) + len(stretch) > offsets:
            yield group
            group = {}
        group[place] = stretch
    if group:
        yield group


def total(stretches: Mapping[Place, Stretch]) -> int:
    """Offsets in all of *stretches*."""
    return sum(map(len, stretches.values()))
