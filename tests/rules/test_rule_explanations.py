"""Explained rules: what each read, whether it applied, how it came out, and its text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rules_toys import CATALOG, CONTEXT, LIBRARY, UNASSIGNED, UNIT, record, write_library
from shipped import RULES

from rules.examples import record_of
from rules.explain import ExplainedRule, explain_rules, rule_texts
from rules.ruleset import LIBRARY_DIR, DatasetRules, RuleSet
from schemas.verdict import Violation

CODE = "administrative_penalty"
FILE = """dataset: toy
rules:
  # Above the first.
  - id: toy.NAME.required
    kind: required
    field: NAME
    dimension: completeness
    severity: reject
    basis: 某条例第三条
    zh: 请填写名称
    en: fill in the name
    # In the first.

  # Above the second,
  # on two lines.
  - {id: toy.CODE.uscc, kind: uscc, field: CODE, dimension: accuracy, severity: suspect, zh: 请改正代码, en: correct it}
"""


def _rules(folder: Path, *rules: str) -> DatasetRules:
    """Rules of the toy dataset in YAML flow style without braces; reject rules unless they say what else."""
    lines = (rule if "severity:" in rule else f"{rule}, severity: reject" for rule in rules)
    text = "".join(f"  - {{{line}, dimension: accuracy, zh: 请改正该字段, en: correct it}}\n" for line in lines)
    return RuleSet.load(CATALOG, write_library(folder, text)).dataset("toy")


def _one(folder: Path, rule: str, told: Violation | None = None, **values: Any) -> ExplainedRule:
    (found,) = explain_rules(_rules(folder, rule), record(**values), CONTEXT, [told] if told else [])
    return found


def _violation(rule: str, severity: Any = "reject") -> Violation:
    return Violation(rule, "accuracy", severity, "NAME", "", "请改正", "correct it")


@pytest.mark.parametrize(
    ("values", "outcome", "why"),
    [
        ({"TAGS": "丙", "KIND": "甲"}, "broken", ""),
        ({"TAGS": "1", "KIND": "甲"}, "passes", ""),
        ({"TAGS": "丙", "KIND": "乙"}, "does_not_apply", "condition"),
        ({"TAGS": " 　", "KIND": "甲"}, "does_not_apply", "blank"),
        ({"TAGS": None}, "does_not_apply", "blank"),
        ({"TAGS": "丙", "KIND": "甲", "deleted": True}, "does_not_apply", "withdrawn"),
    ],
)
def test_a_rule_is_broken_passes_or_does_not_apply_and_says_why(
    tmp_path: Path, values: dict[str, Any], outcome: str, why: str
) -> None:
    rule = "id: toy.TAGS.pattern, kind: pattern, field: TAGS, pattern: '[0-9]+', when: {KIND: 甲}"
    found = _one(tmp_path, rule, **values)
    assert (found.outcome, found.why) == (outcome, why)
    assert [(said.text, said.holds) for said in found.conditions] == [("KIND == 甲", values.get("KIND") == "甲")]


def test_what_a_rule_reads_is_shown_as_in_feedback_and_personal_values_are_masked(tmp_path: Path) -> None:
    rule = "id: toy.PAPER.id_number, kind: id_number, field: PAPER, when: 'has(NAME) && SUM > 1 && DAY <= today'"
    number = "320102199003070011"
    values = {"PAPER": number, "NAME": "张三", "SUM": Decimal("2.500000"), "DAY": date(2026, 6, 1)}
    found = _one(tmp_path, rule, **values)
    shown = {item.name: item.value for item in found.inputs}
    assert shown == {
        "PAPER": "3201************11",
        "NAME": "张*",
        "DAY": "2026-06-01",
        "SUM": "2.5",
        "today": CONTEXT.today.isoformat(),
    }
    assert found.inputs[0].name == "PAPER"
    assert "张三" not in repr(found)
    assert number not in repr(found)


def test_each_condition_says_whether_it_holds(tmp_path: Path) -> None:
    when = "{KIND: [甲, 乙], TAGS: {contains: [a, b]}, CODE: {present: false}, PHONE: {length: 3}, NAME: {lacks: x}}"
    found = _one(
        tmp_path, f"id: toy.END.date_order, kind: date_order, field: END, not_before: DAY, when: {when}", KIND="乙"
    )
    assert [(said.text, said.holds) for said in found.conditions] == [
        ("KIND == 甲 | 乙", True),
        ("TAGS contains a | b", False),
        ("!has(CODE)", True),
        ("size(PHONE) == 3", False),
        ("NAME lacks x", False),
    ]


@pytest.mark.parametrize(("unit", "outcome"), [(UNIT, "passes"), (UNASSIGNED, "broken")])
def test_units_are_told_as_how_many_there_are_and_whether_this_one_is_among_them(
    tmp_path: Path, unit: str, outcome: str
) -> None:
    found = _one(tmp_path, "id: toy.unit.assigned_unit, kind: assigned_unit, field: unit", unit=unit)
    assert found.outcome == outcome
    said = {item.name: item.value for item in found.inputs if not item.of_record}
    assert said["units"].startswith("2，含")
    assert said["assigned"].startswith("1，含" if unit == UNIT else "1，不含")


@pytest.mark.parametrize(
    ("period", "event", "why"),
    [
        ("from: 2026-06-30", None, ""),
        ("from: 2026-07-01", None, "period"),
        ("until: 2026-06-29", None, "period"),
        ("until: 2025-12-31, by: event", date(2025, 12, 31), ""),
        ("until: 2025-12-31, by: event", date(2026, 1, 1), "period"),
        ("until: 2025-12-31, by: event", None, "period"),
    ],
)
def test_out_of_its_period_a_rule_does_not_apply(tmp_path: Path, period: str, event: date | None, why: str) -> None:
    rule = f"id: toy.NAME.required, kind: required, field: NAME, effective: {{{period}}}"
    found = _one(tmp_path, rule, DAY=event)
    assert (found.outcome, found.why) == ("does_not_apply" if why else "broken", why)


@pytest.mark.parametrize("status", ["draft", "shadow", "retired"])
def test_a_rule_that_makes_no_verdicts_says_what_it_would_find_and_never_differs(tmp_path: Path, status: str) -> None:
    found = _one(tmp_path, f"id: toy.NAME.required, kind: required, field: NAME, status: {status}")
    assert (found.outcome, found.counts, found.differs) == ("broken", False, False)


def test_what_the_verdict_says_is_compared_with_the_evaluation(tmp_path: Path) -> None:
    rule = "id: toy.NAME.required, kind: required, field: NAME"
    told = _violation("toy.NAME.required")
    assert not _one(tmp_path, rule, told).differs
    assert _one(tmp_path, rule).differs
    sound = _one(tmp_path, rule, told, NAME="某")
    assert (sound.outcome, sound.differs, sound.matters) == ("passes", True, True)
    (uncompared,) = explain_rules(_rules(tmp_path, rule), record(), CONTEXT, None)
    assert (uncompared.outcome, uncompared.differs) == ("broken", False)


def test_a_rule_that_asks_about_other_records_is_as_it_was_recorded(tmp_path: Path) -> None:
    rule = "id: toy.CODE.uniqueness, kind: uniqueness, field: CODE, together_with: [NAME], severity: suspect"
    asking = _rules(tmp_path, rule)
    told = _violation("toy.CODE.uniqueness", "suspect")

    def outcome(*recorded: Violation) -> tuple[str, str]:
        (found,) = explain_rules(asking, record(CODE="1", NAME="某"), CONTEXT, recorded)
        assert not found.differs
        assert [item.name for item in found.inputs] == ["CODE", "NAME"]
        return found.outcome, found.why

    assert outcome(told) == ("broken", "state")
    assert outcome() == ("passes", "state")
    # Nobody was asked about a record that was rejected.
    assert outcome(_violation("toy.NAME.required")) == ("unknown", "state")


def test_a_rule_says_what_it_could_not_decide(tmp_path: Path) -> None:
    rules = _rules(tmp_path, "id: toy.DAY.workday_deadline, kind: workday_deadline, field: DAY, workdays: 900")
    context = replace(CONTEXT, today=date(2035, 1, 1))
    (found,) = explain_rules(rules, record(DAY=date(2034, 12, 1)), context)
    assert (found.outcome, found.why) == ("passes", "undecided")
    assert "cannot be judged" in found.detail


@pytest.mark.parametrize(
    "value", ["\0", "\ud800", "é" * 100_000, "'); import os #", "{0.__class__}", "\u202e倒", "today", "　", "1" * 5000]
)
def test_no_value_upsets_an_explanation(value: str) -> None:
    rules = _library().dataset(CODE)
    fields = {field.name: value for field in rules.dataset.fields if field.type == "string"}
    strange = fields | {"version": -(1 << 63), "CF_JDRQ": date.max, "CF_NR_FK": Decimal("9e11"), "deleted": None}
    found = explain_rules(rules, strange, CONTEXT)
    assert {one.rule.id for one in found if one.outcome == "broken"} == _judged(rules, strange)
    assert all(len(item.value) <= 64 for one in found for item in one.inputs if item.of_record)


def test_a_value_of_another_type_makes_a_rule_fail_and_no_other(tmp_path: Path) -> None:
    rules = _rules(
        tmp_path,
        "id: toy.DAY.not_future, kind: not_future, field: DAY",
        "id: toy.NAME.required, kind: required, field: NAME, when: 'SEEN == null'",
    )
    found = explain_rules(rules, record(DAY="x", SEEN=datetime(2026, 1, 1, tzinfo=UTC)), CONTEXT)
    assert [(one.outcome, one.detail) for one in found] == [("failed", "TypeError"), ("does_not_apply", "")]


@cache
def _library() -> RuleSet:
    return RULES


def _judged(rules: DatasetRules, of: dict[str, Any]) -> set[str]:
    return {violation.rule for violation in rules.judge_row(of, CONTEXT)}


def test_an_explanation_says_of_the_librarys_examples_what_a_verdict_says() -> None:
    rule_set = _library()
    rules, context = rule_set.dataset(CODE), rule_set.examples.context()
    for rule in rules.rules:
        for example in (*rule.passes[:1], *rule.fails[:1]):
            of = record_of(example, rules.dataset)
            recorded = rules.judge_row(of, context)
            found = explain_rules(rules, of, context, recorded)
            assert not [one.rule.id for one in found if one.differs or one.outcome == "failed"]


def test_a_rules_text_is_what_its_author_wrote_with_the_remarks_above_it() -> None:
    texts = rule_texts(FILE)
    assert list(texts) == ["toy.NAME.required", "toy.CODE.uscc"]
    assert texts["toy.NAME.required"].splitlines()[0] == "  # Above the first."
    assert texts["toy.NAME.required"].endswith("en: fill in the name")
    assert texts["toy.CODE.uscc"].startswith("  # Above the second,\n  # on two lines.\n  - {id: toy.CODE.uscc")
    assert rule_texts(f"{FILE}other: 1\n")["toy.CODE.uscc"] == texts["toy.CODE.uscc"]
    everything = (LIBRARY_DIR / f"{CODE}.yaml").read_text("utf-8")
    for name, text in rule_texts(everything).items():
        assert text in everything
        assert text.lstrip().startswith((f"- id: {name}\n", "#", f"- {{id: {name},"))


@pytest.mark.parametrize("text", ["", "[", "rules: 1", "rules: [1]", "rules: [{}]", "rules: []", LIBRARY])
def test_the_text_of_a_file_that_is_no_rule_file_is_not_there(text: str) -> None:
    assert rule_texts(text) == {}
