"""Where one reported message went: the message itself and every verdict on it, found on the topics.

A message is named by its source coordinates. Topics are read from the time at which it was reported where the broker
can find that place, and no further than its verdict can stand: accepted and quarantined messages keep their partition,
their time and their order. Reads alone: no group is joined and nothing is committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka import Trouble, new_consumer, topic_names, unreachable, watermarks
from schemas.connection import KafkaConnection
from schemas.topics import (
    DETAIL_HEADER,
    QUARANTINE_TOPIC,
    REASON_HEADER,
    REJECTED_TOPIC,
    VERDICT_HEADER,
    VIOLATIONS_HEADER,
    feedback_topic,
)
from schemas.verdict import (
    Feedback,
    Verdict,
    Violation,
    decode_feedback,
    feedback_id,
    parse_feedback_id,
    parse_verdict_prefix,
)

#: Only named, never joined: assigning partitions by hand needs no membership.
_GROUP = "zhida-explain"
REPORT_PREFIX = "zhida.report."
ACCEPTED_PREFIX = "zhida.accepted."
#: Stands for a topic where a verdict is told by none: the table of the store.
VERDICT_HISTORY = "verdicts"
_AT_ONCE = 1000
#: Short: a request for many messages ends with it, also when the end of the partition has long been told.
_POLL_SECONDS = 0.05
#: Clocks of two machines differ by no more than this, ms: what was written later stands behind.
_SKEW = 600_000
#: A worker that is killed judges again what it had not committed: so many records at most, and as many again in doubt.
#: Beyond them, in the order of the source, no verdict on a message before them comes (one that is given again because
#: other records have come is told on the feedback topic).
_AGAIN = 100_000

#: ``gone``: there was a message, and the broker has dropped it. ``missing``: there has never been one.
Absence = Literal["gone", "missing"]


@dataclass(frozen=True, slots=True)
class Place:
    """Source coordinates."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that a feedback id names; raises ValueError for anything that is not the id of a report."""
        topic, partition, offset = parse_feedback_id(text)
        if not topic.removeprefix(REPORT_PREFIX) or not topic.startswith(REPORT_PREFIX):
            raise ValueError(f"{topic} is no report topic ({REPORT_PREFIX}<dataset>)")
        return cls(topic, partition, offset)

    @property
    def id(self) -> str:
        """The feedback id."""
        return feedback_id(self.topic, self.partition, self.offset)

    @property
    def dataset(self) -> str:
        """The code of the dataset whose report topic it is."""
        return self.topic.removeprefix(REPORT_PREFIX)


@dataclass(frozen=True, slots=True)
class Original:
    """The message as it was reported; ``timestamp`` in ms, None where it was written without."""

    key: bytes | None
    value: bytes | None
    timestamp: int | None

    @property
    def named_unit(self) -> str:
        """The unit that its key names."""
        return _split(self.key)[0]


@dataclass(frozen=True, slots=True)
class Told:
    """One verdict as it was recorded on ``topic`` (or VERDICT_HISTORY).

    ``value`` is the reported message where it stands beside it.
    """

    topic: str
    verdict: Verdict
    rule_set: str
    schema_id: int | None
    reported_at: int
    governed_at: int
    violations: tuple[Violation, ...]
    unit: str
    record_id: str | None
    version: int | None = None
    value: bytes | None = None
    reason: str = ""
    detail: str = ""


