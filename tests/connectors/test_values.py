"""One cell of a file becomes the value that the catalog wants, or says what to write instead."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.file.values import _READERS, EXCEL_EPOCH, CellError, to_value
from schemas.catalog import DatasetField
from schemas.types import TYPES


def field(kind: str) -> DatasetField:
    return DatasetField(name="F", zh="字段", en="Field", type=kind)


def test_every_catalog_type_has_a_reader() -> None:
    assert _READERS.keys() == TYPES.keys()


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-05",
        "2024/1/5",
        "2024.1.5",
        "2024年1月5日",
        "2024年01月05",
        " 2024 年 1 月 5 日 ",
        "20240105",
        "45296",
        "45296.75",
        "２０２４－０１－０５",
        "２０２４/１/５",
        "2024-01-05 00:00:00",
        "2024/1/5 0:00",
        "2024-01-05T23:59:59",
        "2024-01-04T16:00:00Z",
        "2024-01-05T08:00:00+08:00",
        "\u30002024-01-05\t",
    ],
)
def test_a_date_is_read_in_every_form_that_means_one_day(text: str) -> None:
    assert to_value(field("date"), text) == date(2024, 1, 5)


@pytest.mark.parametrize(
    "text",
    [
        "24-1-5", "1/5/2024", "5.1.2024", "2024-1", "2024", "2024-02-30", "2024-13-01", "20241301", "昨天", "0",
        "99999", "2024-01/05", "2024-01-05 25:00", "2024-01-05abc", "1899-12-31", "0000-00-00", "1e5",
        "-45296",
    ],
)  # fmt: skip
def test_a_date_that_could_mean_two_days_or_none_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        to_value(field("date"), text)


def test_long_term_is_refused_with_the_date_that_means_it() -> None:
    with pytest.raises(CellError) as caught:
        to_value(field("date"), "长期")
    assert "2099-12-31" in caught.value.zh


@given(st.dates(min_value=date(1950, 1, 1), max_value=date(2100, 12, 31)))
def test_every_excel_serial_number_is_the_day_that_excel_shows(day: date) -> None:
    assert to_value(field("date"), str((day - EXCEL_EPOCH).days)) == day


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(9999, 12, 31)))
def test_every_day_survives_each_way_of_writing_it(day: date) -> None:
    for text in (day.isoformat(), f"{day.year}/{day.month}/{day.day}", f"{day.year}年{day.month}月{day.day}日"):
        assert to_value(field("date"), text) == day


@pytest.mark.parametrize("text", ["", "  ", "\u3000", "-", "/", "无", "NULL", "N/A", "\\N"])
@pytest.mark.parametrize("kind", ["date", "decimal", "long", "timestamp"])
def test_nothing_is_nothing_in_a_date_or_number_column(kind: str, text: str) -> None:
    assert to_value(field(kind), text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.5", "1234.5"), ("1,234.50", "1234.5"), ("１２３４．５", "1234.5"), ("1，234.5", "1234.5"),
        ("¥12", "12"), ("￥12", "12"), (" 0.000001 ", "0.000001"), ("-3", "-3"), ("+3", "3"), (".5", "0.5"),
        ("12,345,678", "12345678"),
    ],
)  # fmt: skip
def test_a_number_is_read_with_commas_and_full_width_digits(text: str, value: str) -> None:
    assert to_value(field("decimal"), text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["5万元", "100元", "12%", "1,23", "12,34.5", "1.234,56", "1e5", "NaN", "Infinity", "0.0000001", "1234567890123",
     "(5)", "1 000", "--5", "0x10", "1_000", "五"],
)  # fmt: skip
def test_a_number_with_a_unit_or_a_second_meaning_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        to_value(field("decimal"), text)


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("７", 7), ("1,000", 1000), ("5.0", 5), (str(2**63 - 1), 2**63 - 1)]
)
def test_a_whole_number_is_read(text: str, value: int) -> None:
    assert to_value(field("long"), text) == value


@pytest.mark.parametrize("text", ["1.5", str(2**63), "9" * 5000, "1_000", "0x1", "二"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        to_value(field("long"), text)


@pytest.mark.parametrize(("text", "value"), [("是", True), ("否", False), ("TRUE", True), ("０", False), ("1", True)])
def test_yes_and_no_are_read(text: str, value: bool) -> None:
    assert to_value(field("boolean"), text) is value


def test_a_time_without_a_zone_is_chinese_time() -> None:
    assert to_value(field("timestamp"), "2024年1月5日 8:30") == datetime(2024, 1, 5, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("９１３２０１００ＭＡ１", "91320100MA1"),
        ("\t320102199001011234", "320102199001011234"),
        ("'320102199001011234", "320102199001011234"),
        ('="001234"', "001234"),
        ("  江苏（南京）公司\u3000", "江苏（南京）公司"),
        ("宁监罚〔2024〕１号", "宁监罚〔2024〕１号"),
        ("无", "无"),
        ("O'Brien", "O'Brien"),
    ],
)
def test_text_keeps_its_content_and_loses_only_its_wrapping(text: str, value: str) -> None:
    assert to_value(field("string"), text) == value


@pytest.mark.parametrize("text", ["3.20102E+17", "9.13201E+17", "1E+15"])
def test_a_number_that_excel_has_shortened_is_refused(text: str) -> None:
    with pytest.raises(CellError) as caught:
        to_value(field("string"), text)
    assert "Excel" in caught.value.zh


@pytest.mark.parametrize("text", ["南京\ufffd公司", "a\0b", b"\xc4\xcf".decode("utf-8", "surrogateescape")])
def test_damaged_characters_are_refused(text: str) -> None:
    with pytest.raises(CellError):
        to_value(field("string"), text)


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [("string", 320100, "320100"), ("decimal", Decimal("1.5"), Decimal("1.5")), ("decimal", 3, Decimal(3)),
     ("boolean", True, True), ("date", "2024-01-05", date(2024, 1, 5)), ("long", 5, 5), ("string", None, None)],
)  # fmt: skip
def test_json_values_are_taken_by_their_meaning(kind: str, cell: Any, value: Any) -> None:
    assert to_value(field(kind), cell) == value


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("string", True), ("string", ["a"]), ("string", {"a": 1}), ("string", Decimal("1.5")), ("date", False),
     ("long", Decimal("1.5")), ("decimal", True)],
)  # fmt: skip
def test_json_values_of_another_kind_are_refused(kind: str, cell: Any) -> None:
    with pytest.raises(CellError):
        to_value(field(kind), cell)


@given(st.sampled_from(sorted(TYPES)), st.text(max_size=40))
def test_no_text_whatever_does_more_than_being_refused(kind: str, text: str) -> None:
    try:
        value = to_value(field(kind), text)
    except CellError:
        return
    assert value is None or isinstance(value, (str, bool, int, date, datetime, Decimal))


def test_the_day_after_excel_s_limit_is_refused() -> None:
    with pytest.raises(CellError):
        to_value(field("date"), str((date(2100, 12, 31) + timedelta(days=1) - EXCEL_EPOCH).days))
