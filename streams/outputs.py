"""Sends an outcome: accepted records, feedback, rejections for the history, quarantine; says when all is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from schemas.topics import (
    DETAIL_HEADER,
    HEADER_PREFIX,
    QUARANTINE_TOPIC,
    REASON_HEADER,
    REJECTED_TOPIC,
    VERDICT_HEADER,
    VIOLATIONS_HEADER,
    feedback_topic,
)
from schemas.verdict import Verdict, encode_feedback, encode_violations, verdict_header_prefix
from streams.delivery import Batch, BatchProducer, Headers, Single, SinglesProducer
from streams.governing import Outcome
from streams.topic_admin import FeedbackTopics


class OutputWriter:
    """Writes outcomes. ``feedback_header`` are the five bytes in front of every feedback record."""

    def __init__(
        self, batches: BatchProducer, singles: SinglesProducer, topics: FeedbackTopics, feedback_header: bytes
    ) -> None:
        self._batches = batches
        self._singles = singles
        self._topics = topics
        self._feedback_header = feedback_header

    async def start(self) -> None:
        """Connect both producers and learn which feedback topics there are."""
        await self._topics.load()
        await self._batches.start()
        await self._singles.start([*self._topics.names(), REJECTED_TOPIC, QUARANTINE_TOPIC])

    async def stop(self) -> None:
        """Disconnect both."""
        await self._batches.stop()
        await self._singles.stop()

    async def write(self, outcomes: Sequence[tuple[Outcome, Sequence[Any]]]) -> list[asyncio.Future[Any]]:
        """Hand over all that each outcome for its messages leads to, in order.

        The messages may be acknowledged when every future has ended well.
        """
        batches: list[Batch] = []
        singles: list[Single] = []
        units: set[str] = set()
        for outcome, messages in outcomes:
            if len(outcome.stopped) < len(messages) or outcome.withdrawn:
                topic = outcome.dataset.accepted_topic
                batches.append((topic, outcome.partition, _accepted(outcome, messages)))
            singles += [*_quarantined(outcome, messages), *self._answers(outcome)]
            units.update(feedback.unit for feedback in outcome.feedback if feedback.unit)
        futures = await self._batches.send(batches)
        if singles:
            await self._topics.ensure(units)
            futures.append(await self._singles.send(singles))
        return futures

    def _answers(self, outcome: Outcome) -> Iterator[Single]:
        for feedback in outcome.feedback:
            value = encode_feedback(feedback, self._feedback_header)
            key = feedback.feedback_id.encode()
            if feedback.unit:
                yield Single(feedback_topic(feedback.unit), key, value, [])
            if feedback.verdict == "rejected":
                yield Single(REJECTED_TOPIC, key, value, [], place=outcome.partition)


def _prefix(outcome: Outcome, verdict: Verdict, schema_id: int) -> bytes:
    return verdict_header_prefix(
        verdict=verdict,
        rule_set=outcome.rule_set,
        schema_id=schema_id,
        governed_at=outcome.governed_at,
        topic=outcome.topic,
        partition=outcome.partition,
        again=outcome.again,
    )


def _accepted(outcome: Outcome, messages: Sequence[Any]) -> Iterator[tuple[int, bytes | None, bytes | None, Headers]]:
    """Accepted and suspect messages as they came, with the verdict added to their headers.

    And those that are to be taken back: the verdict says so.
    """
    stopped = outcome.stopped - outcome.withdrawn.keys() if outcome.withdrawn else outcome.stopped
    flagged = outcome.suspects | outcome.withdrawn if outcome.withdrawn else outcome.suspects
    prefixes: dict[int, bytes] = {}
    uniform = outcome.schema_ids if isinstance(outcome.schema_ids, int) else None
    prefix = _prefix(outcome, "accepted", uniform) if uniform is not None else b""
    for position, message in enumerate(messages):
        if position in stopped:
            continue
        if uniform is None:
            schema_id = outcome.schema_of(position)
            if schema_id not in prefixes:
                prefixes[schema_id] = _prefix(outcome, "accepted", schema_id)
            prefix = prefixes[schema_id]
        if position in flagged:
            verdict: Verdict = "suspect" if position in outcome.suspects else "rejected"
            headers: Headers = [
                (VERDICT_HEADER, _prefix(outcome, verdict, outcome.schema_of(position)) + b"%d" % message.offset),
                (VIOLATIONS_HEADER, encode_violations(flagged[position])),
            ]
        else:
            headers = [(VERDICT_HEADER, prefix + b"%d" % message.offset)]
        if message.headers:
            headers += _kept(message.headers)
        yield message.timestamp, message.key, message.value, headers


def _quarantined(outcome: Outcome, messages: Sequence[Any]) -> Iterator[Single]:
    for broken in outcome.quarantined:
        message = messages[broken.position]
        prefix = _prefix(outcome, "quarantined", broken.schema_id if broken.schema_id is not None else -1)
        headers: Headers = [
            (VERDICT_HEADER, prefix + b"%d" % message.offset),
            (REASON_HEADER, broken.reason.encode()),
            (DETAIL_HEADER, broken.detail.encode()),
        ]
        headers += _kept(message.headers)
        yield Single(QUARANTINE_TOPIC, message.key, message.value, headers, message.timestamp, outcome.partition)


def _kept(headers: Sequence[tuple[str, bytes]]) -> Headers:
    """A unit's own headers, without any that would pass for ours."""
    return [(name, value) for name, value in headers if not name.startswith(HEADER_PREFIX)]
