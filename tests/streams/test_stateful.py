"""Rules over several records as the governor judges them: whatever the cut of batches, and again when others come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rules.document import RuleDocument
from rules.ruleset import RuleSet
from rules.state.memory import MemoryState
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.rowcodec import RowCodec
from schemas.units import Regions, Units
from streams.decoding import CodecCache
from streams.governing import Governor, Outcome

CATALOG, UNITS = Catalog.load(), Units.load()
ASSIGNMENTS = Assignments.load(CATALOG, UNITS, Regions.load())
NOW = int(datetime(2026, 9, 1, 4, tzinfo=UTC).timestamp() * 1000)
PENALTY, PERSON = CATALOG["administrative_penalty"], CATALOG["legal_person"]
UNIT = next(unit.code for unit in UNITS)
COMPANY, OTHER = "91440300708461136T", "914403001922038216"

_HEAD = "dimension: consistency, severity: suspect, zh: '请核对{found}', en: 'check {found}', "
RULES = {
    "_library.yaml": "number: 9\nexamples: {today: 2026-09-01, units: []}\n",
    "legal_person.yaml": """dataset: legal_person
rules:
  - {id: legal_person.version.range, kind: range, field: version, min: 1, dimension: conformity, severity: reject,
     zh: 版本号必须是正整数, en: the version must be 1 or more}
""",
    "administrative_penalty.yaml": f"""dataset: administrative_penalty
rules:
  - {{id: administrative_penalty.CF_XDR_SHXYM.reference, kind: reference, field: CF_XDR_SHXYM, {_HEAD}
     dataset: legal_person, key: TYSHXYDM}}
  - {{id: administrative_penalty.CF_XDR_MC.agreement, kind: agreement, field: CF_XDR_MC, {_HEAD}
     dataset: legal_person, key: {{CF_XDR_SHXYM: TYSHXYDM}}, with: JGMC}}
  - {{id: administrative_penalty.version.range, kind: range, field: version, min: 1, dimension: conformity,
     severity: reject, zh: 版本号必须是正整数, en: the version must be 1 or more}}
  - {{id: administrative_penalty.CF_WSH.uniqueness, kind: uniqueness, field: CF_WSH, {_HEAD}
     together_with: [CF_CFJGDM]}}
  - {{id: administrative_penalty.CF_JDRQ.workday_deadline, kind: workday_deadline, field: CF_JDRQ, {_HEAD} workdays: 7}}
  - {{id: administrative_penalty.CF_NR_FK.outlier, kind: outlier, field: CF_NR_FK, {_HEAD} least: 100}}
