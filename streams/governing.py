"""The judgement of one partition batch: which records go on, which go back to their unit, which nobody can read.

In three steps: :meth:`Governor.prepare` decodes and judges each record by itself, :func:`ask_together` asks the state
about those that are not rejected (the only step that talks to anybody), :meth:`Governor.conclude` puts both together.
Sending and acknowledging are in ``streams.outputs`` and ``streams.govern``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Protocol

import polars as pl
import structlog

from rules.checks.base import JudgeContext
from rules.ruleset import RuleSet, ShadowCount
from rules.state.definitions import Distribution, Packed, StatePlan, StateSource
from schemas.assignments import Assignments
from schemas.catalog import Dataset
from schemas.units import Units
from schemas.verdict import QUARANTINE_REASONS, Feedback, Verdict, Violation, feedback_id
from streams.decoding import BatchDecoder, Broken, CodecCache, Decoded
from streams.stateful import Answers, Buckets, Reply, Request, StateStep

#: China has one time zone and no summer time: "today" of a rule is the date there.
CHINA = timezone(timedelta(hours=8))

#: The kind of rule that a record breaks by the mere passing of days.
DEADLINE_KIND = "workday_deadline"
#: No message waits longer to be judged again; a unit's clock that says more is not believed.
_OLDEST = timedelta(days=366)

#: Below this many messages rows cost less than columns (docs/decisions/small-batches.md).
ROW_LIMIT = 300

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
    #: Records that are judged again and rejected now: what an earlier judgement let in is taken back.
    withdrawn: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    #: The messages have had a verdict before.
    again: bool = False
    #: What the batch adds to the day's histograms.
    counts: list[tuple[Distribution, date, Buckets]] = field(default_factory=list)

    def schema_of(self, position: int) -> int:
        """The schema id that the accepted message at *position* was written with."""
        return self.schema_ids if isinstance(self.schema_ids, int) else self.schema_ids[position]


@dataclass(slots=True)
class Prepared:
    """A batch that is decoded and judged record by record; what the state finds is still missing."""

    outcome: Outcome
    messages: Sequence[Message]
    decoded: Decoded
    judged: dict[int, tuple[Violation, ...]]
    context: JudgeContext
    step: StateStep
    request: Request | None
    #: The request as the state wants it.
    packed: Packed = None

    def pack(self, state: StateSource, *, write: bool = True) -> None:
        """Make ready what *state* is asked; without *write* it learns nothing."""
        if self.request is not None:
            self.packed = state.pack(self.request.ask, write=write)

    def ask(self, state: StateSource, *, write: bool = True) -> Answers:
        """What the state finds. Blocking; raises what the state raises. Without *write* the state learns nothing."""
        self.pack(state, write=write)
        return self.answers(ask_together([self], state)[0])

    def answers(self, reply: Reply | None) -> Answers:
        """What *reply*, from ``ask_together``, says about the batch's rows."""
        return Answers() if reply is None else self.step.answers(self.decoded, reply)


