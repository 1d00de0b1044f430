"""The messages of the sample province and the oracle's answers."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from sample_province import PII_KEY, RECORDS, SHARES, TODAY, Sample, make_sample

from rules.checks.base import JudgeContext
from rules.ruleset import RuleSet
from schemas.catalog import Catalog
from schemas.framing import schema_id_of
from schemas.protect import subject_of
from schemas.rowcodec import RecordError, RowCodec
from schemas.verdict import QUARANTINE_REASONS
from zhida.sample.cases import BROKEN
from zhida.sample.fault_tables import all_faults
from zhida.sample.generate import NO_FAULTS, generate
from zhida.sample.identifiers import is_id_number, is_uscc
from zhida.sample.lives import LIVES
from zhida.sample.message import UNREGISTERED_ID, MessageEncoder, SampleMessage
from zhida.sample.oracle import Answers
from zhida.sample.population import Population
from zhida.sample.records import MAKERS

#: The rules that ask about other records.
LINKED = frozenset(rule for case in BROKEN for rule in case.rules)
SCHEMA_IDS = {dataset.code: number for number, dataset in enumerate(Catalog.load(), start=11)}


def test_the_same_seed_makes_the_same_messages_and_another_seed_others(sample: Sample) -> None:
    encoder = MessageEncoder(sample.catalog, SCHEMA_IDS)

    def sent(seed: int) -> list[tuple[Any, ...]]:
        made = generate(seed, 1500, sample.catalog, sample.units, sample.regions, sample.assignments, TODAY, SHARES)
        return [(m.seq, m.dataset, m.key, encoder.value(m), m.expected, m.standing) for m in made]

    assert sent(1) == sent(1)
    assert sent(1) != sent(2)


def test_there_are_as_many_messages_as_asked_for_numbered_in_order(sample: Sample) -> None:
    assert [message.seq for message in sample.messages] == list(range(RECORDS))


def test_shares_are_as_asked(sample: Sample) -> None:
    verdicts = Counter(message.expected.verdict for message in sample.messages)
    traits = Counter(message.trait for message in sample.messages)
    assert verdicts["rejected"] == round(SHARES.rejected * RECORDS)
    assert verdicts["suspect"] == round(SHARES.suspect * RECORDS)
    assert verdicts["quarantined"] == traits["unreadable"] == round(SHARES.quarantined * RECORDS)
    assert traits["duplicate"] == round(SHARES.duplicates * RECORDS)
    corrections = [
        message
        for message in sample.messages
        if message.trait in ("correction", "moved") and message.expected.verdict == "accepted"
    ]
    assert len(corrections) == round(SHARES.corrections * RECORDS)
    late = [message for message in sample.messages if message.trait == "late"]
    assert len(late) == round(SHARES.out_of_order * RECORDS)
    assert traits["deleted"] == round(SHARES.deletes * RECORDS)
    assert traits["moved"] > 0


def test_without_faults_every_message_is_a_plain_accepted_report(sample: Sample) -> None:
    made = list(generate(3, 500, sample.catalog, sample.units, sample.regions, sample.assignments, TODAY, NO_FAULTS))
    assert {(m.expected.verdict, m.trait, m.standing) for m in made} == {("accepted", "report", True)}


def test_shares_that_need_more_messages_than_there_are_are_refused(sample: Sample) -> None:
    with pytest.raises(ValueError, match="need"):
        generate(
            1, 10, sample.catalog, sample.units, sample.regions, sample.assignments, TODAY, type(SHARES)(rejected=2.0)
        )


def test_every_rule_has_a_fault_and_every_fault_its_rule_with_the_same_severity(sample: Sample) -> None:
    rules = RuleSet.load(sample.catalog)
    # What is unusual is known from the days before, and a sample is of one day.
    library = {
        rule.id: rule.severity for code in MAKERS for rule in rules.dataset(code).active if rule.kind != "outlier"
    }
    faults = {fault.rule: fault.severity for table in all_faults().values() for fault in table}
    assert not faults.keys() & LINKED
    assert faults | dict.fromkeys(LINKED, "suspect") == library


def test_every_rule_and_every_reason_for_quarantine_occurs_in_a_sample(sample: Sample) -> None:
    rules = {rule for message in sample.messages for rule in message.expected.rules}
    assert rules == LINKED | {fault.rule for table in all_faults().values() for fault in table}
    assert {message.expected.reason for message in sample.messages} - {None} == set(QUARANTINE_REASONS) - {
        "internal_error"
    }


@pytest.mark.parametrize(("seed", "today"), [(21, date(2026, 1, 1)), (22, date(2028, 2, 29)), (23, date(2026, 12, 31))])
def test_the_rules_agree_with_the_oracle_on_every_record(sample: Sample, seed: int, today: date) -> None:
    rules = RuleSet.load(sample.catalog)
    # A run that begins before midnight is judged on the next day.
    days = {
        (code, late): JudgeContext(day, sample.units.codes, sample.assignments.units_for(code, day))
        for code in MAKERS
        for late, day in enumerate((today, today + timedelta(days=1)))
    }
    for message in generate(
        seed, 6000, sample.catalog, sample.units, sample.regions, sample.assignments, today, SHARES
    ):
        if message.record is None:
            continue
        violations = rules.dataset(message.dataset).judge_row(message.record, days[message.dataset, message.seq % 2])
        # What other records say is added to that (test_sample_cases.py).
        linked = message.expected.rules & LINKED
        assert {violation.rule for violation in violations} == message.expected.rules - linked, message
        rejected = any(violation.severity == "reject" for violation in violations)
        suspect = violations or linked
        assert message.expected.verdict == ("rejected" if rejected else "suspect" if suspect else "accepted")


def test_readable_messages_decode_to_their_records_and_others_fail_for_the_stated_reason(sample: Sample) -> None:
    encoder = MessageEncoder(sample.catalog, SCHEMA_IDS)
    codecs = {item.code: RowCodec(item, SCHEMA_IDS[item.code], item.avro_schema) for item in sample.catalog}
    for message in sample.messages:
        value = encoder.value(message)
        if message.record is not None:
            assert codecs[message.dataset].decode(value or b"") == message.record
        else:
            assert _why_unreadable(codecs, message, value) == message.expected.reason


def _why_unreadable(codecs: dict[str, RowCodec], message: SampleMessage, value: bytes | None) -> str:
    if not value:
        return "empty"
    if len(value) > 1024 * 1024:
        return "too_large"
    schema_id = schema_id_of(value)
    if schema_id is None:
        return "bad_magic"
    if schema_id == UNREGISTERED_ID:
        return "unknown_schema"
    if schema_id != SCHEMA_IDS[message.dataset]:
        return "wrong_subject"
    with pytest.raises(RecordError) as error:
        codecs[message.dataset].decode(value)
    return error.value.reason


def test_the_final_state_is_that_of_the_highest_accepted_version_computed_anew(sample: Sample) -> None:
    newest: dict[tuple[str, str, str], tuple[int, SampleMessage]] = {}
    for message in sample.messages:
        if message.record is None or message.expected.verdict == "rejected":
            continue
        identity = (message.dataset, message.record["unit"], message.record["record_id"])
        version = message.record["version"]
        if identity not in newest or version > newest[identity][0]:
            newest[identity] = (version, message)
    standing = {
        identity: message
        for identity, (_, message) in newest.items()
        if message.record is not None and not message.record["deleted"]
    }
    assert {message.seq for message in standing.values()} == {m.seq for m in sample.messages if m.standing}
    for dataset, frame in sample.answers.records.items():
        stored = {(dataset, row["unit"], row["record_id"]): row for row in frame.iter_rows(named=True)}
        assert stored.keys() == {identity for identity in standing if identity[0] == dataset}
        for identity, row in stored.items():
            record = standing[identity].record
            assert record is not None
            assert row["version"] == record["version"]
            assert row["verdict"] == standing[identity].expected.verdict
            assert row["subject"] == subject_of(record, sample.catalog[dataset], PII_KEY)
            plain = [item.name for item in sample.catalog[dataset].business_fields if item.pii in ("none", "name")]
            assert [row[name] for name in plain] == [record[name] for name in plain]


def test_two_messages_of_one_record_and_version_are_the_same_message_unless_one_is_unreadable(sample: Sample) -> None:
    contents: dict[tuple[Any, ...], dict[str, Any]] = {}
    for message in sample.messages:
        if message.record is None or message.expected.verdict == "rejected":
            continue
        identity = (message.dataset, message.key, message.record["version"])
        assert contents.setdefault(identity, message.record) == message.record


def test_every_kind_of_life_is_in_a_sample(sample: Sample) -> None:
    traits_by_record: dict[tuple[str, bytes | None], list[str]] = defaultdict(list)
    for message in sample.messages:
        traits_by_record[message.dataset, message.key].append(message.trait)
    lines = Counter(tuple(traits) for traits in traits_by_record.values())
    for line in (
        ("report", "deleted", "late"),
        ("deleted", "late"),
        ("report", "deleted", "correction"),
        ("report", "moved"),
        ("report", "duplicate"),
        ("report", "correction", "duplicate"),
        ("unreadable", "correction"),
        ("report", "unreadable"),
        ("report", "late", "late"),
    ):
        assert lines[line] > 0, line
    assert all(life.steps for lives in LIVES.values() for life in lives)


def test_identifiers_of_accepted_records_are_valid(sample: Sample) -> None:
    subjects = {message.subject for message in sample.messages if message.subject}
    assert {kind for kind, _ in subjects} == {"uscc", "reg", "id"}
    assert all(is_uscc(value) for kind, value in subjects if kind == "uscc")
    assert all(is_id_number(value) for kind, value in subjects if kind == "id")


def test_no_identity_number_and_no_telephone_is_in_the_answers_in_clear(sample: Sample) -> None:
    numbers = {
        value for message in sample.messages if message.subject for kind, value in (message.subject,) if kind == "id"
    }
    assert numbers
    text = sample.answers.verdicts.write_csv() + "".join(f.write_csv() for f in sample.answers.records.values())
    assert not any(number in text for number in numbers)


def test_units_of_every_city_report_and_some_hundreds_altogether(sample: Sample) -> None:
    reporting = {message.unit for message in sample.messages if message.unit}
    assert 300 <= len(reporting) <= 700
    assert {sample.units[code].city for code in reporting} >= {city.code for city in sample.regions.cities}


def test_units_report_what_they_are_assigned_and_others_are_told_that_they_are_not(sample: Sample) -> None:
    strange: Counter[str] = Counter()
    for message in sample.messages:
        if message.record is None or "known_unit" in str(message.expected.rules):
            continue
        unit, assigned = message.record["unit"], sample.assignments.units_for(message.dataset, TODAY)
        rule = f"{message.dataset}.unit.assigned_unit"
        assert (unit in assigned) == (rule not in message.expected.rules)
        if unit not in assigned:
            strange[message.dataset] += 1
            assert message.unit == unit, "the unit that the record names is told"
    assert strange.keys() == set(MAKERS)


def test_only_messages_of_known_units_that_are_not_plainly_accepted_are_told(sample: Sample) -> None:
    verdicts = sample.answers.verdicts
    told = verdicts.filter(pl.col("told") != "")
    assert "accepted" not in set(told["verdict"])
    assert all(code in sample.units for code in told["told"].unique())
    untold = verdicts.filter((pl.col("told") == "") & (pl.col("verdict") != "accepted"))
    assert set(untold["verdict"]) == {"rejected", "quarantined"}
    assert untold.filter((pl.col("verdict") == "rejected") & ~pl.col("rules").str.contains("known_unit")).is_empty()


def test_records_are_of_realistic_size(sample: Sample) -> None:
    encoder = MessageEncoder(sample.catalog, SCHEMA_IDS)
    sizes = [len(encoder.value(message) or b"") for message in sample.messages if message.record is not None]
    assert 250 <= sum(sizes) / len(sizes) <= 450


def test_population_has_every_kind_of_subject(sample: Sample) -> None:
    from random import Random

    from zhida.sample.words import Words

    population = Population(2000, sample.regions, Words.load(), TODAY, Random(1))
    kinds = Counter(subject.kind for subject in population.subjects)
    assert min(kinds[kind] for kind in ("company", "shop", "old", "person")) > 40
    assert len({subject.uscc for subject in population.subjects if subject.uscc}) == len(population.registered)
    assert all(population.unregistered[kind] for kind in kinds)
    assert not any((one.uscc or "").startswith("32", 2) for some in population.unregistered.values() for one in some)


@pytest.mark.parametrize("records", [1, 30, 400, 12_000])
def test_whom_a_record_is_about_is_registered_once_under_that_name_unless_nobody_could_be(
    sample: Sample, records: int
) -> None:
    messages = sample.messages if records == RECORDS else make_sample(records, shares=NO_FAULTS).messages
    in_cases = {m.subject for m in messages if m.expected.rules & LINKED or m.expected.group}
    registered = defaultdict(set)
    for message in messages:
        record = message.record
        if record and message.dataset == "legal_person" and message.standing and message.subject not in in_cases:
            registered[record["TYSHXYDM"]].add((record["unit"], record["record_id"], _normal(record["JGMC"])))
    assert all(len(found) == 1 for found in registered.values())
    about = Counter[str]()
    for message in messages:
        record = message.record
        if not record or not message.subject or message.dataset == "legal_person" or message.subject in in_cases:
            continue
        kind, code = message.subject
        if kind == "uscc" and code.startswith("32", 2) and not record["deleted"]:
            name = next(record[field] for field in ("XK_XDR_MC", "CF_XDR_MC", "QYMC") if field in record)
            assert [known for _, _, known in registered[code]] == [_normal(name)], message
            about["registered"] += 1
        else:
            about[kind] += 1
    assert records < 400 or about["registered"] > 0.4 * records


def _normal(name: str) -> str:
    """As far as the sample writes one name in more than one hand."""
    text = unicodedata.normalize("NFKC", name).translate(str.maketrans("〔〕•・", "()··"))
    return "".join(text.split())


def test_answers_survive_being_written(sample: Sample, tmp_path: Any) -> None:
    small = make_sample(1500).answers
    small.write(tmp_path)
    read = Answers.read(tmp_path, sample.catalog)
    assert read.verdicts.equals(small.verdicts)
    assert read.subjects == small.subjects
    assert all(read.records[dataset].equals(frame) for dataset, frame in small.records.items())
