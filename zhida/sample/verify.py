"""Compares what became of the sample province with the oracle, to the last field.

It is handed data and callables and doesn't care where they come from. Everything is a join of columns; only records in
the cache and feedback are looked at one by one. Nothing may be left that is to be judged again: the oracle knows final
verdicts, and of several feedback records about one message the newest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson
import polars as pl

from schemas.catalog import ENVELOPE_NAMES, Catalog
from schemas.topics import feedback_topic
from schemas.verdict import Feedback
from sinks.models import StoredRecord
from zhida.sample.oracle import Answers

_SAMPLES = 5
_CACHE_CHUNK = 500
_FEEDBACK_CHUNK = 10_000
#: What other records say is never a reason to reject, so that only these verdicts take each other's place.
_MAY_CHANGE = frozenset({"accepted", "suspect"})
_PLACE = ["topic", "partition", "offset"]
_IDENTITY = ["unit", "record_id"]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: how many things were expected and found, how many differ, and the first few that do."""

    code: str
    name_zh: str
    name_en: str
    expected: int
    actual: int
    differences: int
    samples: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when nothing differs."""
        return self.differences == 0 and self.expected == self.actual


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """All comparisons."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True when every check is."""
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ok": self.ok, "checks": [asdict(check) | {"ok": check.ok} for check in self.checks]}


