"""The judgement of a batch: what goes on, what goes back, what is set apart, and who is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from shipped import CATALOG, RULES

from rules.checks.base import JudgeContext
from rules.document import RuleDocument
from rules.ruleset import LIBRARY_DIR, DatasetRules, Judgement, RuleSet
from rules.state.definitions import StatePlan
from schemas.assignments import Assignments
from schemas.catalog import Dataset
from schemas.framing import frame_header
from schemas.registry.client import RegistryUnavailable, UnknownSchema
from schemas.rowcodec import RowCodec
from schemas.topics import HEADER_PREFIX
from schemas.units import Regions, Units
from schemas.verdict import Violation
from streams.decoding import CodecCache, UnknownIdsError
from streams.governing import Governor, Outcome
from streams.outputs import _accepted, _kept
from streams.shadow import ShadowTally
from zhida.sample.generate import NO_FAULTS, generate
from zhida.sample.message import MessageEncoder, SampleMessage

UNITS, REGIONS = Units.load(), Regions.load()
ASSIGNMENTS = Assignments.load(CATALOG, UNITS, REGIONS)
DATASET = CATALOG["administrative_penalty"]
TODAY = date(2026, 9, 1)
NOW = int(datetime(2026, 9, 1, 4, tzinfo=UTC).timestamp() * 1000)
TOPIC = DATASET.report_topic
IDS = {dataset.code: number for number, dataset in enumerate(CATALOG, start=1)}


class Schemas:
    """What the registry would say."""

    def __init__(self, more: Mapping[int, tuple[str, Any]] | None = None) -> None:
        self.known = {IDS[d.code]: (d.subject_name, d.avro_schema) for d in CATALOG} | dict(more or {})
        self.reachable = True

    def schema(self, schema_id: int) -> dict[str, Any]:
        if not self.reachable:
            raise RegistryUnavailable("away")
        if schema_id not in self.known:
            raise UnknownSchema(str(schema_id))
        return self.known[schema_id][1]

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return frozenset({self.known[schema_id][0]})


@dataclass(frozen=True)
class Report:
    """A message on a report topic."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = NOW - 5
    headers: tuple[tuple[str, bytes], ...] = ()


def _governor(schemas: Schemas | None = None, rules: RuleSet | None = None, dataset: Dataset = DATASET) -> Governor:
    codecs = CodecCache(schemas or Schemas())
    codecs.learn(dataset, IDS[dataset.code])
    return Governor(dataset, rules or RULES, UNITS, ASSIGNMENTS, codecs, max_record_bytes=1 << 20, row_limit=100)


def _assigned_from(day: date) -> Assignments:
    """Everybody must report penalties from *day* on."""
    data = [{"dataset": DATASET.code, "assignments": [{"lines": sorted(UNITS.lines), "from": str(day)}]}]
    return Assignments.from_data(data, CATALOG, UNITS, REGIONS)


def _judge(governor: Governor, reports: list[Report], refused: dict[int, tuple[str, str]] | None = None) -> Outcome:
    return governor.judge(TOPIC, 1, reports, NOW, refused or {})


@pytest.fixture(scope="module")
def sound() -> list[SampleMessage]:
    made = generate(5, 1200, CATALOG, UNITS, REGIONS, ASSIGNMENTS, TODAY, NO_FAULTS)
    return [message for message in made if message.dataset == DATASET.code]


@pytest.fixture(scope="module")
def reports(sound: list[SampleMessage]) -> list[Report]:
    encoder = MessageEncoder(CATALOG, IDS)
    return [Report(message.key, encoder.value(message), 1000 + i) for i, message in enumerate(sound)]


class Fragile:
    """Rules that cannot bear certain records: what a bug in a rule would look like."""

    def __init__(self, rules: DatasetRules, unbearable: set[tuple[str, str]], columns_fail: bool) -> None:
        self._rules = rules
        self._unbearable = unbearable
        self._columns_fail = columns_fail

    def judge_row(self, record: Mapping[str, Any], context: JudgeContext) -> tuple[Violation, ...]:
        if (record["unit"], record["record_id"]) in self._unbearable:
            raise ZeroDivisionError("a rule divides by what it should not")
        return self._rules.judge_row(record, context)

    def judge_columns(self, frame: Any, context: JudgeContext) -> Judgement:
        if self._columns_fail:
            raise ValueError("the columns hold something that a rule cannot bear")
        return self._rules.judge_columns(frame, context)

    @property
    def has_shadow(self) -> bool:
        return self._rules.has_shadow

    def undecided(self, context: JudgeContext) -> Iterator[tuple[str, str]]:
        return self._rules.undecided(context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rules, name)


