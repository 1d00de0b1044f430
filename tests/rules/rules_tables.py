"""Big random tables of a dataset: realistic values, their edges, and what no department should ever send.

Realistic values and their edges are those of the examples in the rule file, so a new dataset brings its own.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from rules.records import record_of
from rules.ruleset import DatasetRules
from schemas.catalog import DatasetField
from zhida.sample.identifiers import make_id_number, make_uscc

TODAY = date(2026, 6, 30)
UNITS = tuple(make_uscc("1", "1", f"32{number:04}", f"{number:08}") for number in range(300))

_BLANK = [None, None, None, "", " ", "\t\n", "\u3000", "\xa0\u2003 ", "\x1c\x1f", "\x85"]
_HOSTILE = [
    "\x00",
    "\x00" * 18,
    "a\x00b",
    "\u200b",
    "\ufeff",
    "𠮷" * 18,
    "１" * 18,
    "“引号”",
    "、",
    "é",
    "'; DROP TABLE x; --",
    "{0}%s\\",
    "字" * 4001,
    "x" * 513,
    " " * 300,
    "\u3000某",
    "某\u3000",
    "\U0010ffff",
    "_1_2",
    "+1234567890123456",
    "9" * 18,
    "a" * 12,
    "a" * 13,
]
_TEXTS = [
    "某",
    "某店",
    "江苏某某科技有限公司",
    "玄武区1",
    "苏市监许〔2026〕12号",
    "字" * 63,
    "字" * 64,
    "字" * 65,
    "x" * 200,
    "字" * 201,
]
_NUMBERS = [
    "320106000012345",
    "32010600001234",
    "3201060000123456",
    "３２０１０６００００１２３４５",
    "320102",
    "025-83212345",
    "13812345678",
]
_KINDS = [
    "警告",
    "罚款",
    "警告;罚款",
    "罚款;没收违法所得、没收非法财物",
    "非罚款",
    "罚款;",
    "警告；罚款",
    "暂扣许可证件",
    "吊销许可证件;其他",
    ";",
]
_DAYS = [TODAY + timedelta(days=days) for days in (-8, -2, -1, 0, 1, 2, 400)]
_DAYS += [date(year, month, day) for year, month, day in [(1, 1, 1), (1900, 1, 1), (1949, 9, 30), (1949, 10, 1)]]
_DAYS += [
    date(1996, 9, 30),
    date(1996, 10, 1),
    date(2004, 6, 30),
    date(2004, 7, 1),
    date(2014, 9, 30),
    date(2014, 10, 1),
]
_DAYS += [date(2099, 12, 31), date(2100, 1, 1), date(9999, 12, 31)]
_AMOUNTS = [
    Decimal(text) for text in ("0", "0.000001", "-0.000001", "-1", "3.5", "100000", "100000.000001", "50000000")
]
_AMOUNTS += [Decimal("50000000.000001"), Decimal("999999999999.999999"), Decimal("-999999999999.999999")]


def _codes(random: Random) -> list[str]:
    good = [make_uscc("9", "1", "320100", f"MA{random.randrange(10**6):06}") for _ in range(60)]
    bad = [code[:at] + random.choice("0123456789AXIOab") + code[at + 1 :] for code in good for at in (0, 5, 8, 16, 17)]
    return [*good, *UNITS[:50], *bad, good[0].lower(), good[0] + " ", good[0][:17], "914403007084６1136"]


def _papers(random: Random) -> list[str]:
    good = [
        make_id_number("320102", TODAY - timedelta(days=random.randrange(-3, 45000)), random.randrange(1000))
        for _ in range(80)
    ]
    bad = [
        number[:at] + random.choice("0123456789Xx") + number[at + 1 :] for number in good for at in (0, 8, 10, 12, 17)
    ]
    return [*good, *bad, "E12345678", "3201021990030756", "11010519491231002x"]


def _common(field: DatasetField, random: Random) -> list[Any]:
    """What a field mostly holds."""
    if field.type == "boolean":
        return [False] * 9 + [True]
    if field.type == "date":
        return [*_DAYS, None]
    if field.type == "decimal":
        return [*_AMOUNTS, None, None]
    if field.type == "long":
        return [1, 2, 0, -1, 2**63 - 1, -(2**63)]
    if field.enumeration:
        return [*field.enumeration] * 4 + ["不在目录", field.enumeration[0] + " "]
    if field.name == "unit":
        return [*UNITS, "", UNITS[0].lower(), "91440300708461136T"]
    if field.name == "CF_CFLB":
        return _KINDS
    if field.pii == "id_number":
        return _papers(random)
    if field.length == 18:
        return _codes(random)
    return _TEXTS + _NUMBERS


def _of_examples(rules: DatasetRules) -> dict[str, list[Any]]:
    """The distinct values of each field in the examples of its rules."""
    found: dict[str, dict[Any, None]] = {field.name: {} for field in rules.dataset.fields}
    for rule in rules.rules:
        for example in (*rule.passes, *rule.fails):
            record = record_of(example, rules.dataset)
            for name in example:
                if name in found:
                    found[name][record[name]] = None
    return {name: list(values) for name, values in found.items()}


def make_columns(rules: DatasetRules, rows: int, random: Random) -> dict[str, list[Any]]:
    """*rows* random rows as lists by field; a share of the fields of each row is empty or hostile."""
    columns: dict[str, list[Any]] = {}
    examples = _of_examples(rules)
    for field in rules.dataset.fields:
        common = _common(field, random)
        if field in rules.dataset.business_fields:
            common = [*common, *examples[field.name] * 2]
        odd = [*_BLANK, *_HOSTILE] if field.type == "string" else [None]
        if field.name in {"unit", "record_id"}:
            odd = [value for value in odd if value is not None]
        if field.name in {"version", "deleted"}:
            odd = common
        picked = random.choices(common, k=rows)
        for at in random.sample(range(rows), k=rows // 8):
            picked[at] = random.choice(odd)
        columns[field.name] = picked
    return columns