@dataclass(slots=True)
class _Differences:
    """Counts differences and remembers the first few. Samples name places and fields, never a personal value."""

    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, text: str, count: int = 1) -> None:
        self.count += count
        if len(self.samples) < _SAMPLES:
            self.samples.append(text)

    def rows(self, frame: pl.DataFrame, say: Callable[[dict[str, Any]], str]) -> None:
        self.count += frame.height
        self.samples += [say(row) for row in frame.head(max(0, _SAMPLES - len(self.samples))).iter_rows(named=True)]

    def check(self, code: str, name_zh: str, name_en: str, expected: int, actual: int) -> Check:
        return Check(code, name_zh, name_en, expected, actual, self.count, tuple(self.samples))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the messages, as the platform's parts tell it.

    ``placements`` as ``zhida.sample.report.PLACEMENT_SCHEMA``; ``received`` counted by the broker's own offsets;
    ``feedback`` every (topic, feedback) on the units' feedback topics, repeats allowed; ``verdict_rows`` as
    ``schemas.batch.VERDICT_COLUMNS``, each message once, with its newest verdict; ``store_records`` the current state
    of each dataset; ``cache_subjects`` the records of each of the subjects asked for.
    """

    placements: pl.DataFrame
    received: int
    feedback: Iterable[tuple[str, Feedback]]
    verdict_rows: pl.DataFrame
    store_records: Mapping[str, pl.DataFrame]
    cache_subjects: Callable[[list[str]], list[list[StoredRecord]]]


def verify(answers: Answers, outcome: Outcome) -> VerificationReport:
    """Compare *outcome* with *answers*. The stores and topics must hold nothing but this sample."""
    answers = answers.settled(_found(outcome))
    expected = answers.verdicts.join(outcome.placements, on="seq", how="left")
    return VerificationReport(
        (
            check_sum(answers, outcome.received, outcome.verdict_rows),
            check_verdicts(expected, outcome.verdict_rows),
            check_feedback(expected, outcome.feedback),
            *(
                check_store(answers.catalog, dataset, records, outcome.store_records[dataset])
                for dataset, records in answers.records.items()
            ),
            check_cache(answers, outcome.cache_subjects),
        )
    )


def _found(outcome: Outcome) -> pl.DataFrame:
    """The verdict of each message that has one, by seq."""
    rows = outcome.verdict_rows.select(
        *(pl.col(f"source_{name}").alias(name) for name in _PLACE), pl.col("verdict")
    ).unique(_PLACE)
    return outcome.placements.join(rows, on=_PLACE).select("seq", "verdict")


def check_sum(answers: Answers, received: int, rows: pl.DataFrame) -> Check:
    """received = accepted + rejected + quarantined, and each the number that the oracle says."""
    found = _counts(rows)
    wanted = _counts(answers.verdicts)
    differences = _Differences()
    if received != rows.height:
        differences.add(f"the broker has {received} messages, the verdict history {rows.height}")
    for verdict in sorted(found.keys() | wanted.keys()):
        if found.get(verdict, 0) != wanted.get(verdict, 0):
            differences.add(f"{verdict}: {found.get(verdict, 0)} instead of {wanted.get(verdict, 0)}")
    return differences.check(
        "sum",
        "接收 = 入库 + 退回 + 隔离",
        "received = accepted + rejected + quarantined",
        answers.verdicts.height,
        received,
    )


def check_verdicts(expected: pl.DataFrame, rows: pl.DataFrame) -> Check:
    """Every message has one row in the verdict history, with the right verdict, rules and envelope."""
    differences = _Differences()
    actual = rows.select(
        pl.col("source_topic").alias("topic"),
        pl.col("source_partition").alias("partition"),
        pl.col("source_offset").alias("offset"),
        *(pl.col(name).alias(f"{name}_found") for name in ("verdict", "dataset", *_IDENTITY, "version", "subject")),
        _rules_of(rows["violations"]).alias("rules_found"),
    )
    twice = actual.filter(pl.struct(_PLACE).is_duplicated())
    differences.rows(twice, lambda row: f"{_place(row)}: more than one row")
    extra = actual.join(expected.select(_PLACE), on=_PLACE, how="anti")
    differences.rows(extra, lambda row: f"{_place(row)}: nobody sent this")
    joined = expected.join(actual.unique(_PLACE), on=_PLACE, how="left", maintain_order="left")
    for problem in _verdict_problems():
        joined = joined.with_columns(problem)
    wrong = joined.filter(pl.any_horizontal(pl.col("^wrong_.*$")))

    def say(row: dict[str, Any]) -> str:
        if row["verdict_found"] is None:
            return f"seq {row['seq']} {_place(row)}: no verdict"
        names = [name[6:] for name, value in row.items() if name.startswith("wrong_") and value]
        parts = [f"{name} {row[f'{name}_found']!r} instead of {row[name]!r}" for name in names]
        return f"seq {row['seq']} {_place(row)}: {'; '.join(parts)}"

    differences.rows(wrong, say)
    return differences.check("verdicts", "每条记录的结论", "Verdict of every record", expected.height, rows.height)


def _verdict_problems() -> Iterator[pl.Expr]:
    """Columns ``wrong_<name>``; the envelope counts where it is readable, unit and subject where accepted."""
    readable = pl.col("verdict") != "quarantined"
    accepted = pl.col("verdict").is_in(["accepted", "suspect"])
    always = pl.lit(True)
    for name, when in {
        "verdict": always,
        "dataset": always,
        "rules": always,
        "record_id": readable,
        "version": readable,
        "unit": accepted,
        "subject": accepted,
    }.items():
        yield (when & pl.col(name).ne_missing(pl.col(f"{name}_found"))).alias(f"wrong_{name}")


def check_feedback(expected: pl.DataFrame, feedback: Iterable[tuple[str, Feedback]]) -> Check:
    """Whoever is not plainly accepted is told so on its unit's topic; of several records about one message the newest.

    Whoever is accepted need not be told, but may have been suspect until another record came, and is told then that it
    is accepted now.
    """
    may_be_told = (pl.col("told") != "") | (pl.col("verdict") == "accepted")
    id_of = pl.concat_str(pl.col(_PLACE).cast(pl.String), separator="-")
    placed = expected.filter(may_be_told & pl.col("topic").is_not_null()).with_columns(id=id_of)
    differences = _Differences()
    #: When it was said, on which topic, and what is wrong with it.
    newest: dict[str, tuple[int, str, list[str]]] = {}
    coming = iter(feedback)
    while chunk := list(islice(coming, _FEEDBACK_CHUNK)):
        about = pl.Series([item.feedback_id for _, item in chunk], dtype=pl.String)
        rows = {row["id"]: row for row in placed.filter(pl.col("id").is_in(about.implode())).iter_rows(named=True)}
        for topic, item in chunk:
            key = item.feedback_id
            row = rows.get(key)
            if row is None:
                differences.add(f"{key} on {topic}: nobody should be told this")
                continue
            problems, verdict_problems = _misdirected(topic, item, row), _wrong_verdict(item, row)
            if {row["verdict"], item.verdict} <= _MAY_CHANGE:
                if key not in newest or item.governed_at >= newest[key][0]:
                    newest[key] = (item.governed_at, topic, verdict_problems)
            else:
                newest.setdefault(key, (item.governed_at, topic, []))
                problems += verdict_problems
            if problems:
                differences.add(f"{key} on {topic}: {'; '.join(problems)}")
    for key, (_, topic, problems) in newest.items():
        if problems:
            differences.add(f"{key} on {topic}: {'; '.join(problems)}")
    wanted = {key: unit for key, unit in placed.select("id", "told").iter_rows() if unit}
    for missing in wanted.keys() - newest.keys():
        differences.add(f"{missing}: no feedback for {wanted[missing]}")
    count = expected.filter(pl.col("told") != "").height
    found = len(wanted.keys() & newest.keys())
    return differences.check("feedback", "反馈主题上的每条反馈", "Every feedback record", count, found)


def _misdirected(topic: str, item: Feedback, row: Mapping[str, Any]) -> list[str]:
    """What every feedback record must have right, also one that a newer one has replaced."""
    unit = row["told"] or row["unit"]
    pairs: dict[str, tuple[Any, Any]] = {
        "topic": (topic, feedback_topic(unit)),
        "unit": (item.unit, unit),
        "dataset": (item.dataset, row["dataset"]),
        "source": (
            (item.source_topic, item.source_partition, item.source_offset),
            (row["topic"], row["partition"], row["offset"]),
        ),
    }
    if row["verdict"] != "quarantined":
        pairs["record_id"] = (item.record_id, row["record_id"])
        pairs["version"] = (item.version, row["version"])
    return _unequal(pairs)


def _wrong_verdict(item: Feedback, row: Mapping[str, Any]) -> list[str]:
    return _unequal(
        {
            "verdict": (item.verdict, row["verdict"]),
            "rules": (" ".join(sorted(violation.rule for violation in item.violations)), row["rules"]),
            "record is whole": (bool(item.record), row["verdict"] == "rejected"),
        }
    )


def _unequal(pairs: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [f"{name} {found!r} instead of {right!r}" for name, (found, right) in pairs.items() if found != right]


def check_store(catalog: Catalog, dataset: str, expected: pl.DataFrame, actual: pl.DataFrame) -> Check:
    """The current state of one dataset: the same records, each in the right version with the right fields."""
    names = ["subject", "verdict", "version", *(item.name for item in catalog[dataset].business_fields)]
    differences = _Differences()
    twice = actual.filter(pl.struct(_IDENTITY).is_duplicated())
    differences.rows(twice, lambda row: f"{row['unit']}|{row['record_id']}: more than one row")
    joined = expected.select(*_IDENTITY, *names, pl.lit(True).alias("wanted")).join(
        actual.unique(_IDENTITY).select(
            *_IDENTITY, *(pl.col(name).alias(f"{name}_found") for name in names), pl.lit(True).alias("found")
        ),
        on=_IDENTITY,
        how="full",
        coalesce=True,
    )
    wrong = joined.with_columns(
        pl.col(name).ne_missing(pl.col(f"{name}_found")).alias(f"wrong_{name}") for name in names
    ).filter(pl.any_horizontal(pl.col("^wrong_.*$")) | pl.col("wanted").is_null() | pl.col("found").is_null())

    def say(row: dict[str, Any]) -> str:
        where = f"{row['unit']}|{row['record_id']}"
        if row["found"] is None:
            return f"{where}: missing"
        if row["wanted"] is None:
            return f"{where}: should not be there"
        return f"{where}: differs in {', '.join(name for name in names if row[f'wrong_{name}'])}"

    differences.rows(wrong, say)
    zh = catalog[dataset].zh
    return differences.check(
        f"store.{dataset}", f"ClickHouse 当前状态：{zh}", f"ClickHouse: {dataset}", expected.height, actual.height
    )


def check_cache(answers: Answers, cache_subjects: Callable[[list[str]], list[list[StoredRecord]]]) -> Check:
    """Every subject in Redis, also those that have no record left."""
    wanted = _cache_records(answers)
    subjects = answers.subjects
    differences = _Differences()
    found_count = 0
    for start in range(0, len(subjects), _CACHE_CHUNK):
        chunk = subjects[start : start + _CACHE_CHUNK]
        for subject, found in zip(chunk, cache_subjects(chunk), strict=True):
            expected = wanted.get(subject, {})
            actual = {(item.dataset, item.unit, item.record_id): _as_compared(item) for item in found}
            found_count += len(found)
            if len(actual) != len(found):
                differences.add(f"{subject}: a record more than once")
            for key in expected.keys() | actual.keys():
                if expected.get(key) != actual.get(key):
                    differences.add(f"{subject} {'|'.join(key)}: {_cache_problem(expected.get(key), actual.get(key))}")
    count = sum(map(len, wanted.values()))
    return differences.check("cache", "Redis 中的每个主体", "Redis: every subject", count, found_count)


_Key = tuple[str, str, str]


def _cache_records(answers: Answers) -> dict[str, dict[_Key, dict[str, Any]]]:
    wanted: dict[str, dict[_Key, dict[str, Any]]] = {}
    for dataset, frame in answers.records.items():
        names = [item.name for item in answers.catalog[dataset].business_fields]
        for row in frame.with_columns(_json_columns(frame)).iter_rows(named=True):
            fields = {name: value for name in names if (value := row[name]) is not None}
            record = {"version": row["version"], "verdict": row["verdict"], **fields}
            wanted.setdefault(row["subject"], {})[dataset, row["unit"], row["record_id"]] = record
    return wanted


def _json_columns(frame: pl.DataFrame) -> list[pl.Series]:
    """Dates as ISO 8601 text and decimals as the shortest text, as the cache has them."""
    columns: list[pl.Series] = []
    for name, kind in frame.schema.items():
        if name in ENVELOPE_NAMES:
            continue
        if isinstance(kind, pl.Date):
            columns.append(frame[name].dt.to_string("iso"))
        elif isinstance(kind, pl.Decimal):
            columns.append(pl.Series(name, [_shortest(value) for value in frame[name]], dtype=pl.String))
    return columns


def _shortest(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _as_compared(item: StoredRecord) -> dict[str, Any]:
    fields = {name: value for name, value in item.fields.items() if value is not None}
    return {"version": item.version, "verdict": item.verdict, **fields}


def _cache_problem(expected: Mapping[str, Any] | None, actual: Mapping[str, Any] | None) -> str:
    if actual is None:
        return "missing"
    if expected is None:
        return "should not be there"
    names = [name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name)]
    return f"differs in {', '.join(sorted(names))}"


def _rules_of(violations: pl.Series) -> pl.Series:
    """The sorted rule ids in each JSON list, joined by a space."""
    return pl.Series(
        [" ".join(sorted(item["rule"] for item in orjson.loads(text))) if text else "" for text in violations],
        dtype=pl.String,
    )


def _counts(frame: pl.DataFrame) -> dict[str, int]:
    return {row[0]: row[1] for row in frame["verdict"].value_counts().iter_rows()}


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['topic']}-{row['partition']}@{row['offset']}"
