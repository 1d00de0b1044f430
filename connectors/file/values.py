"""One cell of a file → the value that the catalog's type wants.

People type dates in a dozen ways and Excel adds its own; what has exactly one meaning is taken, what could mean two
things is refused with what to write instead. Nothing is guessed: a wrong date in a penalty is worse than a refused row.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from schemas.catalog import DatasetField
from schemas.types import FIRST_DAY, LAST_DAY, TYPES

#: What a unit's file means by a time without a zone.
CHINA = timezone(timedelta(hours=8))
#: Day 0 of Excel's calendar (its day 60, 1900-02-29, never was; later days count right from here).
EXCEL_EPOCH = date(1899, 12, 30)
#: 2100-12-31: a larger number is no Excel date but something else.
LAST_SERIAL = 73_415
#: In a date or number column these mean that there is nothing.
NOTHING = frozenset({"-", "--", "—", "——", "/", "\\", "无", "空", "null", "none", "n/a", "na", "\\n"})
LONG_TERM = frozenset({"长期", "长期有效", "永久", "永久有效", "无固定期限", "无限期"})
INT64 = 2**63

_BLANKS = " \t\r\n\u3000\u00a0\ufeff\u200b"
#: Lone surrogates stand for bytes that could not be decoded (source.py), U+FFFD for those that others could not.
_DAMAGED = re.compile("[\ud800-\udfff\ufffd]")
_SCIENTIFIC = re.compile(r"[+-]?\d(\.\d+)?[Ee]\+\d{1,3}")
_EXCEL_TEXT = re.compile(r'="([^"]*)"')
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_YMD = re.compile(r"(\d{4})\s*([-/.年])\s*(\d{1,2})\s*([-/.月])\s*(\d{1,2})\s*日?(?:[T ]\s*(.+))?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_SERIAL = re.compile(r"(\d{5})(\.\d+)?")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?")
_SEPARATORS = {"-": "-", "/": "/", ".": ".", "年": "月"}


class CellError(Exception):
    """A cell cannot be read; why, and what to write instead."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


def to_value(field: DatasetField, cell: Any) -> Any:
    """*cell* (text, or any JSON value) as a value of *field*'s type; None where there is nothing. Raises CellError."""
    if cell is None:
        return None
    if isinstance(cell, bool):
        if field.type == "boolean":
            return cell
        raise CellError("此列不接受 true/false", "true and false have no place in this column")
    if isinstance(cell, (list, dict)):
        raise CellError("此列只接受一个值，不接受列表或对象", "one value is wanted, not a list or an object")
    if isinstance(cell, Decimal) and field.type == "string":
        raise CellError("文本列中出现了小数，请加引号", "a decimal number in a text column: put it in quotes")
    text = _clean(cell if isinstance(cell, str) else str(cell))
    if not text:
        return None
    return _READERS[field.type](text)


def _clean(text: str) -> str:
    text = text.strip(_BLANKS)
    if not text:
        return text
    if not text.isascii() and _DAMAGED.search(text):
        raise CellError("含有无法识别的字符，文件可能已损坏", "characters that cannot be decoded: the file is damaged")
    if "\0" in text:
        raise CellError("含有零字符", "a NUL character")
    return text


def _narrow(text: str) -> str:
    """Full-width digits, letters and punctuation as their plain forms."""
    return unicodedata.normalize("NFKC", text).strip()


def _string(text: str) -> str:
    wrapped = _EXCEL_TEXT.fullmatch(text)
    if wrapped:
        text = wrapped[1]
    if not text.isascii():
        narrow = _narrow(text)
        # A code typed with full-width characters is the same code; Chinese text stays as it is.
        if narrow.isascii():
            text = narrow
    if _SCIENTIFIC.fullmatch(text):
        raise CellError(
            "Excel 把长数字改成了科学计数法，后几位已丢失；请把该列设为“文本”格式后重新填写",
            "Excel turned a long number into scientific notation and lost its last digits: format the column as text",
        )
    # The apostrophe with which Excel marks text survives some exports.
    return text[1:] if text[:1] == "'" and text[1:].isalnum() and text.isascii() else text


