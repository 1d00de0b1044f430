"""What became of the records that were sent: waits until govern has judged them all, and collects their feedback.

Accepted records get no feedback. That all are judged is known exactly: govern commits its offsets only after
the broker has confirmed every output, so once the group has committed past the last record sent, all its feedback is in
the topic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from connectors.feedback import FeedbackConfig, FeedbackReader
from connectors.kafka import METADATA_TIMEOUT, Trouble, new_consumer, topic_names, unreachable, watermarks
from schemas.connection import KafkaConnection
from schemas.topics import GOVERN_GROUP, feedback_topic
from schemas.verdict import Feedback

_LOOK_SECONDS = 0.2


class Outcome:
    """Open it before the first record is sent, then hand every delivery to :meth:`delivered`."""

    def __init__(
        self,
        kafka: KafkaConnection,
        unit: str,
        topic: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._feedback_topic = feedback_topic(unit)
        self._monotonic = monotonic
        self._reader = FeedbackReader(kafka, FeedbackConfig(unit=unit))
        self._reader.seek_now()
        # A second client, so that asking does not disturb the reading.
        self._kafka = kafka
        self._trouble = Trouble()
        self._govern: Any = new_consumer(kafka, self._trouble, GOVERN_GROUP)
        self._lines: dict[tuple[int, int], int] = {}
        self._last: dict[int, int] = {}
        #: True once every record sent is known to be judged.
        self.all_judged = False

    def close(self) -> None:
        """Give the connections back."""
        self._reader.close()
        self._govern.close()

    def delivered(self, line: int, partition: int, offset: int) -> None:
        """Remember where the record of *line* went."""
        self._lines[partition, offset] = line
        self._last[partition] = max(offset, self._last.get(partition, -1))

    def collect(self, seconds: float) -> Iterator[tuple[int, Feedback]]:
        """(line, feedback) of the records sent, until all are judged or *seconds* are over."""
        deadline = self._monotonic() + seconds
        end: int | None = None
        next_look = self._monotonic()
        if not self._last:
            self.all_judged = True
            return

        def done(position: int) -> bool:
            nonlocal end
            nonlocal next_look
            now = self._monotonic()
            if end is None and now >= next_look:
                next_look = now + _LOOK_SECONDS
                if self._judged(self._last):
                    end = self._feedback_end()
            self.all_judged = end is not None and position >= end
            return self.all_judged or now >= deadline

        for feedback in self._reader.follow(until=done):
            line = self._lines.get((feedback.source_partition, feedback.source_offset))
            if feedback.source_topic == self._topic and line is not None:
                yield line, feedback

    def _feedback_end(self) -> int:
        if self._feedback_topic not in topic_names(self._govern, self._kafka, self._trouble):
            return 0
        try:
            return watermarks(self._govern, [(self._feedback_topic, 0)], METADATA_TIMEOUT)[self._feedback_topic, 0][1]
        except KafkaException as error:
            raise unreachable(self._kafka, self._trouble.last or error.args[0].str()) from error

    def _judged(self, last: Mapping[int, int]) -> bool:
        wanted = [TopicPartition(self._topic, partition) for partition in last]
        try:
            committed = self._govern.committed(wanted, timeout=5)
        except KafkaException:
            # A unit may lack the right to see govern's group; then only the deadline ends the wait.
            return False
        return all(at.error is None and at.offset > last[at.partition] for at in committed)