class Tracer:
    """Reads topics; use it as a context. Every call raises UnreachableError when the broker does not answer."""

    def __init__(self, kafka: KafkaConnection, now_ms: int, *, patience: float = 20.0) -> None:
        """*now_ms*: the time, ms since the epoch; *patience*: seconds without any answer."""
        self._kafka = kafka
        self._now = now_ms
        self._patience = patience
        self._trouble = Trouble()
        self._consumer: Consumer = new_consumer(kafka, self._trouble, _GROUP)
        self._partitions = topic_names(self._consumer, kafka, self._trouble)

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def original(self, place: Place) -> Original | Absence:
        """The message at *place*."""
        if place.partition >= self._partitions.get(place.topic, 0):
            return "missing"
        # Asked first: a broker need not answer for a place that it does not have.
        try:
            marks = watermarks(self._consumer, [(place.topic, place.partition)], self._patience)
        except KafkaException as error:
            raise self._unreachable(error.args[0]) from error
        first, end = marks[place.topic, place.partition]
        if place.offset >= end:
            return "missing"
        if place.offset < first:
            return "gone"
        message = next(self._messages(place.topic, place.partition, place.offset), None)
        if message is None or message.offset() != place.offset:
            return "gone"
        return Original(message.key(), message.value(), _time(message))

    def verdicts(self, place: Place, since: int | None) -> list[Told]:
        """What is said of the message at *place* beside what its unit was told; *since*, ms, is when it was reported.

        The time of reporting is the unit's: what its clock hides is looked for everywhere.
        """
        accepted = ACCEPTED_PREFIX + place.dataset
        found = [*self._marked(accepted, place, since), *self._marked(QUARANTINE_TOPIC, place, since)]
        found += self._rejected(place, self._earlier(since))
        if not found and since is not None:
            found = self._rejected(place, None)
        return found

    def told(self, place: Place, unit: str, since: int | None) -> list[Told]:
        """What *unit* was told of the message at *place* from *since* (ms) on."""
        topic, key = feedback_topic(unit), place.id.encode()
        if topic not in self._partitions:
            return []
        answers = self._from(topic, 0, self._earlier(since))
        return [told for message in answers if message.key() == key for told in _answer(topic, message, place)]

    def _rejected(self, place: Place, since: int | None) -> list[Told]:
        found: list[Told] = []
        key = place.id.encode()
        for message in self._from(REJECTED_TOPIC, place.partition, since):
            if message.key() == key:
                found += _answer(REJECTED_TOPIC, message, place)
            elif _beyond(message.key(), place):
                break
        return found

    def _marked(self, topic: str, place: Place, since: int | None) -> list[Told]:
        """Accepted or quarantined copies of the message: the headers say what they are copies of."""
        found: list[Told] = []
        source = f";source={place.topic};partition={place.partition};offset=".encode()
        for message in self._from(topic, place.partition, since):
            headers = message.headers() or []
            header = headers[0][1] if headers and headers[0][0] == VERDICT_HEADER else None
            prefix, is_source, offset = (header or b"").rpartition(source)
            if not is_source or not offset.isdigit():
                continue
            if int(offset) == place.offset:
                found += _marked(topic, message, prefix + is_source, dict(headers[1:3]))
            elif int(offset) > place.offset + _AGAIN:
                break
        return found

    def _from(self, topic: str, partition: int, since: int | None) -> Iterator[Message]:
        """What is on the topic from a time (ms) on; nothing where it does not exist. Partitions are counted round."""
        if not (count := self._partitions.get(topic, 0)):
            return
        partition %= count
        start = OFFSET_BEGINNING
        if since is not None:
            try:
                (at,) = self._consumer.offsets_for_times([TopicPartition(topic, partition, since)], self._patience)
            except KafkaException as error:
                raise self._unreachable(error.args[0]) from error
            if at.error is None:
                if at.offset < 0:  # all that is there is older
                    return
                start = at.offset
        yield from self._messages(topic, partition, start)

    def _messages(self, topic: str, partition: int, start: int) -> Iterator[Message]:
        """Messages up to the end that the partition has now."""
        self._consumer.assign([TopicPartition(topic, partition, start)])
        answered = time.monotonic()
        try:
            while True:
                for message in self._consumer.consume(_AT_ONCE, _POLL_SECONDS):
                    error = message.error()
                    at_end = error is not None and error.code() == KafkaError._PARTITION_EOF
                    if error is not None and not at_end:
                        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                            raise KafkaException(error)
                        continue  # the client says by itself that a broker is away, and connects again
                    answered = time.monotonic()
                    if at_end:
                        return
                    yield message
                if time.monotonic() - answered > self._patience:
                    raise self._unreachable(KafkaError(KafkaError._TIMED_OUT, f"{topic} cannot be read"))
        finally:
            self._consumer.unassign()

    def _earlier(self, since: int | None) -> int | None:
        """For what a worker's clock has dated: a little before, and never in the future."""
        return None if since is None else max(0, min(since, self._now) - _SKEW)

    def _unreachable(self, error: KafkaError) -> Exception:
        return unreachable(self._kafka, self._trouble.last or error.str())


def newest(found: Iterable[Told]) -> list[Told]:
    """Verdicts on one message, each once, the one that stands first: a later one replaces those before it."""
    once: dict[tuple[int, str], Told] = {}
    for told in found:
        once.setdefault((told.governed_at, told.verdict), told)
    return sorted(once.values(), key=lambda told: told.governed_at, reverse=True)


def _marked(topic: str, message: Message, prefix: bytes, headers: dict[str, bytes | None]) -> Iterator[Told]:
    try:
        shared = parse_verdict_prefix(prefix)
        raw = orjson.loads(headers.get(VIOLATIONS_HEADER) or b"[]")
        violations = tuple(Violation(**violation) for violation in raw)
    except (ValueError, TypeError):
        return
    unit, record_id = _split(message.key())
    yield Told(
        topic=topic,
        verdict=shared.verdict,
        rule_set=shared.rule_set,
        schema_id=shared.schema_id if shared.schema_id >= 0 else None,
        reported_at=_time(message) or 0,
        governed_at=shared.governed_at,
        violations=violations,
        unit=unit,
        record_id=record_id,
        value=message.value(),
        reason=(headers.get(REASON_HEADER) or b"").decode("utf-8", "replace"),
        detail=(headers.get(DETAIL_HEADER) or b"").decode("utf-8", "replace"),
    )


def _answer(topic: str, message: Message, place: Place) -> Iterator[Told]:
    try:
        answer: Feedback = decode_feedback(message.value() or b"")
    except ValueError:
        return
    if (answer.source_topic, answer.source_partition, answer.source_offset) != (
        place.topic,
        place.partition,
        place.offset,
    ):
        return
    quarantined = answer.verdict == "quarantined" and answer.violations
    yield Told(
        topic=topic,
        verdict=answer.verdict,
        rule_set=answer.rule_set,
        schema_id=answer.schema_id,
        reported_at=answer.reported_at,
        governed_at=answer.governed_at,
        violations=answer.violations,
        unit=answer.unit,
        record_id=answer.record_id,
        version=answer.version,
        value=answer.record,
        reason=answer.violations[0].rule if quarantined else "",
        detail=answer.violations[0].value if quarantined else "",
    )


def _beyond(key: bytes | None, place: Place) -> bool:
    """Whether the feedback under *key* is on a message too far behind *place* for anything on it to follow."""
    try:
        topic, partition, offset = parse_feedback_id((key or b"").decode())
    except ValueError:
        return False
    return (topic, partition) == (place.topic, place.partition) and offset > place.offset + _AGAIN


def _time(message: Message) -> int | None:
    kind, milliseconds = message.timestamp()
    return milliseconds if kind and milliseconds >= 0 else None


def _split(key: bytes | None) -> tuple[str, str]:
    unit, _, record_id = (key or b"").decode("utf-8", "replace").partition("|")
    return unit, record_id[:200]
