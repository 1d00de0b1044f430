"""What of a value is shown in feedback."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from rules_toys import judge_both, one_rule, record

from rules.masking import shown
from schemas.catalog import PiiClass


@pytest.mark.parametrize(
    ("value", "pii", "text"),
    [
        ("320102199003075619", "id_number", "3201************19"),
        ("E12345678", "id_number", "E123***78"),
        ("123456", "id_number", "******"),
        ("13812345678", "phone", "138******78"),
        ("12345", "phone", "*****"),
        ("张三丰", "name", "张*"),
        ("张", "name", "张*"),
        ("", "name", ""),
        ("某" * 65, "none", "某" * 64),
        (None, "none", ""),
        (None, "id_number", ""),
        (date(2026, 3, 1), "none", "2026-03-01"),
        (Decimal("12.500000"), "none", "12.5"),
        (Decimal("100.000000"), "none", "100"),
        (Decimal("0.000000"), "none", "0"),
        (Decimal("-0.000001"), "none", "-0.000001"),
        (Decimal(1200), "none", "1200"),
        (-1, "none", "-1"),
        ("南京市玄武区某某路 1 号", "address", "南京市玄武区*******"),
        ("6222020200112233445", "account", "6222*************45"),
        (True, "none", "true"),
        (datetime(2026, 3, 1, tzinfo=UTC), "none", "2026-03-01T00:00:00+00:00"),
    ],
)
def test_values_are_shown_short_and_masked(value: Any, pii: PiiClass, text: str) -> None:
    assert shown(value, pii) == text


@pytest.mark.parametrize("pii", get_args(PiiClass))
def test_a_huge_value_is_shown_in_64_characters(pii: PiiClass) -> None:
    assert len(shown("9" * 10_000_000, pii)) <= 64


def test_a_personal_value_is_masked_in_violations(tmp_path: Path) -> None:
    (found,) = judge_both(one_rule(tmp_path, "PAPER", "id_number"), record(PAPER="320102199003075618"))
    assert [violation.value for violation in found] == ["3201************18"]
