"""Judging as govern does, for nobody's ears: the one place here that knows how a batch is judged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rules.checks import kinds
from rules.checks.base import StatefulCheck
from rules.ruleset import DatasetRules, RuleSet
from rules.state.definitions import Index, Question, StatePlan, StateSource
from schemas.catalog import Dataset
from schemas.release import Release
from streams.decoding import CodecCache
from streams.governing import Governor, Prepared
from streams.learning import Refused, learn_and_decode
from streams.stateful import Answers
from zhida.replaying.compare import Said, Scope, unreadable


class Record:
    """A message of confluent-kafka as govern reads them."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    @property
    def key(self) -> bytes | None:
        """``<unit>|<record_id>``."""
        found: bytes | None = self._message.key()
        return found

    @property
    def value(self) -> bytes | None:
        """The framed record."""
        found: bytes | None = self._message.value()
        return found

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        found: int = self._message.offset()
        return found

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        found: int = self._message.timestamp()[1]
        return found

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The unit's own headers."""
        return self._message.headers() or []


class Judge:
    """Judges batches of one dataset; the state, where there is one, is asked and never told."""

    def __init__(
        self,
        dataset: Dataset,
        rule_set: RuleSet,
        release: Release,
        codecs: CodecCache,
        *,
        max_record_bytes: int,
        state: StateSource | None = None,
    ) -> None:
        self.dataset = dataset
        self._codecs = codecs
        self._state = state
        self._governor = Governor(
            dataset, rule_set, release.units, release.assignments, codecs, max_record_bytes=max_record_bytes
        )

    def judge(
        self, topic: str, partition: int, records: Sequence[Record], moment: int
    ) -> tuple[dict[int, Said], frozenset[int]]:
        """What is said of *records* on the day of *moment* (ms), by offset; plainly accepted ones are left out.

        And the offsets of versions that newer ones have replaced: other records are not asked about these any more.
        Blocking; raises RegistryUnavailable, and what the state raises.
        """

        def attempt(refused: Refused) -> Prepared:
            return self._governor.prepare(topic, partition, records, moment, refused)

        prepared = learn_and_decode(attempt, self._codecs, self.dataset)
        answers = prepared.ask(self._state, write=False) if self._state is not None else Answers()
        outcome = self._governor.conclude(prepared, answers)
        said = {
            answer.source_offset: Said(answer.verdict, answer.violations, answer.unit) for answer in outcome.feedback
        }
        for broken in outcome.quarantined:
            offset = records[broken.position].offset
            said[offset] = unreadable(broken.reason, said[offset].unit if offset in said else "")
        stale = frozenset(records[prepared.decoded.positions[row]].offset for row in answers.stale)
        return said, stale


def left_out(new: RuleSet, in_force: RuleSet | None, state: StateSource | None) -> tuple[tuple[str, ...], Scope]:
    """The rules of the two sets that cannot be compared, and the scope of the comparison.

    Without a state these are all that ask about other records; with one, those of *new* that ask for an index that is
    not kept, because no rule in force asks for it.
    """
    sets = [one for one in (new, in_force) if one is not None]
    asking = frozenset(rule.id for one in sets for rules in one for rule in rules.active if rule.asks is not None)
    stateful = {kind for kind, check in kinds().items() if issubclass(check, StatefulCheck)}

    def asks(rule: str) -> bool:
        # What was in force once may be in neither set: the kind is part of the id.
        return rule in asking or (rule.count(".") > 1 and rule.split(".")[2] in stateful)

    if state is None:
        return tuple(sorted(asking)), Scope(asks, asks)
    kept = {index for rules in in_force or () for index in _plan(in_force, rules).indexes}
    unkept = frozenset(rule for rules in new for rule in _unkept(rules, new.plan(rules.dataset.code), kept))
    return tuple(sorted(unkept)), Scope(unkept.__contains__, asks)


def _plan(rule_set: RuleSet | None, rules: DatasetRules) -> StatePlan:
    assert rule_set is not None
    return rule_set.plan(rules.dataset.code)


def _unkept(rules: DatasetRules, plan: StatePlan, kept: Collection[Index]) -> Iterator[str]:
    """The active rules whose question is put to an index that is not in *kept*."""
    # A plan may put a question to an index that keeps more than the rule asks for; by its name it is the same.
    indexes = {question.name: question.index for question in plan.questions}
    for rule in rules.active:
        if isinstance(asked := rule.asks, Question) and indexes[asked.name] not in kept:
            yield rule.id
