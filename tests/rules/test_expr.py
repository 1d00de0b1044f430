"""The language of conditions: what it means, what it refuses and where, and that both evaluations agree."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from contract_clients import Client
from expressions import conditions, records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules_toys import CATALOG, CONTEXT, TODAY, TOY, judge_both, one_rule, record, write_library

from rules.cel import Said
from rules.errors import RuleError
from rules.expr import Expression, ExpressionError
from rules.expr.parser import MAX_CHARACTERS
from rules.expr.said import definitely
from rules.ruleset import RuleSet

CLIENT = Client()
FILLED: dict[str, Any] = {
    "NAME": "某某商店", "CODE": "91440300708461136T", "KIND": "甲", "TAGS": "警告;罚款", "PAPER": "320102199003075619",
    "DAY": date(2026, 6, 18), "END": date(2026, 6, 30), "SUM": Decimal("3.5"), "version": 7,
    "SEEN": datetime(2026, 6, 29, 17, tzinfo=UTC),
}  # fmt: skip


def by_row(text: str, *asked: dict[str, Any]) -> list[bool | None]:
    expression = Expression.compile(text, TOY)
    return [expression.row([values[field] for field in expression.fields], TODAY) for values in asked]


def by_column(text: str, *asked: dict[str, Any]) -> list[bool | None]:
    frame = pl.DataFrame(list(asked), schema=TOY.polars_schema)
    found = frame.select(Expression.compile(text, TOY).columns(TODAY).alias("found")).to_series()
    return found.to_list() if len(found) == len(asked) else found.to_list() * len(asked)


def value(text: str, **changed: Any) -> bool | None:
    """What both evaluations say of the filled record with changes."""
    values = record(**{**FILLED, **changed})
    (found,) = by_row(text, values)
    assert by_column(text, values, values) == [found, found]
    return found


@pytest.mark.parametrize(
    "text",
    [
        'NAME == "某某商店" && KIND != "乙"',
        "SUM > 3 && SUM < 3.6 && SUM == 3.50 && SUM in [1, 3.5]",
        "SUM * 2 == 7 && SUM / 2 == 1.75 && SUM + 1 - 0.5 == 4 && -SUM < 0",
        "version / 2 == 3 && -version / 2 == -3 && version % 4 == 3 && -version % 4 == -3",
        "2 + 3 * version == 23 && (2 + 3) * version == 35 && 10 - 2 - 3 < version",
        "false && has(NAME) || !deleted",
        "true || has(NAME) && false",
        "has(NAME) ? SUM > 3 : SUM > 4",
        'DAY == date("2026-06-18") && DAY < END && END == today',
        "DAY + 12 == END && END - DAY == 12 && END - 12 == DAY",
        'DAY in [date("2026-06-18")] && plus_months(DAY, 8) == date("2027-02-18")',
        'plus_months(date("2024-02-29"), version + 5) == date("2025-02-28") || plus_months(DAY, -16) < DAY',
        "workdays(DAY, END) == 7",  # the Dragon Boat Festival is the 19th
        "workdays(END, DAY) == -7",
        "year(DAY) == 2026 && month(DAY) == 6 && day(DAY) == 18",
        "date(SEEN) == END",  # one o'clock in the morning in China
        "uscc(CODE) && !uscc(PAPER) && id_number(PAPER) && !id_number(CODE)",
        'region(CODE) == "440300" && region(CODE).startsWith("4403") && size(region(CODE)) == 6',
        '"罚款" in TAGS.split(";") && !("罚" in TAGS.split(";")) && size(TAGS.split(";")) == 2',
        'NAME.size() == 4 && size("𠮷") == 1 && NAME.endsWith("商店") && NAME.contains("某商") && "某" + NAME != NAME',
        r'NAME.matches("商") && NAME.matches("^某+商店$") && !matches(NAME, "^商")',
        r'matches(CODE, r"^[0-9]{17}[A-Z]$")',
        r"'\u67d0\U0000670d' != NAME && NAME == '某\u67d0商店' && 'a\'b' != " + r'"a\"b"' + " // a remark\n",
        "KIND in ['甲', '乙'] && version in [7]",
    ],
)
def test_true_of_a_filled_record(text: str) -> None:
    if text.startswith("plus_months(date"):
        text = text.replace("version + 5", "12")
        text = text.replace("plus_months(date", "has(NAME) && plus_months(date", 1)
    assert value(text) is True
    assert value(f"!({text})") is False


@pytest.mark.parametrize("empty", [None, "", " ", "\u3000\t"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('NAME == "x"', None),
        ('NAME != "x"', None),
        ('!(NAME == "x")', None),
        ('NAME in ["x"]', None),
        ("size(NAME) > 0", None),
        ('NAME.contains("x")', None),
        ("uscc(NAME)", None),
        ('NAME + "x" == "x"', None),
        ('NAME == "x" && false', False),
        ('false && NAME == "x"', False),
        ('NAME == "x" && true', None),
        ('NAME == "x" || true', True),
        ('NAME == "x" || false', None),
        ("has(NAME)", False),
        ("NAME == null", True),
        ("null != NAME", False),
        ('(NAME == "x") == null', True),
        ('NAME == "x" ? true : true', None),
        ('has(NAME) ? NAME == "x" : SUM > 3', True),
        ("has(CODE) ? NAME == null : false", True),
        ("has(CODE) ? null : has(NAME)", None),
    ],
)
def test_what_is_empty_is_unknown(text: str, expected: bool | None, empty: str | None) -> None:
    if "NAME" in text and "has(" not in text and "null" not in text:
        text = f"({text}) && (has(CODE) || true)" if expected is True else text
    assert value(text, NAME=empty) is expected


@pytest.mark.parametrize(
    "text",
    [
        "version / 0 > 1",
        "version % 0 > 1",
        "SUM / 0 > 1",
        "version + 9223372036854775807 > 0",
        "version * 9223372036854775807 > 0",
        "SUM * 999999999999 > 0",
        "SUM / 0.000001 * 999999 > 0",
        "DAY + 9223372036854775807 > DAY",
        "DAY - 1000000 < DAY",
        "plus_months(END, 1200) + 2900000 > END",
        "workdays(DAY, END + 1000) > 0",
        'workdays(date("1999-01-01"), DAY) > 0',
        'region(NAME) == "x"',
    ],
)
def test_what_has_no_result_is_unknown_and_never_an_error(text: str) -> None:
    assert value(text) is None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(conditions(), st.lists(records(), min_size=1, max_size=12))
def test_rows_and_columns_agree_on_any_expression(text: str, asked: list[dict[str, Any]]) -> None:
    try:
        Expression.compile(text, TOY)
    except ExpressionError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert any(word in reason for word in ("no field", "nested", "longer")), (text, reason)
        return
    assert by_row(text, *asked) == by_column(text, *asked), text


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(conditions(depth=3, portable=True), st.lists(records(), min_size=1, max_size=3))
def test_what_can_be_said_to_clients_means_the_same_there(text: str, asked: list[dict[str, Any]]) -> None:
    try:
        expression = Expression.compile(text, TOY)
    except ExpressionError:
        return
    broken = definitely(expression.tree, False, TOY)
    assert broken is not None
    rule = {"name": "x", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": str(Said(f"!{broken}"))}
    for values, found in zip(asked, by_row(text, *asked), strict=True):
        assert CLIENT.passes(rule, values) is (found is not False), (text, rule["expr"], values)


ERRORS = [
    ("", 1, 1, "empty"),
    ("NAM == 'x'", 1, 1, "no field 'NAM'; did you mean 'NAME'"),
    ("has(NAME) &&\n  SUMM > 3", 2, 3, "did you mean 'SUM'"),
    ("NAME > 3", 1, 6, "a text > an int"),
    ("DAY > '2026-01-01'", 1, 5, 'a day is written date("2024-01-31")'),
    ("DAY > date('2026-02-30')", 1, 12, "no day"),
    ("DAY > date(NAME)", 1, 12, 'date("2024-01-31")'),
    ("SEEN > today", 1, 6, "date(…) gives the day"),
    ("SUM == null && SUM > null", 1, 20, "only == and != ask for null"),
    ("NAME", 1, 1, "a bool is needed here, this is a text"),
    ("SUM + DAY > 1", 1, 5, "do not go together"),
    ("SUM % 2 == 0", 1, 5, "has no %"),
    ("!NAME", 1, 2, "a bool is needed"),
    ("-NAME == 'x'", 1, 1, "a text has no -"),
    ("KIND == '丙'", 1, 9, "KIND is never '丙'"),
    ("KIND in ['甲', '丙']", 1, 15, "KIND is never '丙'"),
    ("NAME in ['x', 3]", 1, 15, "a constant text is needed"),
    ("NAME in ['x', CODE]", 1, 15, "a constant text is needed"),
    ("NAME in TAGS", 1, 9, "a list of text is needed"),
    ("['x'] == NAME", 1, 1, "a list stands to the right of 'in'"),
    ("SUM in TAGS.split(';')", 1, 5, "only a text is in a list of text"),
    ("sice(NAME) > 1", 1, 1, "no function 'sice'; did you mean 'size'"),
    ("NAME.uscc()", 1, 6, "no function 'uscc'"),
    ("size(SUM) > 1", 1, 1, "size is size(text)"),
    ("size(NAME, 2) > 1", 1, 1, "size(text, int)"),
    ("size > 1", 1, 1, "size is a function"),
    ("has(NAME + 'x')", 1, 1, "the name of a field"),
    ("has(today)", 1, 1, "the name of a field"),
    ("NAME.matches('[0-9')", 1, 14, "not a usable regular expression"),
    (r"NAME.matches('\\d+')", 1, 14, "write a class such as [0-9]"),
    ("NAME.matches('(?i)a')", 1, 14, "different engines"),
    ("NAME.matches(CODE)", 1, 14, "needs a constant"),
    ("NAME.split('') == null", 1, 12, "needs a separator"),
    ("has(NAME) ? 1 : 'x' == NAME", 1, 1, "both branches"),
    ("true", 1, 1, "no field of the record"),
    ("1 < 2", 1, 3, "no field of the record"),
    ("NAME = 'x'", 1, 6, "write =="),
    ("NAME and CODE", 1, 6, "write &&"),
    ("NAME == “x”", 1, 9, "write '\"'"),
    ("has（NAME）", 1, 4, "write '('"),
    ("NAME == 'x", 1, 9, "no closing quote"),
    ("NAME == ", 1, 8, "something is missing at the end"),
    ("has(NAME) &&\n", 1, 13, "something is missing at the end"),
    ("has(NAME))", 1, 10, "unexpected ')'"),
    (r"NAME == '\q'", 1, 9, "no such escape"),
    (r"NAME == '\ud800'", 1, 9, "surrogate"),
    ("version > 99999999999999999999", 1, 11, "63 bits"),
    ("SUM > 0.0000001", 1, 7, "6 after the point"),
    ("!" * 100 + "deleted", 1, 37, "nested deeper than 64"),
    ("1 +" * 100 + "version > 3", 1, 192, "nested deeper than 64"),
    ("has(NAME)" + " " * MAX_CHARACTERS, 1, 1, "longer than"),
]


@pytest.mark.parametrize(("text", "line", "column", "reason"), ERRORS)
def test_an_error_says_where_and_what(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(ExpressionError) as error:
        Expression.compile(text, TOY)
    assert reason in str(error.value)
    assert (error.value.at.line, error.value.at.column) == (line, column)
    assert str(error.value).startswith(f"line {line}, column {column}: ")


PIECES = [
    "NAME",
    "SUM",
    "DAY",
    "'x'",
    '"',
    "'",
    "1",
    "2.5",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "[",
    "]",
    "?",
    ":",
    ",",
    ".",
    "\\",
]
PIECES += [
    "==",
    "<",
    "in",
    "has",
    "size",
    "matches",
    "split",
    "date",
    "null",
    "true",
    "+",
    "-",
    "*",
    "%",
    " ",
    "\n",
    "//",
]


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_hostile_text_ends_in_a_clear_error_or_a_condition(text: str) -> None:
    values, reason = record(**FILLED), ""
    try:
        Expression.compile(text, TOY)
    except ExpressionError as error:
        reason = str(error)
    assert len(reason) < 1000
    if not reason:
        assert by_row(text, values) == by_column(text, values)


@pytest.mark.parametrize(
    "piece", ["(", "[", "!", "-", "has(", "a?", "1+", "NAME.size().", "'", '"\\', "/*", "a&&", "\x00"]
)
@pytest.mark.parametrize("times", [1, 1000, 100_000])
def test_repeated_text_ends_in_a_clear_error(piece: str, times: int) -> None:
    with pytest.raises(ExpressionError):
        Expression.compile(piece * times, TOY)


def test_a_text_of_a_million_characters_is_matched_in_linear_time() -> None:
    values = record(NAME="a" * 1_000_000)
    assert by_row('NAME.matches("^(a+)+$") && NAME.matches(".*.*.*=")', values) == [False]


def one_expression(folder: Path, expr: str, more: str = "") -> str:
    """What lint says of a rule on lines 3 to 6 of its file."""
    rule = "  - {id: toy.SUM.expression, kind: expression, field: SUM, dimension: accuracy, severity: suspect,\n"
    rule += f'    zh: "请改正该字段", en: "correct the field",\n    {more}\n    expr: "{expr}"}}\n'
    with pytest.raises(RuleError) as error:
        RuleSet.load(CATALOG, write_library(folder, rule))
    return str(error.value)


def test_lint_says_file_line_and_place_in_the_expression(tmp_path: Path) -> None:
    said = one_expression(tmp_path, "has(NAME) && SUMM > 3")
    assert said.startswith(f"{tmp_path / 'toy.yaml'}:6: toy.SUM.expression: expr, line 1, column 14: ")
    assert "did you mean 'SUM'" in said
    said = one_expression(tmp_path, "SUM > 3", 'when: "NAME == 3",')
    assert said.startswith(f"{tmp_path / 'toy.yaml'}:5: toy.SUM.expression: when, line 1, column 6: ")


def test_lint_wants_the_rules_own_field_looked_at(tmp_path: Path) -> None:
    assert "SUM, the rule's field, is not looked at" in one_expression(tmp_path, "has(NAME)")


def test_a_rule_breaks_only_where_its_expression_is_false(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "SUM", "expression", "expr: \"SUM < 10 || KIND == '甲'\"")
    outcomes = judge_both(
        rules,
        record(SUM=Decimal(9)),
        record(SUM=Decimal(11), KIND="乙"),
        record(SUM=Decimal(11), KIND="甲"),
        record(SUM=Decimal(11)),
        record(KIND="乙"),
        record(SUM=Decimal(11), KIND="乙", deleted=True),
    )
    assert [bool(found) for found in outcomes] == [False, True, False, False, False, False]
    assert outcomes[1][0].value == "11"


def test_any_kind_of_rule_takes_an_expression_as_its_condition(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "NAME", "required", 'when: "SUM > 10 && DAY < today"')
    yesterday = date(2026, 6, 29)
    outcomes = judge_both(
        rules,
        record(SUM=Decimal(11), DAY=yesterday),
        record(SUM=Decimal(11), DAY=TODAY),
        record(SUM=Decimal(11)),
        record(SUM=Decimal(9)),
        record(SUM=Decimal(11), DAY=yesterday, NAME="某"),
    )
    assert [bool(found) for found in outcomes] == [True, False, False, False, False]
    assert rules.rules[0].reads == {"NAME", "SUM", "DAY"}


def test_the_version_of_a_rule_set_follows_its_expressions(tmp_path: Path) -> None:
    versions = set()
    for parameters in ('when: "SUM > 10"', 'when: "SUM > 11"', "", 'when: "SUM > 10"'):
        one_rule(tmp_path, "NAME", "required", parameters)
        versions.add(RuleSet.load(CATALOG, tmp_path).version)
    assert len(versions) == 3
    assert CONTEXT.today == TODAY