def _date(text: str) -> date | None:
    narrow = _narrow(text)
    if narrow.lower() in NOTHING:
        return None
    if narrow in LONG_TERM:
        raise CellError("长期有效请填写 2099-12-31", "for long term write 2099-12-31")
    if (serial := _SERIAL.fullmatch(narrow)) and int(serial[1]) <= LAST_SERIAL:
        return EXCEL_EPOCH + timedelta(days=int(serial[1]))
    compact = _COMPACT.fullmatch(narrow)
    if compact:
        return _calendar(text, *compact.groups())
    parts = _YMD.fullmatch(narrow)
    if parts is None or _SEPARATORS[parts[2]] != parts[4]:
        raise CellError(
            "无法识别的日期，请写成 2024-01-05", "not a date that has only one meaning: write it as 2024-01-05"
        )
    day = _calendar(text, parts[1], parts[3], parts[5])
    return _china_moment(day, parts[6]).date() if parts[6] else day


def _calendar(text: str, year: str, month: str, day: str) -> date:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        raise CellError(f"日历上没有这一天：{text}", f"there is no such day: {text}") from None
    if not FIRST_DAY <= found <= LAST_DAY:
        first, last = FIRST_DAY.year, LAST_DAY.year
        raise CellError(f"日期应在 {first} 至 {last} 年之间：{text}", f"outside the years {first} to {last}: {text}")
    return found


def _china_moment(day: date, time: str) -> datetime:
    found = _TIME.fullmatch(time)
    if found is None:
        raise CellError("无法识别的时间，请写成 2024-01-05 13:30:00", "not a time: write 2024-01-05 13:30:00")
    zone = (found[4] or "").replace("Z", "+00:00")
    iso = f"{day.isoformat()}T{int(found[1]):02}:{found[2]}:{found[3] or '00'}{zone}"
    try:
        moment = datetime.fromisoformat(iso)
        return moment.astimezone(CHINA) if moment.tzinfo else moment.replace(tzinfo=CHINA)
    except (ValueError, OverflowError):
        raise CellError("没有这样的时间", "there is no such time") from None


def _timestamp(text: str) -> datetime | None:
    narrow = _narrow(text)
    if narrow.lower() in NOTHING:
        return None
    parts = _YMD.fullmatch(narrow)
    if parts is None or not parts[6]:
        raise CellError("无法识别的时间，请写成 2024-01-05 13:30:00", "not a time: write 2024-01-05 13:30:00")
    return _china_moment(_calendar(text, parts[1], parts[3], parts[5]), parts[6]).astimezone(UTC)


def _plain_number(text: str) -> str | None:
    narrow = _narrow(text)
    if narrow.lower() in NOTHING:
        return None
    narrow = narrow.lstrip("¥").strip()
    if _THOUSANDS.fullmatch(narrow):
        narrow = narrow.replace(",", "")
    if _NUMBER.fullmatch(narrow):
        return narrow
    if narrow[-1:] in "元%":
        raise CellError("只填数字，不要带单位", "write the number alone, without a unit")
    raise CellError("不是数字", "not a number")


def _decimal(text: str) -> Decimal | None:
    number = _plain_number(text)
    if number is None:
        return None
    try:
        value: Decimal = TYPES["decimal"].from_text(number)
    except ValueError as error:
        raise CellError("数字过大，或小数位超过 6 位", str(error)) from None
    return value


def _long(text: str) -> int | None:
    number = _plain_number(text)
    if number is None:
        return None
    whole, _, fraction = number.partition(".")
    if fraction.strip("0") or len(whole) > 20 or not -INT64 <= (value := int(whole or "0")) < INT64:
        raise CellError("不是整数，或超出范围", "not a whole number, or out of range")
    return value


def _boolean(text: str) -> bool | None:
    narrow = _narrow(text)
    if narrow.lower() in NOTHING:
        return None
    try:
        value: bool = TYPES["boolean"].from_text(narrow)
    except ValueError:
        raise CellError("请填写“是”或“否”", "write 是 or 否 (true or false)") from None
    return value


#: By catalog type; a type that the catalog adds needs its row here, and a test says so.
_READERS: dict[str, Callable[[str], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "long": _long,
    "date": _date,
    "timestamp": _timestamp,
    "decimal": _decimal,
}