def ask_together(batches: Sequence[Prepared], state: StateSource) -> list[Reply | None]:
    """What the state says about each of *batches*, which are packed, asked one after the other in one round trip.

    None where there was nothing to ask. Blocking; raises what the state raises. What it means is for
    ``Prepared.answers`` to find out, while the state is asked about the next ones.
    """
    replies = iter(state.ask_all([batch.packed for batch in batches if batch.request is not None]))
    return [
        None if batch.request is None else batch.step.reply(batch.request, next(replies), state) for batch in batches
    ]


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
        stateful: bool = True,
        row_limit: int = ROW_LIMIT,
    ) -> None:
        """Without *stateful* the rules that ask the state are left out, and nothing is made ready to ask it.

        Fewer than *row_limit* messages are judged row by row.
        """
        self.dataset = dataset
        #: Where schemas that this governor does not know yet are learnt.
        self.codecs = codecs
        self._units = units.codes
        self._assignments = assignments
        self._rules = rule_set.dataset(dataset.code)
        plan = rule_set.plan(dataset.code) if stateful else StatePlan(dataset)
        self._deadlines = {rule.id for rule in self._rules.rules if rule.kind == DEADLINE_KIND}
        self._step = StateStep(self._rules, plan)
        self._has_shadow = self._rules.has_shadow
        self._version = rule_set.version
        self._decoder = BatchDecoder(dataset, codecs, max_record_bytes=max_record_bytes, row_limit=row_limit)
        self._context = JudgeContext(today=date.min, units=self._units)

    def warm_up(self, moment: int) -> None:
        """Compile what is compiled at first use, on a blank record, so that the first real ones need not wait.

        *moment* in milliseconds since the epoch: rules are compiled for a day.
        """
        blank = dict.fromkeys(self.dataset.polars_schema) | {"deleted": False}
        frame = pl.DataFrame([blank], schema=self.dataset.polars_schema)
        context = self._context_of(china_day(moment))
        self._judge(Decoded(frame, [], [0], 0), context)
        self._judge(Decoded(None, [blank], [0], 0), context)

    @property
    def plan(self) -> StatePlan:
        """What the state is told and asked about the dataset's records."""
        return self._step.plan

    def judge(
        self,
        topic: str,
        partition: int,
        messages: Sequence[Message],
        governed_at: int,
        refused: dict[int, tuple[str, str]],
        state: StateSource | None = None,
        *,
        write: bool = True,
    ) -> Outcome:
        """The outcome for *messages*, all three steps together; without *state* rules that ask it break nothing."""
        prepared = self.prepare(topic, partition, messages, governed_at, refused)
        return self.conclude(prepared, prepared.ask(state, write=write) if state else Answers())

    def prepare(
        self,
        topic: str,
        partition: int,
        messages: Sequence[Message],
        governed_at: int,
        refused: dict[int, tuple[str, str]],
        *,
        again: bool = False,
    ) -> Prepared:
        """Decode *messages* and judge each by itself, at *governed_at* (milliseconds since the epoch).

        *again*: they have been judged before, and whoever was told is told again, also that all is well now. They are
        judged by today, but waiting makes none of them late. Raises ``streams.decoding.UnknownIdsError`` when the
        registry must be asked first.
        """
        context = self._context_of(china_day(governed_at))
        decoded = self._decoder.decode([message.value for message in messages], refused)
        outcome = Outcome(self.dataset, topic, partition, governed_at, self._version, _ids_by_position(decoded))
        outcome.again = again
        judged, failed = self._judge(decoded, context)
        if again:
            judged = {row: kept for row, kept in self._not_late_by_waiting(judged, decoded, messages, context) if kept}
        outcome.quarantined = decoded.broken + failed
        request = None
        if self._step and decoded.positions:
            broken = {one.position for one in failed}
            out = {row for row, violations in judged.items() if _rejects(violations)}
            out |= {row for row, position in enumerate(decoded.positions) if position in broken} if broken else set()
            offsets = [messages[position].offset for position in decoded.positions]
            place = (topic, partition)
            request = self._step.request(decoded, place, offsets, out, context.today, withdraw=again)
        return Prepared(outcome, messages, decoded, judged, context, self._step, request)

    def conclude(self, prepared: Prepared, answers: Answers) -> Outcome:
        """The outcome of a prepared batch, now that the state has answered."""
        outcome, messages, decoded, judged = prepared.outcome, prepared.messages, prepared.decoded, prepared.judged
        outcome.counts = [] if prepared.outcome.again else answers.counts
        for row, violations in self._step.judge(answers, prepared.context).items():
            judged[row] = self._rules.in_order(judged.get(row, ()), violations)
        stopped = {broken.position for broken in outcome.quarantined}
        if prepared.outcome.again:
            # A newer version has a verdict of its own; nobody needs to hear of this one any more.
            stopped |= {decoded.positions[row] for row in answers.stale}
        rows = self._told(prepared, answers)
        for row, identity in zip(rows, _identities(decoded, rows), strict=True):
            position, violations = decoded.positions[row], judged.get(row, ())
            verdict: Verdict = "suspect" if violations else "accepted"
            if _rejects(violations):
                verdict = "rejected"
                stopped.add(position)
                if prepared.outcome.again:
                    outcome.withdrawn[position] = violations
            elif violations:
                outcome.suspects[position] = violations
            schema_id = decoded.schema_of_row(row)
            outcome.feedback.append(self._answer(outcome, messages[position], identity, schema_id, verdict, violations))
        told = (self._unreadable(outcome, broken, messages) for broken in outcome.quarantined)
        outcome.feedback += [answer for answer in told if answer is not None]
        outcome.stopped = frozenset(stopped)
        if self._has_shadow and not prepared.outcome.again:
            outcome.shadow = self._judge_shadow(prepared, answers)
        return outcome

    def _not_late_by_waiting(
        self,
        judged: Mapping[int, tuple[Violation, ...]],
        decoded: Decoded,
        messages: Sequence[Message],
        context: JudgeContext,
    ) -> Iterator[tuple[int, tuple[Violation, ...]]]:
        """*judged* without the deadlines that were not over when the record was sent."""
        for row, violations in judged.items():
            if self._deadlines.isdisjoint(violation.rule for violation in violations):
                yield row, violations
                continue
            sent = _sent_on(messages[decoded.positions[row]], context.today)
            (record,) = decoded.some([row])
            then = {violation.rule for violation in self._rules.judge_row(record, replace(context, today=sent))}
            yield row, tuple(one for one in violations if one.rule not in self._deadlines or one.rule in then)

    def _told(self, prepared: Prepared, answers: Answers) -> list[int]:
        """The rows whose unit is told: what is not plainly accepted; of those judged again, all that are current."""
        if not prepared.outcome.again:
            return sorted(prepared.judged)
        unread = {broken.position for broken in prepared.outcome.quarantined}
        rows = enumerate(prepared.decoded.positions)
        return [row for row, position in rows if row not in answers.stale and position not in unread]

    def _context_of(self, today: date) -> JudgeContext:
        """What is judged by on *today*; undecided rules are told of once a day."""
        if self._context.today != today:
            assigned = self._assignments.units_for(self.dataset.code, today)
            self._context = JudgeContext(today=today, units=self._units, assigned=assigned)
            for rule, reason in self._rules.undecided(self._context):
                log.warning("a rule cannot decide everything today", rule=rule, reason=reason)
        return self._context

    def _judge(self, decoded: Decoded, context: JudgeContext) -> tuple[dict[int, tuple[Violation, ...]], list[Broken]]:
        """The violations by row, and the records that the rules themselves fail on."""
        if decoded.frame is None:
            return self._judge_rows(decoded, decoded.records, context)
        try:
            return self._rules.judge_columns(decoded.frame, context).violations, []
        except (Exception, pl.exceptions.PanicException) as error:
            # One record that a rule cannot bear must not take its neighbours along.
            log.error("rules failed on columns, judging rows", dataset=self.dataset.code, error=type(error).__name__)
            return self._judge_rows(decoded, decoded.frame.rows(named=True), context)

    def _judge_shadow(self, prepared: Prepared, answers: Answers) -> tuple[ShadowCount, ...]:
        """What the shadow rules find; one that fails is logged and changes nothing."""
        decoded = prepared.decoded
        batch = decoded.records if decoded.frame is None else decoded.frame
        try:
            answered = {row: (record, found) for row, record, found in self._step.answered(answers)}
            found = self._rules.judge_shadow(batch, prepared.context, answered)
        except (Exception, pl.exceptions.PanicException) as error:
            log.error("shadow rules failed, not counted", dataset=self.dataset.code, error=type(error).__name__)
            return ()
        return tuple(replace(one, rows=tuple(decoded.positions[row] for row in one.rows)) for one in found)

    def _judge_rows(
        self, decoded: Decoded, records: Sequence[dict[str, Any]], context: JudgeContext
    ) -> tuple[dict[int, tuple[Violation, ...]], list[Broken]]:
        judged: dict[int, tuple[Violation, ...]] = {}
        failed: list[Broken] = []
        for row, record in enumerate(records):
            try:
                violations = self._rules.judge_row(record, context)
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


