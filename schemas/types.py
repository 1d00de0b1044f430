"""Every catalog type in one table: Avro, ClickHouse and Polars, and how text from a file becomes it.

A type is added by adding one row here; generic code reads the table and never asks for a type by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

DECIMAL_PRECISION = 18
DECIMAL_SCALE = 6
#: The days that a record may hold. ClickHouse's Date32 begins on the first; "for ever" is often written as the last,
#: and rules answer it.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9999, 12, 31)


def _text_to_boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"true", "1", "是", "y", "yes"}:
        return True
    if lowered in {"false", "0", "否", "n", "no"}:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _text_to_date(text: str) -> date:
    day = date.fromisoformat(text.strip())
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{text!r} lies outside the years {FIRST_DAY.year} to {LAST_DAY.year}")
    return day


def _text_to_timestamp(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text_to_decimal(text: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not value.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    if abs(value) >= Decimal(10) ** (DECIMAL_PRECISION - DECIMAL_SCALE):
        raise ValueError(f"{text!r} has more than {DECIMAL_PRECISION - DECIMAL_SCALE} digits before the point")
    if value != round(value, DECIMAL_SCALE):
        raise ValueError(f"{text!r} has more than {DECIMAL_SCALE} digits after the point")
    return value


@dataclass(frozen=True, slots=True)
class FieldType:
    """How one catalog type looks in every system that Zhida talks to.

    ``avro`` is the Avro type (not yet nullable), ``clickhouse`` the column type (not yet nullable), ``polars`` the
    data type of a decoded column, ``from_text`` parses what a file holds and raises ValueError with a reason.
    """

    name: str
    avro: Any
    clickhouse: str
    polars: pl.DataType
    from_text: Callable[[str], Any]


TYPES: dict[str, FieldType] = {
    kind.name: kind
    for kind in (
        FieldType("string", "string", "String", pl.String(), str),
        FieldType("boolean", "boolean", "Bool", pl.Boolean(), _text_to_boolean),
        FieldType("long", "long", "Int64", pl.Int64(), int),
        FieldType("date", {"type": "int", "logicalType": "date"}, "Date32", pl.Date(), _text_to_date),
        FieldType(
            "timestamp",
            {"type": "long", "logicalType": "timestamp-millis"},
            "DateTime64(3, 'UTC')",
            pl.Datetime("ms", "UTC"),
            _text_to_timestamp,
        ),
        FieldType(
            "decimal",
            {
                "type": "bytes",
                "logicalType": "decimal",
                "precision": DECIMAL_PRECISION,
                "scale": DECIMAL_SCALE,
            },
            f"Decimal({DECIMAL_PRECISION}, {DECIMAL_SCALE})",
            pl.Decimal(DECIMAL_PRECISION, DECIMAL_SCALE),
            _text_to_decimal,
        ),
    )
}