class FragileRules(RuleSet):
    """A rule set of :class:`Fragile` rules."""

    def __init__(self, whole: RuleSet, unbearable: set[tuple[str, str]], columns_fail: bool) -> None:
        self._whole = whole
        self._options = (unbearable, columns_fail)
        self.number = whole.number

    @property
    def version(self) -> str:  # type: ignore[override]
        return self._whole.version

    def dataset(self, code: str) -> Any:
        return Fragile(self._whole.dataset(code), *self._options)

    def plan(self, code: str) -> StatePlan:
        return self._whole.plan(code)

    def __iter__(self) -> Iterator[DatasetRules]:
        return iter(self._whole)


@pytest.mark.parametrize("count", [20, 200], ids=["as rows", "as columns"])
def test_a_record_that_the_rules_fail_on_is_set_apart_and_its_neighbours_are_judged(
    reports: list[Report], sound: list[SampleMessage], count: int
) -> None:
    victims = {3, 11, count - 1}
    names = {(str(sound[i].unit), (sound[i].record or {})["record_id"]) for i in victims}
    whole = RULES
    expected = _judge(_governor(rules=whole), reports[:count])
    outcome = _judge(_governor(rules=FragileRules(whole, names, columns_fail=True)), reports[:count])
    assert {broken.position: broken.reason for broken in outcome.quarantined} == dict.fromkeys(
        victims, "internal_error"
    )
    assert {broken.detail for broken in outcome.quarantined} == {"ZeroDivisionError while judging the record"}
    assert {broken.schema_id for broken in outcome.quarantined} == {IDS[DATASET.code]}
    assert outcome.stopped == expected.stopped | victims
    assert outcome.suspects == {p: v for p, v in expected.suspects.items() if p not in victims}
    told = {answer.source_offset: answer for answer in outcome.feedback}
    for position in victims:
        answer = told[reports[position].offset]
        assert (answer.verdict, answer.unit) == ("quarantined", sound[position].unit)
        assert answer.violations[0].rule == "internal_error"
        assert answer.record is None


def test_rows_and_columns_of_one_batch_get_the_same_outcome(reports: list[Report]) -> None:
    whole = RULES
    columns = _judge(_governor(rules=whole), reports)
    rows = _judge(_governor(rules=FragileRules(whole, set(), columns_fail=True)), reports)
    assert (columns.stopped, columns.suspects, columns.feedback) == (rows.stopped, rows.suspects, rows.feedback)


@pytest.mark.parametrize("count", [20, 200], ids=["as rows", "as columns"])
def test_an_assignment_begins_at_midnight_in_china(reports: list[Report], count: int) -> None:
    codecs = CodecCache(Schemas())
    codecs.learn(DATASET, IDS[DATASET.code])
    governor = Governor(
        DATASET,
        RULES,
        UNITS,
        _assigned_from(date(2026, 9, 2)),
        codecs,
        max_record_bytes=1 << 20,
        row_limit=100,
    )
    midnight = int(datetime(2026, 9, 1, 16, tzinfo=UTC).timestamp() * 1000)
    early = governor.judge(TOPIC, 1, reports[:count], midnight - 1, {})
    assert early.stopped == frozenset(range(count))
    for answer in early.feedback:
        assert answer.verdict == "rejected"
        assert [violation.rule for violation in answer.violations] == [f"{DATASET.code}.unit.assigned_unit"]
        assert DATASET.owner in answer.violations[0].message_zh
        assert DATASET.zh in answer.violations[0].message_zh
    assert governor.judge(TOPIC, 1, reports[:count], midnight, {}).stopped == frozenset()


def test_a_schema_id_that_no_registry_can_give_out_is_a_wrong_header(reports: list[Report]) -> None:
    good = reports[0].value
    assert good is not None
    for header in (b"\0\xff\xff\xff\xff", b"\0\x80\0\0\0"):
        strange = [Report(reports[0].key, header + good[5:], 7), *reports[:150]]
        outcome = _judge(_governor(), strange)
        assert [(broken.position, broken.reason) for broken in outcome.quarantined] == [(0, "bad_magic")]
        assert [answer.schema_id for answer in outcome.feedback if answer.source_offset == 7] == [None]


def test_while_the_registry_is_away_nothing_is_judged_and_nothing_is_set_apart(reports: list[Report]) -> None:
    schemas = Schemas()
    schemas.reachable = False
    codecs = CodecCache(schemas)
    governor = Governor(DATASET, RULES, UNITS, ASSIGNMENTS, codecs, max_record_bytes=1 << 20, row_limit=100)
    for batch in (reports[:5], reports):
        with pytest.raises(UnknownIdsError) as unknown:
            _judge(governor, batch)
        assert unknown.value.ids == {IDS[DATASET.code]}
    with pytest.raises(RegistryUnavailable):
        codecs.learn(DATASET, IDS[DATASET.code])


def test_an_id_that_was_refused_once_is_asked_for_again_in_the_next_batch(reports: list[Report]) -> None:
    schemas = Schemas()
    governor, late = _governor(schemas), 77
    batch = [Report(r.key, frame_header(late) + (r.value or b"")[5:], r.offset) for r in reports[:3]]
    refused = {late: ("unknown_schema", "schema id 77 is not registered")}
    assert [broken.reason for broken in _judge(governor, batch, refused).quarantined] == ["unknown_schema"] * 3
    with pytest.raises(UnknownIdsError):
        _judge(governor, batch)


