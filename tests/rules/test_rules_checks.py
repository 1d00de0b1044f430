"""Each kind of check on values that pass and values that fail, as columns and as rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rules_toys import CONTEXT, TODAY, TOY, UNASSIGNED, UNIT, judge_both, one_rule, record, write_library

from rules.checks import kinds
from rules.checks.base import JudgeContext, StatefulCheck
from rules.ruleset import RuleSet
from schemas.catalog import Catalog

BLANKS = [None, "", " ", "\t\r\n", "\u3000\u2003\xa0", "\x1c\x1d\x1e\x1f"]

#: kind, field, parameters, passing values, failing values
CASES: list[tuple[str, str, str, list[Any], list[Any]]] = [
    ("required", "NAME", "", ["某", " 某", "\x00", "\u200b", "“引”", "0"], BLANKS),
    ("required", "DAY", "", [date(2026, 1, 1)], [None]),
    ("required", "SUM", "", [Decimal(0)], [None]),
    ("required", "SEEN", "", [datetime(2026, 1, 1, tzinfo=UTC)], [None]),
    ("absent", "NAME", "", BLANKS, ["某", "\x00"]),
    ("absent", "SUM", "", [None], [Decimal(0)]),
    (
        "length",
        "NAME",
        "min: 2, max: 4",
        ["某店", "abcd", "𠮷𠮷𠮷𠮷", *BLANKS],
        ["某", "a", "𠮷", "abcde", "某某某某某"],
    ),
    ("length", "NAME", "", ["某" * 10, "a"], ["某" * 11, "a" * 11]),
    ("expression", "TAGS", 'expr: size(TAGS) < 3 || TAGS.startsWith("某")', ["ab", "某某某", *BLANKS], ["abc", "  c"]),
    ("expression", "TAGS", "expr: has(TAGS)", ["a"], BLANKS),
    ("expression", "SUM", "expr: SUM * 2 < 7 || DAY == today", [None, Decimal("3.499999")], []),
    ("expression", "DAY", "expr: DAY >= today", [None, TODAY], [date(2026, 6, 29)]),
    (
        "workday_deadline",
        "DAY",
        "workdays: 3",
        [None, TODAY, date(2026, 7, 1), date(2026, 6, 25)],
        [date(2026, 6, 24), date(1990, 1, 1), date(1, 1, 1)],
    ),
    ("length", "TAGS", "max: 3", ["某某某", "   "], ["某某某某", " 某某 "]),
    (
        "pattern",
        "TAGS",
        'pattern: "[0-9]{3}"',
        ["123", *BLANKS],
        ["12", "1234", "12a", "１２３", "123\n", "\n123", " 123"],
    ),
    ("pattern", "TAGS", 'pattern: "ab|c"', ["ab", "c"], ["abc", "ac", "cab"]),
    ("pattern", "TAGS", 'pattern: "[一-龥·]{2,4}"', ["张三", "某·某"], ["张", "a三", "𠮷三"]),
    ("enumeration", "KIND", "", ["甲", "乙", *BLANKS], ["甲 ", "丙", "甲;乙", "甲\x00"]),
    ("enumeration", "TAGS", "values: [a, b.c, 罚款]", ["a", "b.c", "罚款"], ["bxc", "A", "罚"]),
    (
        "enumeration",
        "TAGS",
        'values: [a, b.c, 罚款], separator: ";"',
        ["a", "a;a", "罚款;b.c;a", *BLANKS],
        ["a;", ";a", "a;;a", ";", "a;bxc", "a；罚款", "a; 罚款", "a;\n", "a\n"],
    ),
    (
        "range",
        "SUM",
        "min: 0.5, max: 10",
        [None, Decimal("0.5"), Decimal(10)],
        [Decimal("0.499999"), Decimal("10.000001")],
    ),
    ("range", "SUM", "above: 0, below: 10", [Decimal("0.000001")], [Decimal(0), Decimal(-1), Decimal(10)]),
    ("range", "version", "min: 1", [1, 2**63 - 1], [0, -(2**63)]),
    (
        "range",
        "DAY",
        "min: 2026-01-01, below: 2026-02-01",
        [None, date(2026, 1, 1), date(2026, 1, 31)],
        [date(2025, 12, 31), date(2026, 2, 1), date(1, 1, 1), date(9999, 12, 31)],
    ),
    ("not_future", "DAY", "", [None, TODAY, date(1, 1, 1)], [date(2026, 7, 1), date(9999, 12, 31)]),
    ("known_unit", "unit", "", [UNIT, UNASSIGNED], [None, "", " ", f"{UNIT} ", "未知单位"]),
    ("assigned_unit", "unit", "", [UNIT, None, "", " ", f"{UNASSIGNED} ", "未知单位"], [UNASSIGNED]),
    (
        "uscc",
        "CODE",
        "",
        ["91440300708461136T", "914403001922038216", "91110000802100433B", UNIT, *BLANKS],
        [
            "91440300708461136t",
            "91440300708461136",
            "91440300708461136TT",
            "９１４４０３００７０８４６１１３６Ｔ",
            "\x00" * 18,
            "某" * 6,
            " 91440300708461136T",
        ],
    ),
    (
        "id_number",
        "PAPER",
        "",
        ["11010519491231002X", "320102199003075619", *BLANKS],
        ["11010519491231002x", "320102199003075618", "32010219900230001X", "3201021990030756", "１" * 18, "\x00" * 18],
    ),
]


@pytest.mark.parametrize(
    ("kind", "field", "parameters", "good", "bad"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CASES]
)
def test_values_pass_or_fail_alike_in_columns_and_rows(
    tmp_path: Path, kind: str, field: str, parameters: str, good: list[Any], bad: list[Any]
) -> None:
    rules = one_rule(tmp_path, field, kind, parameters)
    found = judge_both(rules, *[record(**{field: value}) for value in good + bad])
    outcomes = {repr(value): bool(violations) for value, violations in zip(good + bad, found, strict=True)}
    assert outcomes == {repr(value): False for value in good} | {repr(value): True for value in bad}


def test_every_kind_has_a_case() -> None:
    alone = {name for name, check in kinds().items() if not issubclass(check, StatefulCheck)}
    assert {case[0] for case in CASES} | {"date_order"} == alone


@pytest.mark.parametrize(
    ("parameters", "end", "fails"),
    [
        ("not_before: DAY", date(2026, 1, 1), False),
        ("not_before: DAY", date(2025, 12, 31), True),
        ("after: DAY", date(2026, 1, 1), True),
        ("after: DAY", date(2026, 1, 2), False),
        ("after: DAY", None, False),
    ],
)
def test_dates_are_compared_with_the_other_date(tmp_path: Path, parameters: str, end: date | None, fails: bool) -> None:
    rules = one_rule(tmp_path, "END", "date_order", parameters)
    without, with_day = judge_both(rules, record(END=end), record(DAY=date(2026, 1, 1), END=end))
    assert (without, bool(with_day)) == ((), fails)


#: condition, values of TAGS for which it holds, values for which it does not
CONDITIONS: list[tuple[str, list[Any], list[Any]]] = [
    ("罚款", ["罚款"], ["罚款 ", "警告;罚款", "", " ", None]),
    ("[甲, 乙]", ["甲", "乙"], ["甲;乙", "", None]),
    ("{present: true}", ["a", " a"], BLANKS),
    ("{present: false}", BLANKS, ["a", " a", "“"]),
    ("{contains: 罚款}", ["罚款", "警告;罚款", "罚款;警告", "a;罚款;b"], ["非罚款", "罚款 ", "罚款，a", "", None, " "]),
    ("{contains: [a.b, c]}", ["a.b", "x;c"], ["axb", "cc", "x"]),
    ("{lacks: 罚款}", ["警告", "非罚款", "罚款；警告"], ["罚款", "警告;罚款", *BLANKS]),
    ("{length: 3}", ["abc", "某某某", "𠮷𠮷𠮷"], ["ab", "某某某某", "   ", None]),
]


@pytest.mark.parametrize(("condition", "holds", "not_holds"), CONDITIONS, ids=[c[0] for c in CONDITIONS])
def test_a_rule_applies_only_when_its_condition_holds(
    tmp_path: Path, condition: str, holds: list[Any], not_holds: list[Any]
) -> None:
    rules = one_rule(tmp_path, "NAME", "required", f"when: {{TAGS: {condition}}}")
    found = judge_both(rules, *[record(TAGS=value) for value in holds + not_holds])
    applied = {repr(value): bool(violations) for value, violations in zip(holds + not_holds, found, strict=True)}
    assert applied == {repr(value): True for value in holds} | {repr(value): False for value in not_holds}


def test_all_conditions_must_hold(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "NAME", "required", "when: {KIND: 甲, SUM: {present: true}}")
    found = judge_both(rules, record(KIND="甲", SUM=Decimal(1)), record(KIND="甲"), record(SUM=Decimal(1)))
    assert [len(violations) for violations in found] == [1, 0, 0]


def test_a_withdrawal_is_only_asked_for_its_unit(tmp_path: Path) -> None:
    assert judge_both(one_rule(tmp_path, "NAME", "required"), record(deleted=True)) == [()]
    (found,) = judge_both(one_rule(tmp_path, "unit", "known_unit"), record(deleted=True, unit="x"))
    assert [violation.rule for violation in found] == ["toy.unit.known_unit"]
    (found,) = judge_both(one_rule(tmp_path, "unit", "assigned_unit"), record(deleted=True, unit=UNASSIGNED))
    assert [violation.rule for violation in found] == ["toy.unit.assigned_unit"]


def test_where_nobody_is_said_to_be_assigned_nobody_may_report(tmp_path: Path) -> None:
    nobody = JudgeContext(TODAY, CONTEXT.units)
    (found,) = judge_both(one_rule(tmp_path, "unit", "assigned_unit"), record(), context=nobody)
    assert [violation.rule for violation in found] == ["toy.unit.assigned_unit"]


@pytest.mark.parametrize(
    ("owner", "contact", "zh", "en"),
    [
        ("省示例厅", "000-00000001", "请联系省示例厅 000-00000001", "ask 省示例厅 000-00000001"),
        ("", "", "请联系省信用办（省级公共信用工作主管部门）", "ask the credit office of the province"),
    ],
)
def test_a_message_names_the_dataset_and_whom_to_ask(
    tmp_path: Path, owner: str, contact: str, zh: str, en: str
) -> None:
    folder = write_library(
        tmp_path,
        "  - {id: toy.unit.assigned_unit, kind: assigned_unit, field: unit, dimension: conformity, severity: reject, "
        'zh: "{dataset}：请联系{contact}", en: "{dataset}: ask {contact}"}\n',
    )
    toy = TOY.model_copy(update={"owner": owner, "contact": contact})
    rules = RuleSet.load(Catalog({"toy": toy}), folder).dataset("toy")
    ((violation,),) = judge_both(rules, record(unit=UNASSIGNED))
    assert (violation.message_zh, violation.message_en) == (f"玩具：{zh}", f"Toy: {en}")


def test_an_empty_batch_breaks_nothing(tmp_path: Path) -> None:
    assert judge_both(one_rule(tmp_path, "CODE", "uscc")) == []
