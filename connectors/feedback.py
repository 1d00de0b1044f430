"""The feedback subscriber: reads what one unit is told about its records, from ``zhida.feedback.<unit>``.

Yields every feedback at least once and, within one run, not twice (by ``feedback_id``). With a group the position is
remembered when the next one is asked for. It waits for a topic that does not exist yet; it does not acknowledge or
correct anything.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from pydantic import BaseModel, ConfigDict, Field

from connectors.base import Connector, Emit, Event, Wiring, known_unit
from connectors.kafka import METADATA_TIMEOUT, Trouble, new_consumer, topic_names, unreachable, watermarks
from schemas.connection import KafkaConnection
from schemas.topics import feedback_topic
from schemas.verdict import Feedback, decode_feedback

_REMEMBERED = 200_000
_POLL_SECONDS = 0.2
#: Only named, never joined: assigning partitions by hand needs no membership.
_NO_GROUP = "zhida-feedback-reader"


class FeedbackConfig(BaseModel):
    """What to follow, from where and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str = Field(description="报送单位的统一社会信用代码 USCC of the reporting unit")
    from_beginning: bool = Field(
        default=False, description="从最早的反馈开始 from the oldest feedback, else from now on"
    )
    group: str | None = Field(
        default=None, description="消费组：记住读到哪里 consumer group that remembers the position"
    )
    limit: int | None = Field(default=None, gt=0, description="最多读多少条 at most so many")
    timeout_seconds: float | None = Field(
        default=None, ge=0, description="多少秒没有新反馈即结束 ends after so many idle seconds"
    )


class FeedbackReader:
    """Follows one unit's topic; iterate :meth:`follow`. ``monotonic`` gives seconds, for the idle timeout alone."""

    def __init__(
        self,
        kafka: KafkaConnection,
        config: FeedbackConfig,
        *,
        on_waiting: Callable[[], None] | None = None,
        on_unreadable: Callable[[int, str], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_waiting`` is called once while the topic does not exist; ``on_unreadable`` with offset and reason."""
        self._kafka = kafka
        self._config = config
        self._topic = feedback_topic(config.unit)
        self._on_waiting = on_waiting or (lambda: None)
        self._on_unreadable = on_unreadable or (lambda _offset, _reason: None)
        self._monotonic = monotonic
        self._trouble = Trouble()
        self._consumer: Any = new_consumer(kafka, self._trouble, config.group or _NO_GROUP)
        self._start: int | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __enter__(self) -> FeedbackReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def seek_now(self) -> None:
        """Fix where :meth:`follow` starts: at this moment's end (or beginning). Raises UnreachableError."""
        if self._topic not in topic_names(self._consumer, self._kafka, self._trouble):
            # Whatever comes to a topic that is not there yet is new.
            self._start = 0
            return
        low, high = self._watermarks()
        self._start = low if self._config.from_beginning else high
        if self._config.group:
            committed = self._consumer.committed([TopicPartition(self._topic, 0)], timeout=METADATA_TIMEOUT)
            if committed[0].offset >= 0:
                self._start = max(committed[0].offset, low)

    def follow(self, until: Callable[[int], bool] | None = None) -> Iterator[Feedback]:
        """Every feedback in order; ends at the limit, after the idle timeout, or when ``until(next offset)`` holds."""
        if self._start is None:
            self.seek_now()
        idle_since = self._monotonic()
        if not self._wait_for_topic(idle_since, until):
            return
        self._consumer.assign([TopicPartition(self._topic, 0, self._start or 0)])
        position = self._start or 0
        count = 0
        while True:
            if until is not None and until(position):
                return
            message = self._consumer.poll(_POLL_SECONDS)
            if message is None or message.error() is not None:
                if self._idle_too_long(idle_since):
                    return
                continue
            position = message.offset() + 1
            feedback = self._decode(message)
            if feedback is None:
                continue
            idle_since = self._monotonic()
            yield feedback
            count += 1
            self._commit(position)
            if count == self._config.limit:
                return

    def _decode(self, message: Any) -> Feedback | None:
        try:
            feedback = decode_feedback(message.value() or b"")
        except ValueError as error:
            self._on_unreadable(message.offset(), str(error))
            return None
        if feedback.feedback_id in self._seen:
            return None
        self._seen[feedback.feedback_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return feedback

    def _wait_for_topic(self, since: float, until: Callable[[int], bool] | None) -> bool:
        told = False
        while self._topic not in topic_names(self._consumer, self._kafka, self._trouble):
            if not told:
                self._on_waiting()
                told = True
            if self._idle_too_long(since) or (until is not None and until(0)):
                return False
            self._consumer.poll(_POLL_SECONDS)
        return True

    def _idle_too_long(self, since: float) -> bool:
        timeout = self._config.timeout_seconds
        return timeout is not None and self._monotonic() - since >= timeout

    def _watermarks(self) -> tuple[int, int]:
        try:
            marks = watermarks(self._consumer, [(self._topic, 0)], METADATA_TIMEOUT)
        except KafkaException as error:
            raise unreachable(self._kafka, self._trouble.last or error.args[0].str()) from error
        return marks[self._topic, 0]

    def _commit(self, position: int) -> None:
        if self._config.group:
            self._consumer.commit(offsets=[TopicPartition(self._topic, 0, position)], asynchronous=True)


def as_event(feedback: Feedback) -> Event:
    """A feedback as plain data for JSON. The record itself, which may hold personal data, is left out."""
    event: Event = asdict(feedback)
    del event["record"]
    return {"event": "feedback", **event}


def _run(config: FeedbackConfig, wiring: Wiring, emit: Emit) -> bool:
    known_unit(wiring.units, config.unit)
    with FeedbackReader(wiring.kafka, config, on_waiting=lambda: emit({"event": "waiting"})) as reader:
        for feedback in reader.follow():
            emit(as_event(feedback))
    return True


CONNECTOR = Connector(
    name="feedback",
    direction="out",
    zh="订阅本单位的反馈",
    en="Follows the feedback of one unit.",
    config=FeedbackConfig,
    run=_run,
)