def test_a_record_without_an_envelope_is_rejected_and_told_to_the_unit_in_its_key(sound: list[SampleMessage]) -> None:
    fields = [f for f in DATASET.avro_schema["fields"] if f["name"] not in ("unit", "record_id", "version", "deleted")]
    schema = {**DATASET.avro_schema, "fields": fields}
    governor = _governor(Schemas({50: (DATASET.subject_name, schema)}))
    governor._decoder._codecs.learn(DATASET, 50)
    codec = RowCodec(DATASET, 50, schema)
    names = {field["name"] for field in fields}
    for count in (5, 150):
        batch = [
            Report(m.key, codec.encode({n: v for n, v in (m.record or {}).items() if n in names}), i)
            for i, m in enumerate(sound[:count])
        ]
        outcome = _judge(governor, batch)
        assert outcome.stopped == frozenset(range(count))
        assert [answer.unit for answer in outcome.feedback] == [message.unit for message in sound[:count]]
        assert {answer.verdict for answer in outcome.feedback} == {"rejected"}


def test_headers_of_ours_that_a_unit_sends_are_dropped_and_its_own_are_kept(reports: list[Report]) -> None:
    own = (("trace", b"1"), ("zhida", b"2"), ("Zhida-Other", b""), ("trace", b"3"))
    forged = tuple((HEADER_PREFIX + name, b"forged") for name in ("verdict", "violations", "reason", "anything"))
    assert _kept(own[:2] + forged + own[2:]) == list(own)
    batch = [Report(r.key, r.value, r.offset, headers=forged + own) for r in reports[:5]]
    outcome = _judge(_governor(), batch)
    written = list(_accepted(outcome, batch))
    assert len(written) == 5 - len(outcome.stopped)
    for _, _, _, headers in written:
        ours = [(name, value) for name, value in headers if name.startswith(HEADER_PREFIX)]
        assert ours[0][0] == "zhida-verdict"
        assert b"forged" not in dict(ours).values()
        assert headers[len(ours) :] == list(own)


def test_a_governor_that_was_warmed_up_judges_as_one_that_was_not(reports: list[Report]) -> None:
    warm = _governor()
    warm.warm_up(NOW)
    assert _judge(warm, reports) == _judge(_governor(), reports)


#: Every record breaks it.
_SHADOW = """
  - {id: administrative_penalty.version.range.far, kind: range, field: version, min: 1000000, status: shadow,
     dimension: accuracy, severity: reject, zh: "版本号应当更大", en: "a larger version"}
"""


@pytest.fixture(scope="module")
def with_shadow() -> RuleSet:
    document = RuleDocument.read(LIBRARY_DIR)
    name = f"{DATASET.code}.yaml"
    files = {**document.files, name: document.files[name] + _SHADOW}
    return RuleSet.from_document(replace(document, files=files), CATALOG)


@pytest.mark.parametrize("count", [20, 200], ids=["as rows", "as columns"])
def test_a_shadow_rule_is_counted_and_changes_no_verdict(
    reports: list[Report], with_shadow: RuleSet, count: int
) -> None:
    plain, counted = _judge(_governor(), reports[:count]), _judge(_governor(rules=with_shadow), reports[:count])
    far = f"{DATASET.code}.version.range.far"
    assert far not in {one.rule for one in plain.shadow or ()}
    (found,) = (one for one in counted.shadow or () if one.rule == far)
    assert (found.count, found.rows) == (count, (0, 1, 2, 3, 4))
    assert counted.rule_set != plain.rule_set
    assert (counted.stopped, counted.suspects) == (plain.stopped, plain.suspects)
    assert [replace(answer, rule_set="") for answer in counted.feedback] == [
        replace(answer, rule_set="") for answer in plain.feedback
    ]
    tally = ShadowTally(lambda: NOW)
    assert tally.snapshot() == {}
    for _ in range(2):
        tally.add(counted, reports[:count])
    said = tally.snapshot()
    assert (said["rule_set"], said["judged"]) == (counted.rule_set, {DATASET.code: 2 * count})
    assert said["counts"][found.rule] == {
        "severity": "reject",
        "broken": 2 * count,
        "samples": [f"{TOPIC}-1-{1000 + position}" for position in range(5)],
    }
    tally.add(replace(counted, rule_set="another"), reports[:count])
    assert tally.snapshot()["judged"] == {DATASET.code: count}


def test_a_shadow_rule_that_fails_changes_no_verdict_either(
    reports: list[Report], with_shadow: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("a rule divides by what it should not")

    monkeypatch.setattr(with_shadow.dataset(DATASET.code), "judge_shadow", fail)
    outcome = _judge(_governor(rules=with_shadow), reports)
    assert outcome.shadow == ()
    assert outcome.stopped == _judge(_governor(), reports).stopped
    assert not outcome.quarantined
