"""The judgement of one partition batch: which records go on, which go back to their unit, which nobody can read.

Pure: messages and time in, an outcome out. Sending and acknowledging are in ``streams.outputs`` and ``streams.govern``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Protocol

import polars as pl
import structlog

from rules.checks.base import JudgeContext
from rules.ruleset import RuleSet, ShadowCount
from schemas.assignments import Assignments
from schemas.catalog import Dataset
from schemas.units import Units
from schemas.verdict import QUARANTINE_REASONS, Feedback, Verdict, Violation, feedback_id
from streams.decoding import BatchDecoder, Broken, CodecCache, Decoded

#: China has one time zone and no summer time: "today" of a rule is the date there.
CHINA = timezone(timedelta(hours=8))

log = structlog.get_logger("govern")


class Message(Protocol):
    """What is read of a consumer record."""

    @property
    def key(self) -> bytes | None:
        """``<unit>|<record_id>``."""
        ...

    @property
    def value(self) -> bytes | None:
        """The framed record."""
        ...

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...


#: Unit, record id and version, as far as they can be read.
_Identity = tuple[str, str | None, int | None]


@dataclass(slots=True)
class Outcome:
    """What became of a batch. ``stopped`` are positions that do not go on; ``suspects`` go on with their violations."""

    dataset: Dataset
    topic: str
    partition: int
    governed_at: int
    rule_set: str
    schema_ids: Mapping[int, int] | int
    stopped: frozenset[int] = frozenset()
    suspects: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    feedback: list[Feedback] = field(default_factory=list)
    quarantined: list[Broken] = field(default_factory=list)
    #: What shadow rules found; ``rows`` are positions. None where the dataset has none.
    shadow: tuple[ShadowCount, ...] | None = None

    def schema_of(self, position: int) -> int:
        """The schema id that the accepted message at *position* was written with."""
        return self.schema_ids if isinstance(self.schema_ids, int) else self.schema_ids[position]


class Governor:
    """Judges batches of one dataset with one rule set."""

    def __init__(
        self,
        dataset: Dataset,
        rule_set: RuleSet,
        units: Units,
        assignments: Assignments,
        codecs: CodecCache,
        *,
        max_record_bytes: int,
    ) -> None:
        self.dataset = dataset
        #: Where schemas that this governor does not know yet are learnt.
        self.codecs = codecs
        self._units = units.codes
        self._assignments = assignments
        self._rules = rule_set.dataset(dataset.code)
        self._has_shadow = self._rules.has_shadow
        self._version = rule_set.version
        self._decoder = BatchDecoder(dataset, codecs, max_record_bytes=max_record_bytes)
        self._context = JudgeContext(today=date.min, units=self._units)

    def warm_up(self, moment: int) -> None:
        """Compile what is compiled at first use, on a blank record, so that the first real ones need not wait.

        *moment* in milliseconds since the epoch: rules are compiled for a day.
        """
        blank = dict.fromkeys(self.dataset.polars_schema) | {"deleted": False}
        frame = pl.DataFrame([blank], schema=self.dataset.polars_schema)
        self._judge(Decoded(frame, [], [0], 0), moment)
        self._judge(Decoded(None, [blank], [0], 0), moment)

    def judge(
        self,
        topic: str,
        partition: int,
        messages: Sequence[Message],
        governed_at: int,
        refused: dict[int, tuple[str, str]],
    ) -> Outcome:
        """The outcome for *messages*, judged at *governed_at* (milliseconds since the epoch).

        Raises ``streams.decoding.UnknownIdsError`` when the registry must be asked first.
        """
        decoded = self._decoder.decode([message.value for message in messages], refused)
        outcome = Outcome(self.dataset, topic, partition, governed_at, self._version, _ids_by_position(decoded))
        judged, failed = self._judge(decoded, governed_at)
        outcome.quarantined = decoded.broken + failed
        stopped = {broken.position for broken in outcome.quarantined}
        identities = _identities(decoded, list(judged))
        for (row, violations), identity in zip(judged.items(), identities, strict=True):
            position = decoded.positions[row]
            if any(violation.severity == "reject" for violation in violations):
                stopped.add(position)
                verdict: Verdict = "rejected"
            else:
                outcome.suspects[position] = violations
                verdict = "suspect"
            schema_id = decoded.schema_of_row(row)
            outcome.feedback.append(self._answer(outcome, messages[position], identity, schema_id, verdict, violations))
        told = (self._unreadable(outcome, broken, messages) for broken in outcome.quarantined)
        outcome.feedback += [answer for answer in told if answer is not None]
        outcome.stopped = frozenset(stopped)
        if self._has_shadow:
            outcome.shadow = self._judge_shadow(decoded)
        return outcome

    def _judge(self, decoded: Decoded, governed_at: int) -> tuple[dict[int, tuple[Violation, ...]], list[Broken]]:
        """The violations by row, and the records that the rules themselves fail on."""
        today = datetime.fromtimestamp(governed_at / 1000, UTC).astimezone(CHINA).date()
        if self._context.today != today:
            assigned = self._assignments.units_for(self.dataset.code, today)
            self._context = JudgeContext(today=today, units=self._units, assigned=assigned)
            for rule, reason in self._rules.undecided(self._context):
                log.warning("a rule cannot decide everything today", rule=rule, reason=reason)
        if decoded.frame is None:
            return self._judge_rows(decoded, decoded.records)
        try:
            return self._rules.judge_columns(decoded.frame, self._context).violations, []
        except (Exception, pl.exceptions.PanicException) as error:
            # One record that a rule cannot bear must not take its neighbours along.
            log.error("rules failed on columns, judging rows", dataset=self.dataset.code, error=type(error).__name__)
            return self._judge_rows(decoded, decoded.frame.rows(named=True))

    def _judge_shadow(self, decoded: Decoded) -> tuple[ShadowCount, ...]:
        """What the shadow rules find; one that fails is logged and changes nothing."""
        batch = decoded.records if decoded.frame is None else decoded.frame
        try:
            found = self._rules.judge_shadow(batch, self._context)
        except (Exception, pl.exceptions.PanicException) as error:
            log.error("shadow rules failed, not counted", dataset=self.dataset.code, error=type(error).__name__)
            return ()
        return tuple(replace(one, rows=tuple(decoded.positions[row] for row in one.rows)) for one in found)

    def _judge_rows(
        self, decoded: Decoded, records: Sequence[dict[str, Any]]
    ) -> tuple[dict[int, tuple[Violation, ...]], list[Broken]]:
        judged: dict[int, tuple[Violation, ...]] = {}
        failed: list[Broken] = []
        for row, record in enumerate(records):
            try:
                violations = self._rules.judge_row(record, self._context)
            except Exception as error:
                detail = f"{type(error).__name__} while judging the record"
                position = decoded.positions[row]
                failed.append(Broken(position, "internal_error", detail, decoded.schema_of_row(row)))
                continue
            if violations:
                judged[row] = violations
        if failed:
            details = sorted({broken.detail for broken in failed})
            log.error("rules failed on records", dataset=self.dataset.code, count=len(failed), details=details[:5])
        return judged, failed

    def _answer(
        self,
        outcome: Outcome,
        message: Message,
        identity: _Identity,
        schema_id: int | None,
        verdict: Verdict,
        violations: tuple[Violation, ...],
    ) -> Feedback:
        unit, record_id, version = identity
        return Feedback(
            feedback_id=feedback_id(outcome.topic, outcome.partition, message.offset),
            unit=self._addressee(unit, message.key),
            dataset=self.dataset.code,
            record_id=record_id,
            version=version,
            verdict=verdict,
            rule_set=self._version,
            schema_id=schema_id,
            source_topic=outcome.topic,
            source_partition=outcome.partition,
            source_offset=message.offset,
            reported_at=message.timestamp,
            governed_at=outcome.governed_at,
            violations=violations,
            record=message.value if verdict == "rejected" else None,
        )

    def _addressee(self, unit: str, key: bytes | None) -> str:
        """The unit to tell: the record's, else (it does not exist) the key's, else nobody."""
        if unit in self._units:
            return unit
        named = _split_key(key)[0]
        return named if named in self._units else ""

    def _unreadable(self, outcome: Outcome, broken: Broken, messages: Sequence[Message]) -> Feedback | None:
        """Feedback on a message that nobody can read, where its key at least names a unit that exists."""
        message = messages[broken.position]
        unit, record_id = _split_key(message.key)
        if unit not in self._units:
            return None
        zh, en = QUARANTINE_REASONS[broken.reason]
        violation = Violation(broken.reason, "conformity", "reject", "", broken.detail, zh, en)
        identity = (unit, record_id, None)
        return self._answer(outcome, message, identity, broken.schema_id, "quarantined", (violation,))


def _split_key(key: bytes | None) -> tuple[str, str]:
    unit, _, record_id = (key or b"").decode("utf-8", "replace").partition("|")
    return unit, record_id[:200]


def _identities(decoded: Decoded, rows: list[int]) -> list[_Identity]:
    """(unit, record id, version) of *rows*, all at once."""
    if decoded.frame is None:
        records = (decoded.records[row] for row in rows)
        return [(record["unit"], record["record_id"], record["version"]) for record in records]
    return decoded.frame.select("unit", "record_id", "version")[rows].rows() if rows else []


def _ids_by_position(decoded: Decoded) -> Mapping[int, int] | int:
    ids = decoded.schema_ids
    if isinstance(ids, int):
        return ids
    return dict(zip(decoded.positions, ids, strict=True))
