"""Draft, shadow, active, retired; and the period in which a rule bites."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from rules_toys import CATALOG, CONTEXT, TOY, judge_both, one_rule, record, write_library

from rules.contract import contract_rule_set
from rules.errors import RuleError
from rules.examples import lint
from rules.ruleset import DatasetRules, RuleSet

BROKEN = record(CODE="x")
SOUND = record(NAME="某", CODE="x")


def _rule(folder: Path, parameters: str) -> DatasetRules:
    return one_rule(folder, "NAME", "required", f"{parameters}, pass: [{{NAME: 某}}], fail: [{{}}]")


def _found(rules: DatasetRules, *records: dict[str, object], today: date = CONTEXT.today) -> list[int]:
    return [len(found) for found in judge_both(rules, *records, context=replace(CONTEXT, today=today))]


@pytest.mark.parametrize(("status", "bites"), [("draft", 0), ("shadow", 0), ("retired", 0), ("active", 1)])
def test_only_an_active_rule_makes_verdicts_and_goes_to_units(tmp_path: Path, status: str, bites: int) -> None:
    rules = _rule(tmp_path, f"status: {status}, owner: 省信用中心")
    assert _found(rules, BROKEN) == [bites]
    assert len(contract_rule_set(rules)["domainRules"]) == bites
    assert not [problem for problem in lint(CATALOG, tmp_path) if "NAME.required" in problem]


def test_a_shadow_rule_is_counted_with_the_first_rows_by_rows_and_by_columns_alike(tmp_path: Path) -> None:
    rules = _rule(tmp_path, "status: shadow")
    records = [SOUND, *[BROKEN] * 8]
    frame = pl.DataFrame(records, schema=TOY.polars_schema)
    (found,) = rules.judge_shadow(frame, CONTEXT)
    assert (found.rule, found.severity, found.count, found.rows) == (
        "toy.NAME.required", "reject", 8, (1, 2, 3, 4, 5)
    )  # fmt: skip
    assert rules.judge_shadow(records, CONTEXT) == (found,)
    assert [found.count for found in rules.judge_shadow(frame[:1], CONTEXT)] == [0]
    assert _rule(tmp_path, "status: draft").judge_shadow(frame, CONTEXT) == ()


def test_by_arrival_a_rule_bites_on_its_first_and_last_day_and_not_beside_them(tmp_path: Path) -> None:
    rules = _rule(tmp_path, "effective: {from: 2026-07-01, until: 2026-07-31}")
    days = [date(2026, 6, 30), date(2026, 7, 1), date(2026, 7, 31), date(2026, 8, 1)]
    assert [_found(rules, BROKEN, SOUND, today=day) for day in days] == [[0, 0], [1, 0], [1, 0], [0, 0]]


def test_by_event_the_date_in_the_record_decides_and_the_day_of_judgement_where_there_is_none(tmp_path: Path) -> None:
    rules = _rule(tmp_path, "effective: {from: 2026-07-01, by: event}")
    records = [record(DAY=date(2026, 6, 30)), record(DAY=date(2026, 7, 1)), record(DAY=None), SOUND]
    assert _found(rules, *records, today=date(2026, 6, 30)) == [0, 1, 0, 0]
    assert _found(rules, *records, today=date(2026, 7, 1)) == [0, 1, 1, 0]


def test_a_day_that_python_has_no_date_for_lies_after_every_first_day(tmp_path: Path) -> None:
    rules = _rule(tmp_path, "effective: {from: 2026-07-01, by: event}")
    frame = pl.DataFrame([BROKEN, BROKEN], schema=TOY.polars_schema)
    frame = frame.with_columns(DAY=pl.Series([2**31 - 1, -(2**31)], dtype=pl.Int32()).cast(pl.Date()))
    assert rules.judge_columns(frame, CONTEXT).rejected == [0]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("status: shadw", "status: Input should be 'draft', 'shadow', 'active' or 'retired'"),
        ("effective: {from: 2026-07-02, until: 2026-07-01}", "until 2026-07-01 lies before from 2026-07-02"),
        ("effective: {by: event}", "give from, until or both"),
        ("effective: {from: 2026-07-01, by: evnt}", "effective.by: Input should be 'event' or 'arrival'"),
        ("effective: {since: 2026-07-01}", "effective.since"),
    ],
)
def test_lint_names_what_is_wrong_with_status_and_period(tmp_path: Path, parameters: str, said: str) -> None:
    with pytest.raises(RuleError) as error:
        _rule(tmp_path, parameters)
    (problem,) = error.value.problems
    assert problem.startswith(f"{tmp_path}/toy.yaml:3: ")
    assert said in problem


def test_a_period_by_event_needs_a_dataset_with_a_day(tmp_path: Path) -> None:
    timed = TOY.model_copy(update={"event_date": "SEEN"})
    head = "id: toy.NAME.required, kind: required, field: NAME, dimension: accuracy, severity: reject"
    more = 'zh: "请改正该字段", en: "correct it", effective: {from: 2026-07-01, by: event}'
    folder = write_library(tmp_path, f"  - {{{head}, {more}}}\n")
    with pytest.raises(RuleError, match="by: event needs an event date; SEEN of toy is of type timestamp"):
        RuleSet.load(type(CATALOG)({"toy": timed}), folder)


def test_status_and_period_are_part_of_the_version_and_what_is_not_said_is_not(tmp_path: Path) -> None:
    def version(parameters: str) -> str:
        _rule(tmp_path, parameters)
        return RuleSet.load(CATALOG, tmp_path).version

    plain = version("basis: 法")
    assert version("basis: 法, status: active") == plain
    others = {
        version(f"basis: 法, {more}") for more in ("status: shadow", "effective: {from: 2026-07-01}", "owner: 某")
    }
    assert len(others | {plain}) == 4
