"""Columns and rows agree, on every dataset of the shipped library and on big random tables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_tables import TODAY, UNITS, make_columns
from shipped import CATALOG, RULES

from rules.checks.base import JudgeContext
from rules.ruleset import DatasetRules
from schemas.catalog import Dataset

CODES = [dataset.code for dataset in CATALOG]
CONTEXT = JudgeContext(TODAY, frozenset(UNITS), assigned=frozenset(UNITS[:200]))
#: ZHIDA_RULES_ROWS=3000000 for a long run, another ZHIDA_RULES_SEED for other rows.
ROWS = int(os.environ.get("ZHIDA_RULES_ROWS", "120000"))
SEED = int(os.environ.get("ZHIDA_RULES_SEED", "20260630"))
#: Rows and examples are shared out among the datasets: a bigger catalog takes no longer.
EACH = ROWS // len(CODES)
CHUNK = min(5_000, EACH)
EXAMPLES = max(10, 240 // len(CODES))


def assert_agreement(rules: DatasetRules, frame: pl.DataFrame, records: list[Mapping[str, Any]]) -> Counter[str]:
    """Judge both ways; return how often each rule was broken."""
    judgement = rules.judge_columns(frame, CONTEXT)
    by_row = {row: found for row, record in enumerate(records) if (found := rules.judge_row(record, CONTEXT))}
    if judgement.violations != by_row:
        row = next(row for row in range(len(records)) if judgement.violations.get(row) != by_row.get(row))
        columns = [violation.rule for violation in judgement.violations.get(row, ())]
        rows = [violation.rule for violation in by_row.get(row, ())]
        pytest.fail(f"row {row}: columns {columns}, rows {rows}: {records[row]}")
    rejected = {row for row, found in by_row.items() if any(violation.severity == "reject" for violation in found)}
    assert judgement.rejected == sorted(rejected)
    assert judgement.suspect == sorted(by_row.keys() - rejected)
    return Counter(violation.rule for found in by_row.values() for violation in found)


@pytest.mark.parametrize("code", CODES)
def test_columns_and_rows_agree_on_a_big_random_table(code: str) -> None:
    rules, random = RULES.dataset(code).in_force(), Random(f"{SEED} {code}")
    broken: Counter[str] = Counter()
    rows = 0
    while rows < EACH:
        columns = make_columns(rules, CHUNK, random)
        frame = pl.DataFrame(columns, schema=rules.dataset.polars_schema)
        records = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        broken += assert_agreement(rules, frame, records)
        rows += CHUNK
    alone = [rule.id for rule in rules.rules if rule.asks is None]  # those of others: test_rules_kinds_of_state.py
    assert [rule for rule in alone if not broken[rule]] == [], "the table never breaks these rules"
    assert [rule.id for rule in rules.rules if broken[rule.id] == rows] == [], "the table always breaks these rules"


def _values(field: Any) -> st.SearchStrategy[Any]:
    if field.type == "string":
        texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
        known = st.sampled_from([*field.enumeration, "罚款", "91440300708461136T", "身份证", " ", "\u3000"])
        values: st.SearchStrategy[Any] = texts | known
    elif field.type == "date":
        values = st.dates() | st.integers(-3, 3).map(lambda days: TODAY + timedelta(days=days))
    elif field.type == "decimal":
        values = st.decimals(Decimal("-999999999999"), Decimal("999999999999"), places=6, allow_nan=False)
    elif field.type == "long":
        values = st.integers(-(2**63), 2**63 - 1)
    else:
        values = st.booleans()
    return values if field.name in {"unit", "record_id", "version", "deleted"} else st.none() | values


def _records(dataset: Dataset) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({field.name: _values(field) for field in dataset.fields})


@pytest.mark.parametrize("code", CODES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_columns_and_rows_agree_on_any_record(code: str, data: st.DataObject) -> None:
    rules = RULES.dataset(code)
    records = data.draw(st.lists(_records(rules.dataset), min_size=1, max_size=4))
    assert_agreement(rules, pl.DataFrame(records, schema=rules.dataset.polars_schema), records)


def _table(code: str, rows: int) -> tuple[DatasetRules, pl.DataFrame, list[Mapping[str, Any]]]:
    rules = RULES.dataset(code)
    columns = make_columns(rules, rows, Random(code))
    records = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return rules, pl.DataFrame(columns, schema=rules.dataset.polars_schema), records


@pytest.mark.parametrize("code", CODES)
def test_verdicts_do_not_depend_on_how_a_frame_lies_in_memory(code: str) -> None:
    rules, frame, records = _table(code, 997)
    for start, length in [(0, 1), (7, 8), (13, 500), (990, 7)]:
        assert_agreement(rules, frame.slice(start, length), records[start : start + length])
    chunked = pl.concat([frame[:100], frame[100:333], frame[333:]], rechunk=False)
    assert_agreement(rules, chunked, records)
    assert_agreement(rules, chunked.slice(50, 400), records[50:450])
    assert_agreement(rules, frame.reverse(), records[::-1])
    assert_agreement(rules, frame.select(reversed(frame.columns)), records)


@pytest.mark.parametrize("code", CODES)
def test_what_lies_behind_a_null_is_not_looked_at(code: str) -> None:
    rules, frame, records = _table(code, 500)
    names = [field.name for field in rules.dataset.business_fields]
    odd = pl.int_range(pl.len()) % 3 == 0
    masked = frame.with_columns(pl.when(~odd).then(pl.col(name)).otherwise(None).alias(name) for name in names)
    nulled = [{**record, **dict.fromkeys(names)} if row % 3 == 0 else record for row, record in enumerate(records)]
    assert_agreement(rules, masked, nulled)


def test_a_new_day_and_new_units_change_the_verdict() -> None:
    rules = RULES.dataset("administrative_licence")
    record = dict.fromkeys(rules.dataset.by_name) | {"unit": UNITS[0], "record_id": "1", "version": 1, "deleted": False}
    record["XK_JDRQ"] = TODAY + timedelta(days=1)
    frame = pl.DataFrame([record], schema=rules.dataset.polars_schema)

    def broken(today: date, units: frozenset[str]) -> set[str]:
        found = rules.judge_columns(frame, JudgeContext(today, units)).violations[0]
        assert found == rules.judge_row(record, JudgeContext(today, units))
        return {violation.rule.partition(".")[2] for violation in found}

    units = frozenset(UNITS)
    assert "XK_JDRQ.not_future" in broken(TODAY, units)
    assert "XK_JDRQ.not_future" not in broken(TODAY + timedelta(days=1), units)
    assert "unit.known_unit" in broken(TODAY, frozenset())
    assert "unit.known_unit" not in broken(TODAY, units)


def test_a_text_of_ten_million_characters_is_judged_and_cut() -> None:
    rules = RULES.dataset("administrative_penalty")
    record = dict.fromkeys(rules.dataset.by_name) | {"unit": UNITS[0], "record_id": "1", "version": 1, "deleted": False}
    for huge in ("某" * 10_000_000, " " * 10_000_000, "警告;" * 3_000_000, "\x00" * 10_000_000):
        wide = record | {"CF_XDR_MC": huge, "CF_CFLB": huge, "CF_XDR_SHXYM": huge, "CF_XDR_GSZC": huge}
        wide |= {"CF_XDR_ZJLX": "身份证", "CF_XDR_ZJHM": huge}
        frame = pl.DataFrame([wide, record], schema=rules.dataset.polars_schema)
        assert_agreement(rules, frame, [wide, record])
        assert all(len(violation.value) <= 64 for violation in rules.judge_row(wide, CONTEXT))


def test_a_day_that_python_has_no_date_for_counts_as_the_last_one() -> None:
    rules = RULES.dataset("administrative_licence")
    record = dict.fromkeys(rules.dataset.by_name) | {"unit": UNITS[0], "record_id": "1", "version": 1, "deleted": False}
    frame = pl.DataFrame([record, record], schema=rules.dataset.polars_schema)
    frame = frame.with_columns(XK_JDRQ=pl.Series([2**31 - 1, -(2**31)], dtype=pl.Int32()).cast(pl.Date()))
    first, second = rules.judge_columns(frame, CONTEXT).violations.values()
    assert "9999-12-31" in {violation.value for violation in first if violation.rule.endswith("not_future")}
    assert "0001-01-01" in {violation.value for violation in second if violation.rule.endswith("XK_JDRQ.range")}


def test_fields_that_a_record_does_not_have_count_as_null() -> None:
    rules = RULES.dataset("abnormal_operation")
    whole = dict.fromkeys(rules.dataset.by_name) | {"unit": UNITS[0], "record_id": "1", "version": 1, "deleted": False}
    partial = {"unit": UNITS[0], "record_id": "1", "version": 1, "deleted": False}
    assert rules.judge_row(partial, CONTEXT) == rules.judge_row(whole, CONTEXT) != ()