def china_day(moment: int) -> date:
    """The day in China of *moment* (milliseconds since the epoch)."""
    return datetime.fromtimestamp(moment / 1000, UTC).astimezone(CHINA).date()


def _sent_on(message: Message, today: date) -> date:
    """The day in China on which a message was sent; *today* where its clock says something that cannot be believed."""
    try:
        sent = china_day(message.timestamp)
    except (OverflowError, ValueError, OSError):
        return today
    return sent if today - _OLDEST <= sent <= today else today


def _rejects(violations: tuple[Violation, ...]) -> bool:
    return any(violation.severity == "reject" for violation in violations)


def _split_key(key: bytes | None) -> tuple[str, str]:
    unit, _, record_id = (key or b"").decode("utf-8", "replace").partition("|")
    return unit, record_id[:200]


def _identities(decoded: Decoded, rows: list[int]) -> list[_Identity]:
    """(unit, record id, version) of *rows*."""
    if decoded.frame is None:
        records = (decoded.records[row] for row in rows)
        return [(record["unit"], record["record_id"], record["version"]) for record in records]
    units, ids, versions = (decoded.frame.get_column(name) for name in ("unit", "record_id", "version"))
    return [(units[row], ids[row], versions[row]) for row in rows]


def _ids_by_position(decoded: Decoded) -> Mapping[int, int] | int:
    ids = decoded.schema_ids
    if isinstance(ids, int):
        return ids
    return dict(zip(decoded.positions, ids, strict=True))
