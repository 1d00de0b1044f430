"""Verification: says yes to what is right, and finds every kind of difference that is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pytest
from sample_province import SHARES, Sample, make_sample

from schemas.batch import VERDICT_COLUMNS
from schemas.topics import feedback_topic
from schemas.verdict import Feedback, Violation, feedback_id
from sinks.models import StoredRecord
from zhida.sample.records import MAKERS
from zhida.sample.report import PLACEMENT_SCHEMA
from zhida.sample.verify import Outcome, VerificationReport, verify

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
Feedbacks = list[tuple[str, Feedback]]
Cache = dict[str, list[StoredRecord]]


@pytest.fixture(scope="module")
def small() -> Sample:
    return make_sample(3000, seed=8)


def _placements(sample: Sample) -> pl.DataFrame:
    rows = [(m.seq, f"zhida.report.{m.dataset}", m.seq % 3, m.seq // 3) for m in sample.messages]
    return pl.DataFrame(rows, PLACEMENT_SCHEMA, orient="row")


def _verdict_rows(sample: Sample) -> pl.DataFrame:
    """The history as a perfect platform would have it."""
    rows = []
    for row in sample.answers.verdicts.iter_rows(named=True):
        violations = orjson.dumps([{"rule": rule} for rule in row["rules"].split()]).decode() if row["rules"] else ""
        rows.append(
            {
                "source_topic": f"zhida.report.{row['dataset']}",
                "source_partition": row["seq"] % 3,
                "source_offset": row["seq"] // 3,
                "violations": violations,
                "rule_set": "1-test",
                "schema_id": 1,
                "city": "",
                "reported_at": NOW,
                "governed_at": NOW,
            }
            | {name: row[name] for name in ("dataset", "unit", "record_id", "version", "subject", "verdict")}
        )
    return pl.DataFrame(rows, VERDICT_COLUMNS)


def _feedback(sample: Sample) -> Feedbacks:
    made: Feedbacks = []
    for row in sample.answers.verdicts.filter(pl.col("told") != "").iter_rows(named=True):
        place = (f"zhida.report.{row['dataset']}", row["seq"] % 3, row["seq"] // 3)
        readable = row["verdict"] != "quarantined"
        item = Feedback(
            feedback_id=feedback_id(*place),
            unit=row["told"],
            dataset=row["dataset"],
            record_id=row["record_id"] if readable else "?",
            version=row["version"] if readable else None,
            verdict=row["verdict"],
            rule_set="1-test",
            schema_id=1,
            source_topic=place[0],
            source_partition=place[1],
            source_offset=place[2],
            reported_at=0,
            governed_at=0,
            violations=tuple(Violation(rule, "", "reject", "", "", "", "") for rule in row["rules"].split()),
            record=b"bytes" if row["verdict"] == "rejected" else None,
        )
        made.append((feedback_topic(row["told"]), item))
    return made


def _cache(sample: Sample) -> Cache:
    """What a perfect cache would hold, made from the messages themselves and not by the code under test."""
    cache: Cache = {}
    keys = {row["seq"]: row["subject"] for row in sample.answers.verdicts.iter_rows(named=True)}
    for message in sample.messages:
        record = message.record
        if not message.standing or record is None:
            continue
        stored = sample.answers.records[message.dataset].row(by_predicate=pl.col("seq") == message.seq, named=True)
        fields: dict[str, Any] = {}
        for item in sample.catalog[message.dataset].business_fields:
            value = stored[item.name]
            fields[item.name] = value
            if value is not None and item.type == "date":
                fields[item.name] = value.isoformat()
            elif value is not None and item.type == "decimal":
                whole, _, rest = f"{value:.6f}".partition(".")
                fields[item.name] = f"{whole}.{rest.rstrip('0')}".rstrip(".")
        cache.setdefault(keys[message.seq], []).append(
            StoredRecord(
                message.dataset,
                record["unit"],
                record["record_id"],
                record["version"],
                message.expected.verdict,
                NOW,
                fields,
            )
        )
    return cache


@dataclass(frozen=True)
class Perfect:
    """What a perfect platform would have made of a sample; tests pass on a changed copy of one part."""

    sample: Sample
    placements: pl.DataFrame
    rows: pl.DataFrame
    feedback: Feedbacks
    store: dict[str, pl.DataFrame]
    cache: Cache

    def check(
        self,
        *,
        received: int | None = None,
        rows: pl.DataFrame | None = None,
        feedback: Feedbacks | None = None,
        store: dict[str, pl.DataFrame] | None = None,
        cache: Cache | None = None,
    ) -> VerificationReport:
        """The report where the given parts take the place of the perfect ones."""
        held = self.cache if cache is None else cache
        return verify(
            self.sample.answers,
            Outcome(
                placements=self.placements,
                received=len(self.sample.messages) if received is None else received,
                feedback=self.feedback if feedback is None else feedback,
                verdict_rows=self.rows if rows is None else rows,
                store_records=self.store | (store or {}),
                cache_subjects=lambda subjects: [held.get(subject, []) for subject in subjects],
            ),
        )


@pytest.fixture(scope="module")
def perfect(small: Sample) -> Perfect:
    parts = (_placements(small), _verdict_rows(small), _feedback(small), _store(small), _cache(small))
    return Perfect(small, *parts)


def _store(sample: Sample) -> dict[str, pl.DataFrame]:
    return {dataset: frame.drop("seq", "deleted") for dataset, frame in sample.answers.records.items()}


def _failed(report: VerificationReport) -> set[str]:
    assert report.ok is (not {check.code for check in report.checks if not check.ok})
    return {check.code for check in report.checks if not check.ok}


def test_a_perfect_outcome_passes_every_check(perfect: Perfect) -> None:
    report = perfect.check()
    assert report.ok, report.as_dict()
    assert len(report.checks) == 3 + len(perfect.sample.catalog) + 1
    assert all(check.expected == check.actual for check in report.checks)
    empty = {check.code for check in report.checks if not check.actual}
    assert empty == {f"store.{dataset.code}" for dataset in perfect.sample.catalog if dataset.code not in MAKERS}


def test_feedback_that_came_twice_is_as_good_as_once(perfect: Perfect) -> None:
    feedback = perfect.feedback
    assert perfect.check(feedback=feedback + feedback[:50]).ok


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (lambda rows: rows.tail(-1), {"sum", "verdicts"}),
        (lambda rows: pl.concat([rows, rows.head(1)]), {"sum", "verdicts"}),
        (lambda rows: rows.with_columns(source_offset=pl.col("source_offset") + 1), {"verdicts"}),
        (lambda rows: _set(rows, "accepted", verdict="rejected"), {"sum", "verdicts"}),
        (lambda rows: _set(rows, "suspect", verdict="accepted"), {"sum", "verdicts"}),
        (lambda rows: _set(rows, "rejected", violations='[{"rule":"another"}]'), {"verdicts"}),
        (lambda rows: _set(rows, "suspect", violations=""), {"verdicts"}),
        (lambda rows: _set(rows, "quarantined", violations='[{"rule":"no_such_reason"}]'), {"verdicts"}),
        (lambda rows: _set(rows, "accepted", subject="91440300708461136T"), {"verdicts"}),
        (lambda rows: _set(rows, "accepted", version=99), {"verdicts"}),
        (lambda rows: _set(rows, "rejected", record_id="X"), {"verdicts"}),
        (lambda rows: _set(rows, "accepted", unit="X"), {"verdicts"}),
    ],
)
def test_a_difference_in_the_verdict_history_is_found(
    perfect: Perfect, change: Callable[[pl.DataFrame], pl.DataFrame], failed: set[str]
) -> None:
    assert _failed(perfect.check(rows=change(perfect.rows))) == failed


def _set(rows: pl.DataFrame, first_with: str, /, **values: Any) -> pl.DataFrame:
    """The first row with that verdict, changed."""
    first = rows["verdict"].to_list().index(first_with)
    here = pl.int_range(pl.len()) == first
    return rows.with_columns(
        pl.when(here).then(pl.lit(value, VERDICT_COLUMNS[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_a_broker_that_received_more_than_was_judged_is_found(perfect: Perfect) -> None:
    assert _failed(perfect.check(received=len(perfect.sample.messages) + 1)) == {"sum"}


@pytest.mark.parametrize(
    "change",
    [
        lambda feedback: feedback[1:],
        lambda feedback: [*feedback, (feedback[0][0], replace(feedback[0][1], feedback_id="zhida.report.x-0-1"))],
        lambda feedback: [(feedback[1][0] + "x", feedback[0][1]), *feedback[1:]],
        lambda feedback: [(feedback[0][0], replace(feedback[0][1], violations=())), *feedback[1:]],
        lambda feedback: [(feedback[0][0], replace(feedback[0][1], verdict="accepted")), *feedback[1:]],
        lambda feedback: [(feedback[0][0], replace(feedback[0][1], version=77)), *feedback[1:]],
        lambda feedback: [(feedback[0][0], replace(feedback[0][1], source_offset=10**9)), *feedback[1:]],
        lambda feedback: [(feedback[0][0], replace(feedback[0][1], record=None)), *feedback[1:]],
        # a repeat must be as right as the first copy
        lambda feedback: [*feedback, (feedback[0][0], replace(feedback[0][1], violations=()))],
    ],
)
def test_a_difference_in_feedback_is_found(perfect: Perfect, change: Callable[[Feedbacks], Feedbacks]) -> None:
    feedback = sorted(perfect.feedback, key=lambda item: item[1].verdict != "rejected")
    assert _failed(perfect.check(feedback=change(feedback))) == {"feedback"}


def _suspect_for_a_while(perfect: Perfect) -> tuple[str, Feedback]:
    """What a unit was told of a record that is accepted at the end."""
    item = next(told for _, told in perfect.feedback if told.verdict == "suspect")
    verdicts = perfect.sample.answers.verdicts
    row = verdicts.filter((pl.col("verdict") == "accepted") & (pl.col("group") == 0)).row(0, named=True)
    place = (f"zhida.report.{row['dataset']}", row["seq"] % 3, row["seq"] // 3)
    return feedback_topic(row["unit"]), replace(
        item,
        feedback_id=feedback_id(*place),
        unit=row["unit"],
        dataset=row["dataset"],
        record_id=row["record_id"],
        version=row["version"],
        source_topic=place[0],
        source_partition=place[1],
        source_offset=place[2],
    )


def test_of_several_feedback_records_about_one_message_the_newest_counts(perfect: Perfect) -> None:
    topic, suspect = _suspect_for_a_while(perfect)
    accepted = replace(suspect, verdict="accepted", violations=(), governed_at=suspect.governed_at + 1)
    for right in ([accepted], [suspect, accepted], [accepted, suspect], [suspect, suspect, accepted, accepted]):
        assert perfect.check(feedback=[*perfect.feedback, *((topic, item) for item in right)]).ok
    later = replace(suspect, governed_at=accepted.governed_at + 1)
    for wrong in (
        [suspect],
        [accepted, later],
        [suspect, replace(accepted, violations=suspect.violations)],
        [replace(suspect, verdict="rejected"), accepted],
        [suspect, replace(accepted, version=77)],
    ):
        report = perfect.check(feedback=[*perfect.feedback, *((topic, item) for item in wrong)])
        assert _failed(report) == {"feedback"}
    elsewhere = (feedback_topic("11320000014000028X"), suspect)
    assert _failed(perfect.check(feedback=[*perfect.feedback, elsewhere, (topic, accepted)])) == {"feedback"}


def test_of_two_that_use_one_number_either_may_be_the_first_but_not_both_or_neither(perfect: Perfect) -> None:
    answers = perfect.sample.answers
    pairs = answers.verdicts.filter(pl.col("group") > 0).sort("group", "seq").partition_by("group", maintain_order=True)
    first, second = pairs[0].rows(named=True)
    told = {first["seq"]: "accepted", second["seq"]: "suspect"}
    assert {first["verdict"], second["verdict"]} == {"accepted", "suspect"}
    for wrong in (dict.fromkeys(told, "accepted"), dict.fromkeys(told, "suspect")):
        assert {"sum", "verdicts"} <= _failed(_with_verdicts(perfect, pairs[0], wrong))
    turned = {first["seq"]: second["verdict"], second["seq"]: first["verdict"]}
    assert _failed(_with_verdicts(perfect, pairs[0], turned)) == set()


def _with_verdicts(perfect: Perfect, pair: pl.DataFrame, verdicts: dict[int, str]) -> VerificationReport:
    """Everything as if the platform had said that of a pair."""
    answers = perfect.sample.answers
    rules = pair.filter(pl.col("verdict") == "suspect")["rules"][0]
    said = pl.DataFrame({"seq": list(verdicts), "verdict": list(verdicts.values())}).with_columns(
        rules=pl.when(pl.col("verdict") == "suspect").then(pl.lit(rules)).otherwise(pl.lit(""))
    )
    table = answers.verdicts.update(said, on="seq").with_columns(
        told=pl.when(pl.col("group") == 0)
        .then("told")
        .when(pl.col("verdict") == "suspect")
        .then("unit")
        .otherwise(pl.lit(""))
    )
    sample = replace(
        perfect.sample,
        messages=[
            replace(m, expected=replace(m.expected, verdict=verdicts[m.seq])) if m.seq in verdicts else m
            for m in perfect.sample.messages
        ],
        answers=replace(
            answers,
            verdicts=table,
            records={
                code: frame.update(said.select("seq", "verdict"), on="seq") for code, frame in answers.records.items()
            },
        ),
    )
    return perfect.check(
        rows=_verdict_rows(sample), feedback=_feedback(sample), store=dict(sample.answers.records), cache=_cache(sample)
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.tail(-1),
        lambda frame: pl.concat([frame, frame.head(1)]),
        lambda frame: pl.concat([frame, frame.head(1).with_columns(record_id=pl.lit("nobody's"))]),
        lambda frame: frame.with_columns(version=pl.col("version") + 1),
        lambda frame: frame.with_columns(subject=pl.col("subject").shift(1, fill_value="")),
        lambda frame: frame.with_columns(verdict=pl.lit("accepted")),
        lambda frame: frame.with_columns(XK_JDRQ=pl.col("XK_JDRQ").dt.offset_by("1d")),
        lambda frame: frame.with_columns(BZ=pl.col("BZ").fill_null("")),
    ],
)
def test_a_difference_in_the_store_is_found(perfect: Perfect, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    frame = change(perfect.store["administrative_licence"])
    report = perfect.check(store={"administrative_licence": frame})
    assert _failed(report) == {"store.administrative_licence"}


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records[1:],
        lambda records: [*records, records[0]],
        lambda records: [*records, replace(records[0], record_id="nobody's")],
        lambda records: [replace(records[0], version=55), *records[1:]],
        lambda records: [replace(records[0], verdict="rejected"), *records[1:]],
        lambda records: [replace(records[0], fields=records[0].fields | {"BZ": "changed"}), *records[1:]],
    ],
)
def test_a_difference_in_the_cache_is_found(
    perfect: Perfect, change: Callable[[list[StoredRecord]], list[StoredRecord]]
) -> None:
    cache = perfect.cache
    subject = next(iter(cache))
    assert _failed(perfect.check(cache=cache | {subject: change(cache[subject])})) == {"cache"}


def test_a_record_left_behind_with_a_subject_that_has_none_any_more_is_found(perfect: Perfect) -> None:
    cache = perfect.cache
    gone = next(subject for subject in perfect.sample.answers.subjects if subject not in cache)
    some_record = next(iter(cache.values()))[0]
    assert _failed(perfect.check(cache=cache | {gone: [some_record]})) == {"cache"}


def test_samples_of_differences_are_few_and_name_no_personal_value(perfect: Perfect) -> None:
    frame = perfect.store["legal_person"]
    changed = frame.with_columns(FDDBRZJHM=pl.lit("320102199003075619"))
    report = perfect.check(store={"legal_person": changed})
    check = next(check for check in report.checks if check.code == "store.legal_person")
    assert check.differences == frame.height
    assert 0 < len(check.samples) <= 5
    assert all("FDDBRZJHM" in text and "320102199003075619" not in text for text in check.samples)
    assert orjson.dumps(report.as_dict())


def test_shares_used_here_reach_every_verdict(perfect: Perfect) -> None:
    assert SHARES.quarantined > 0
    assert set(perfect.sample.answers.verdicts["verdict"]) == {"accepted", "suspect", "rejected", "quarantined"}