""",
}


class Schemas:
    """A registry that knows every dataset."""

    def schema(self, schema_id: int) -> dict[str, Any]:
        return list(CATALOG)[schema_id - 1].avro_schema

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return frozenset({list(CATALOG)[schema_id - 1].subject_name})


@dataclass(frozen=True)
class Report:
    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = NOW - 5
    headers: tuple[tuple[str, bytes], ...] = ()


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet.from_document(RuleDocument(9, RULES), CATALOG)


def governor(dataset: str, rules: RuleSet) -> Governor:
    codecs = CodecCache(Schemas())
    codecs.learn(CATALOG[dataset], _id(dataset))
    return Governor(CATALOG[dataset], rules, UNITS, ASSIGNMENTS, codecs, max_record_bytes=1 << 20, row_limit=100)


def _id(dataset: str) -> int:
    return [one.code for one in CATALOG].index(dataset) + 1


def report(dataset: str, offset: int, record_id: str, version: int = 1, **fields: Any) -> Report:
    record = dict.fromkeys(CATALOG[dataset].polars_schema) | {"deleted": False, "unit": UNIT}
    record |= {"record_id": record_id, "version": version} | fields
    codec = RowCodec(CATALOG[dataset], _id(dataset), CATALOG[dataset].avro_schema)
    return Report(f"{UNIT}|{record_id}".encode(), codec.encode(record), offset)


def penalty(offset: int, record_id: str, number: str, version: int = 1, **fields: Any) -> Report:
    plain = {"CF_XDR_SHXYM": COMPANY, "CF_XDR_MC": "某某（南京）公司", "CF_WSH": number, "CF_CFJGDM": UNIT}
    return report("administrative_penalty", offset, record_id, version, **plain | fields)


def person(offset: int, name: str = "某某(南京)公司", version: int = 1, **fields: Any) -> Report:
    return report("legal_person", offset, "DJ1", version, TYSHXYDM=COMPANY, JGMC=name, **fields)


def judge(governor: Governor, state: MemoryState, reports: Sequence[Report], again: bool = False) -> Outcome:
    prepared = governor.prepare(governor.dataset.report_topic, 0, reports, NOW, {}, again=again)
    return governor.conclude(prepared, prepared.ask(state))


def broken(outcome: Outcome) -> dict[int, set[str]]:
    """The kinds of rule that were broken, by offset."""
    return {one.source_offset: {rule.rule.split(".")[2] for rule in one.violations} for one in outcome.feedback}


def test_a_record_that_comes_before_its_subject_is_suspect_and_comes_clear_after_it(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    first = penalty(70, "CF1", "罚1号")
    assert broken(judge(penalties, state, [first])) == {70: {"reference"}}
    assert not state.due
    judge(governor("legal_person", rules), state, [person(5)])
    assert state.due == {(PENALTY.report_topic, 0, 70)}
    again = judge(penalties, state, [first], again=True)
    (told,) = again.feedback
    assert (told.verdict, told.violations, told.feedback_id) == ("accepted", (), f"{PENALTY.report_topic}-0-70")
    assert not again.stopped
    assert broken(judge(penalties, state, [penalty(71, "CF2", "罚2号")])) == {}


def test_a_name_is_compared_in_its_normal_form_and_what_is_registered_is_said(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    judge(governor("legal_person", rules), state, [person(5)])
    assert broken(judge(penalties, state, [penalty(1, "A", "1", CF_XDR_MC="某某 (南京) 公司")])) == {}
    outcome = judge(penalties, state, [penalty(2, "B", "2", CF_XDR_MC="某某（苏州）公司")])
    (violation,) = outcome.suspects[0]
    assert (violation.message_zh, violation.value) == ("请核对某某(南京)公司", "某某（苏州）公司")
    judge(governor("legal_person", rules), state, [person(6, "某某（苏州）公司", version=2)])
    assert (PENALTY.report_topic, 0, 2) in state.due
    assert judge(penalties, state, [penalty(2, "B", "2", CF_XDR_MC="某某（苏州）公司")], again=True).feedback[
        0
    ].verdict == ("accepted")


def _many() -> list[Report]:
    """600 penalties; some numbers were given before, some are corrected to another, rejected or withdrawn."""
    made = []
    for at in range(600):
        version, record, number = 1, at, at if at % 7 else at // 2
        if at % 11 == 0:
            record, version = at // 3, 2
        made.append(penalty(at, f"R{record}", f"罚{number}号", 0 if at % 13 == 0 else version, deleted=at % 17 == 0))
    return made


def _cut(reports: list[Report], sizes: Iterator[int]) -> Iterator[list[Report]]:
    left = reports
    while left:
        size = next(sizes)
        yield left[:size]
        left = left[size:]


def test_verdicts_do_not_depend_on_how_records_fall_into_batches(rules: RuleSet) -> None:
    def verdicts(sizes: Iterator[int]) -> list[tuple[int, str, tuple[Any, ...]]]:
        state, penalties = MemoryState(), governor("administrative_penalty", rules)
        judge(governor("legal_person", rules), state, [person(5)])
        found = []
        for batch in _cut(_many(), sizes):
            for one in judge(penalties, state, batch).feedback:
                found.append((one.source_offset, one.verdict, one.violations))
        return found

    whole = verdicts(iter([600]))
    assert sum(verdict == "suspect" for _, verdict, _ in whole) > 25
    for sizes in ([1] * 600, [7] * 90, [150] * 4, [599, 1], [99, 101, 400]):
        assert verdicts(iter(sizes)) == whole, sizes


def test_what_is_judged_twice_after_a_crash_has_the_same_verdicts(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    plain = [one for one in _many() if b"R" in (one.key or b"")][1:7]
    first = judge(penalties, state, plain)
    assert judge(penalties, state, plain) == first


def test_waiting_makes_no_record_late_and_a_clock_that_cannot_be_right_does_not_count(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    judge(governor("legal_person", rules), state, [person(5)])
    decided, month = date(2026, 8, 3), 30 * 86_400_000
    then = replace(penalty(1, "A", "罚1号", CF_JDRQ=decided), timestamp=NOW - month)
    assert broken(judge(penalties, state, [then])) == {1: {"workday_deadline"}}
    assert judge(penalties, state, [then], again=True).feedback[0].verdict == "accepted"
    for moment in (1, NOW + month):
        odd = replace(then, timestamp=moment)
        assert broken(judge(penalties, state, [odd], again=True)) == {1: {"workday_deadline"}}


def test_a_number_becomes_free_when_its_first_holder_goes(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    judge(governor("legal_person", rules), state, [person(5)])
    assert broken(judge(penalties, state, [penalty(1, "A", "罚1号"), penalty(2, "B", "罚 1 号")])) == {
        2: {"uniqueness"}
    }
    # A rejected correction changes nothing.
    assert judge(penalties, state, [penalty(3, "A", "罚9号", version=0)]).stopped == {0}
    assert not state.due
    judge(penalties, state, [penalty(4, "A", "罚2号", version=2)])
    assert state.due == {(PENALTY.report_topic, 0, 2)}
    assert judge(penalties, state, [penalty(2, "B", "罚 1 号")], again=True).feedback[0].verdict == "accepted"


def test_a_version_that_was_replaced_meanwhile_is_not_spoken_of_again(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    first, second = penalty(1, "A", "罚1号"), penalty(2, "A", "罚1号", version=2)
    judge(penalties, state, [first, second])
    outcome = judge(penalties, state, [first], again=True)
    assert (outcome.feedback, outcome.stopped) == ([], {0})


def test_a_record_that_is_rejected_when_judged_again_is_taken_back(rules: RuleSet) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    judge(governor("legal_person", rules), state, [person(5)])
    judge(penalties, state, [penalty(1, "A", "罚1号"), penalty(2, "B", "罚1号")])
    stricter = RULES["administrative_penalty.yaml"].replace("field: version, min: 1", "field: version, min: 2")
    changed = RuleSet.from_document(RuleDocument(10, RULES | {"administrative_penalty.yaml": stricter}), CATALOG)
    outcome = judge(governor("administrative_penalty", changed), state, [penalty(1, "A", "罚1号")], again=True)
    assert (set(outcome.withdrawn), outcome.stopped, outcome.feedback[0].verdict) == ({0}, {0}, "rejected")
    assert state.due == {(PENALTY.report_topic, 0, 2)}


@pytest.mark.parametrize("count", [20, 300], ids=["as rows", "as columns"])
def test_a_number_is_unusual_by_what_was_usual_on_the_days_before(rules: RuleSet, count: int) -> None:
    state, penalties = MemoryState(), governor("administrative_penalty", rules)
    judge(governor("legal_person", rules), state, [person(5)])
    (distribution,) = rules.plan("administrative_penalty").distributions
    reports = [penalty(at, f"A{at}", f"罚{at}号", CF_NR_FK=Decimal(5 if at else 4000)) for at in range(count)]
    first = judge(penalties, state, reports)
    assert broken(first) == {}
    for one, day, buckets in first.counts:
        assert (one, day, sum(buckets.values())) == (distribution, date(2026, 9, 1), count)
    state.count(distribution, date(2026, 8, 31), {18: 1000})
    assert broken(judge(penalties, state, reports)) == {0: {"outlier"}}


def test_shadow_rules_that_ask_the_state_are_counted_and_change_no_verdict(rules: RuleSet) -> None:
    text = RULES["administrative_penalty.yaml"].replace("severity: suspect", "severity: suspect, status: shadow")
    shadow = RuleSet.from_document(RuleDocument(11, RULES | {"administrative_penalty.yaml": text}), CATALOG)
    state, penalties = MemoryState(), governor("administrative_penalty", shadow)
    for reports in ([penalty(1, "A", "罚1号")], [penalty(at, f"B{at}", "罚1号") for at in range(10, 150)]):
        outcome = judge(penalties, state, reports)
        assert outcome.feedback == []
        counted = {count.rule.split(".")[2]: count.count for count in outcome.shadow or ()}
        assert counted["reference"] == len(reports)
        assert counted["uniqueness"] == len(reports) - (len(reports) == 1)
    judge(governor("legal_person", shadow), state, [person(5)])
    assert not state.due


def test_without_a_state_rules_that_ask_it_break_nothing(rules: RuleSet) -> None:
    penalties = governor("administrative_penalty", rules)
    outcome = penalties.judge(PENALTY.report_topic, 0, [penalty(1, "A", "罚1号"), penalty(2, "B", "罚1号")], NOW, {})
    assert not outcome.suspects
    assert replace(outcome, counts=[]) == outcome


def test_no_rule_that_asks_the_state_may_reject(tmp_path: Path) -> None:
    text = RULES["administrative_penalty.yaml"].replace("severity: suspect", "severity: reject")
    with pytest.raises(Exception, match="its severity must be suspect"):
        RuleSet.from_document(RuleDocument(11, RULES | {"administrative_penalty.yaml": text}), CATALOG)
