"""Records judged again for nobody's ears: rules that ask about others read the state, and change nothing in it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import pytest
from shipped import CATALOG, RULES

from rules.state.memory import MemoryState
from schemas.assignments import Assignments
from schemas.release import Release
from schemas.units import Regions, Units
from streams.decoding import CodecCache
from streams.governing import Governor
from zhida.replaying.judging import Judge, Record, left_out
from zhida.sample.generate import NO_FAULTS, generate
from zhida.sample.message import MessageEncoder, SampleMessage

UNITS, REGIONS = Units.load(), Regions.load()
ASSIGNMENTS = Assignments.load(CATALOG, UNITS, REGIONS)
IDS = {dataset.code: number for number, dataset in enumerate(CATALOG, 1)}
NOW = round(datetime.now(UTC).timestamp() * 1000)
CODE = "abnormal_operation"
REFERENCE = f"{CODE}.TYSHXYDM.reference"


class Registry:
    """Knows every dataset's newest schema."""

    def schema(self, schema_id: int) -> dict[str, Any]:
        return list(CATALOG)[schema_id - 1].avro_schema

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return frozenset({list(CATALOG)[schema_id - 1].subject_name})


@dataclass
class Message:
    """As confluent-kafka hands them out."""

    at: int
    sample: SampleMessage
    body: bytes | None

    def key(self) -> bytes | None:
        return self.sample.key

    def value(self) -> bytes | None:
        return self.body

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, NOW

    def headers(self) -> None:
        return None


def judge_for(code: str, state: MemoryState | None) -> Judge:
    release = Release(CATALOG, REGIONS, UNITS, ASSIGNMENTS)
    return Judge(CATALOG[code], RULES, release, CodecCache(Registry()), max_record_bytes=1 << 20, state=state)


@pytest.fixture(scope="module")
def sample() -> list[SampleMessage]:
    today = datetime.now(UTC).date()
    return list(generate(3, 300, CATALOG, UNITS, REGIONS, ASSIGNMENTS, today, NO_FAULTS))


def records(messages: list[SampleMessage], first: int = 0) -> list[Record]:
    encoder = MessageEncoder(CATALOG, IDS)
    return [Record(Message(at, message, encoder.value(message))) for at, message in enumerate(messages, first)]


def accept(messages: list[SampleMessage], first: int, state: MemoryState) -> None:
    """Have *messages* of one dataset judged as govern does, which tells the state."""
    dataset = CATALOG[messages[0].dataset]
    codecs = CodecCache(Registry())
    governor = Governor(dataset, RULES, UNITS, ASSIGNMENTS, codecs, max_record_bytes=1 << 20, row_limit=100)
    codecs.learn(dataset, IDS[dataset.code])
    governor.judge(dataset.report_topic, 0, records(messages, first), NOW, {}, state)


def kept(state: MemoryState) -> dict[str, Any]:
    """A copy of what is in *state*; a look at a key leaves an empty place behind."""
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    return deepcopy(
        {name: {key: at for key, at in value.items() if at} if isinstance(value, dict) else value
         for name, value in values.items()}
    )  # fmt: skip


def test_the_state_is_read_and_never_written(sample: list[SampleMessage]) -> None:
    listed = [one for one in sample if one.dataset == CODE and one.record and one.record["TYSHXYDM"]][:5]
    state = MemoryState()
    judge, topic = judge_for(CODE, state), CATALOG[CODE].report_topic
    before = kept(state)
    said, stale = judge.judge(topic, 0, records(listed), NOW)
    assert [one.rule for found in said.values() for one in found.violations] == [REFERENCE] * len(listed)
    assert set(said) == set(range(len(listed)))
    assert (stale, kept(state)) == (frozenset(), before)
    assert judge_for(CODE, None).judge(topic, 0, records(listed), NOW) == ({}, frozenset())
    # All companies come, and these records; when they come once more, the second one changes nothing.
    accept([one for one in sample if one.dataset == "legal_person"], 0, state)
    accept(listed, 0, state)
    before = kept(state)
    assert judge.judge(topic, 0, records(listed), NOW) == ({}, frozenset())
    assert judge.judge(topic, 0, records(listed, 200), NOW) == ({}, frozenset(range(200, 200 + len(listed))))
    assert kept(state) == before


def test_with_a_state_only_rules_that_ask_for_what_is_not_kept_are_left_out() -> None:
    state = MemoryState()
    assert left_out(RULES, RULES, state)[0] == ()
    listed, scope = left_out(RULES, None, state)
    assert REFERENCE in listed
    assert scope.never(REFERENCE)
    assert not scope.never("abnormal_operation.unit.known_unit")
    assert scope.stale(REFERENCE)
    assert scope.stale("abnormal_operation.TYSHXYDM.reference.of_old")
