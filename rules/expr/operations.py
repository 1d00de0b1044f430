"""What each operation means: to the values of one record, and beside it to columns of them.

Both give the same result. An operation is asked only about values that are there; nothing in, nothing out. It never
fails: what has no result (a quotient by zero, a number too large, a day beyond the calendar) is nothing too.
Amounts are millionths in whole numbers (:data:`rules.expr.tree.Type.DECIMAL`).
"""

from __future__ import annotations

import operator
from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import re2

from rules.expr.tree import Type
from rules.identifiers import WIDTH, id_number_fails, id_number_is_valid, uscc_fails, uscc_is_valid
from rules.strings import Bytes, Mask, StringColumn
from rules.workdays import china

MILLION = 10**6
_INT_BOUND = 1 << 63
_DECIMAL_BOUND = 10**18
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY, _LAST_DAY = 1 - _EPOCH_DAY, date.max.toordinal() - _EPOCH_DAY
_CHINA_MS = 8 * 3_600_000
_DAY_MS = 86_400_000
_INT, _DECIMAL, _DATE, _TEXT = Type.INT.polars, Type.DECIMAL.polars, Type.DATE.polars, Type.TEXT.polars
#: Polars does not negate 128 bits.
_ZERO = pl.lit(0, pl.Int128())


@dataclass(frozen=True, slots=True)
class Operation:
    """``row`` takes the values of the arguments, ``columns`` their expressions."""

    row: Callable[..., Any]
    columns: Callable[..., pl.Expr]


def once(function: Callable[..., pl.Expr], dtype: pl.DataType) -> Callable[..., pl.Expr]:
    """*function* of expressions, to which each argument is handed as a column that has been computed already.

    A function that names an argument twice would otherwise double the work, and its own description, at each level of
    an expression: a few levels fill any memory.
    """

    def columns(*arguments: pl.Expr) -> pl.Expr:
        def compute(series: Sequence[pl.Series]) -> pl.Series:
            lengths = {len(one) for one in series} - {1}
            length = lengths.pop() if lengths else 1
            whole = (one if len(one) == length else one.new_from_index(0, length) for one in series)
            frame = pl.DataFrame({str(at): one for at, one in enumerate(whole)})
            return frame.select(function(*map(pl.col, frame.columns)).cast(dtype)).to_series()

        return pl.map_batches(list(arguments), compute, return_dtype=dtype)

    return columns


def _wide(column: pl.Expr) -> pl.Expr:
    return column.cast(pl.Int128())


def _within(value: int, bound: int) -> bool:
    return -bound < value < bound


def _within_columns(column: pl.Expr, bound: int) -> pl.Expr:
    return column.is_between(pl.lit(-bound, pl.Int128()), pl.lit(bound, pl.Int128()), closed="none")


def _arithmetic(
    row: Callable[[int, int], int | None], columns: Callable[[pl.Expr, pl.Expr], pl.Expr], bound: int
) -> Operation:
    """Numbers within the bound in, a number within it or nothing out."""

    def one(left: int, right: int) -> int | None:
        if not (_within(left, bound) and _within(right, bound)):
            return None
        result = row(left, right)
        return result if result is not None and _within(result, bound) else None

    def many(left: pl.Expr, right: pl.Expr) -> pl.Expr:
        left, right = _wide(left), _wide(right)
        result = columns(left, right)
        sound = _within_columns(left, bound) & _within_columns(right, bound) & _within_columns(result, bound)
        return pl.when(sound).then(result)

    return Operation(one, once(many, _INT if bound == _INT_BOUND else _DECIMAL))


def _divided(left: int, right: int) -> int | None:
    """The quotient without its fraction, as in CEL."""
    if right == 0:
        return None
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _divided_columns(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    quotient = left.abs() // right.abs()
    return pl.when((left < 0) == (right < 0)).then(quotient).otherwise(_ZERO - quotient)


def _remainder(left: int, right: int) -> int | None:
    quotient = _divided(left, right)
    return None if quotient is None else left - quotient * right


def _remainder_columns(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    return left - _divided_columns(left, right) * right


def _moved(day: date, days: int) -> date | None:
    ordinal = day.toordinal() + days
    return date.fromordinal(ordinal) if 1 <= ordinal <= date.max.toordinal() else None


def _day_columns(days: pl.Expr) -> pl.Expr:
    """Dates of days since 1970; nothing where Python has no such date."""
    return pl.when(days.is_between(_FIRST_DAY, _LAST_DAY)).then(days).cast(pl.Int32()).cast(pl.Date())


def _moved_columns(day: pl.Expr, days: pl.Expr) -> pl.Expr:
    return _day_columns(_wide(day.to_physical()) + _wide(days))


def _months_later(day: date, months: int) -> date | None:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not date.min.year <= year <= date.max.year:
        return None
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _months_later_columns(day: pl.Expr, months: pl.Expr) -> pl.Expr:
    moved = day.dt.offset_by(months.cast(pl.String()) + "mo")
    return _day_columns(moved.to_physical())


def _china_day(moment: datetime) -> date | None:
    ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    return _moved(date(1970, 1, 1), (ms + _CHINA_MS) // _DAY_MS)


def _china_day_columns(moment: pl.Expr) -> pl.Expr:
    return _day_columns((moment.to_physical() + _CHINA_MS) // _DAY_MS)


def _region(code: str) -> str | None:
    found = code[2:8]
    return found if len(code) == WIDTH and found.isascii() and found.isdigit() else None


def _region_columns(code: pl.Expr) -> pl.Expr:
    found = code.str.slice(2, 6)
    return pl.when((code.str.len_chars() == WIDTH) & found.str.contains(r"\A[0-9]{6}\z")).then(found)


def _in_list_columns(text: pl.Expr, texts: pl.Expr) -> pl.Expr:
    return pl.when(text.is_not_null()).then(texts.list.contains(text))


def _valid(fails: Callable[[Bytes], Mask], strings: pl.Series) -> pl.Series:
    outcome = pl.Series(~StringColumn(strings).failing(WIDTH, fails))
    return pl.select(pl.when(strings.is_not_null()).then(outcome)).to_series().alias(strings.name)


def _uscc_columns(code: pl.Expr) -> pl.Expr:
    return code.map_batches(partial(_valid, uscc_fails), return_dtype=pl.Boolean(), is_elementwise=True)


def id_number_columns(number: pl.Expr, today: date) -> pl.Expr:
    """Whether identity numbers are valid as of *today*."""
    fails = partial(_valid, partial(id_number_fails, today=today))
    return number.map_batches(fails, return_dtype=pl.Boolean(), is_elementwise=True)


def _workdays_columns(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    return china().through_column(end) - china().through_column(start)


def matching(pattern: str) -> Operation:
    """Whether the pattern (as from :func:`rules.regex.with_anchors`) is found in a text; takes linear time."""
    search = re2.compile(pattern).search
    return Operation(lambda text: search(text) is not None, lambda text: text.str.contains(pattern))


def among(constants: tuple[Any, ...], dtype: pl.DataType) -> Operation:
    """Whether a value is one of the constants."""
    values = frozenset(constants)
    series = pl.Series(constants, dtype=dtype)
    return Operation(values.__contains__, lambda value: value.is_in(series.implode()))


def _as_int(column: pl.Expr) -> pl.Expr:
    return column.cast(pl.Int64())


def _compared(compare: Callable[[Any, Any], Any]) -> Operation:
    return Operation(compare, compare)


OPERATIONS: dict[str, Operation] = {
    "eq": _compared(operator.eq),
    "ne": _compared(operator.ne),
    "lt": _compared(operator.lt),
    "le": _compared(operator.le),
    "gt": _compared(operator.gt),
    "ge": _compared(operator.ge),
    "not": Operation(operator.not_, operator.invert),
    "widen": Operation(lambda value: value * MILLION, lambda value: _wide(value) * MILLION),
    "add_int": _arithmetic(operator.add, operator.add, _INT_BOUND),
    "sub_int": _arithmetic(operator.sub, operator.sub, _INT_BOUND),
    "mul_int": _arithmetic(operator.mul, operator.mul, _INT_BOUND),
    "div_int": _arithmetic(_divided, _divided_columns, _INT_BOUND),
    "mod_int": _arithmetic(_remainder, _remainder_columns, _INT_BOUND),
    "add_decimal": _arithmetic(operator.add, operator.add, _DECIMAL_BOUND),
    "sub_decimal": _arithmetic(operator.sub, operator.sub, _DECIMAL_BOUND),
    "mul_decimal": _arithmetic(
        lambda left, right: _divided(left * right, MILLION),
        lambda left, right: _divided_columns(left * right, pl.lit(MILLION, pl.Int128())),
        _DECIMAL_BOUND,
    ),
    "div_decimal": _arithmetic(
        lambda left, right: _divided(left * MILLION, right),
        lambda left, right: _divided_columns(left * MILLION, right),
        _DECIMAL_BOUND,
    ),
    "add_text": _compared(operator.add),
    "day_plus": Operation(_moved, once(_moved_columns, _DATE)),
    "day_minus": Operation(
        lambda day, days: _moved(day, -days), once(lambda day, days: _moved_columns(day, _ZERO - _wide(days)), _DATE)
    ),
    "days_between": Operation(
        lambda end, start: (end - start).days,
        lambda end, start: _as_int(end.to_physical()) - _as_int(start.to_physical()),
    ),
    "plus_months": Operation(_months_later, once(_months_later_columns, _DATE)),
    "china_day": Operation(_china_day, once(_china_day_columns, _DATE)),
    "year": Operation(lambda day: day.year, lambda day: _as_int(day.dt.year())),
    "month": Operation(lambda day: day.month, lambda day: _as_int(day.dt.month())),
    "day": Operation(lambda day: day.day, lambda day: _as_int(day.dt.day())),
    "size_text": Operation(len, lambda text: _as_int(text.str.len_chars())),
    "size_list": Operation(len, lambda texts: _as_int(texts.list.len())),
    "starts_with": Operation(str.startswith, lambda text, part: text.str.starts_with(part)),
    "ends_with": Operation(str.endswith, lambda text, part: text.str.ends_with(part)),
    "contains": Operation(operator.contains, lambda text, part: text.str.contains(part, literal=True)),
    "split": Operation(str.split, lambda text, separator: text.str.split(separator)),
    "in_list": Operation(lambda text, texts: text in texts, once(_in_list_columns, Type.BOOL.polars)),
    "uscc": Operation(uscc_is_valid, _uscc_columns),
    "region": Operation(_region, once(_region_columns, _TEXT)),
    "workdays": Operation(lambda start, end: china().between(start, end), _workdays_columns),
}
#: Whether an identity number is valid depends on the day; columns are made for one by :func:`id_number_columns`.
ID_NUMBER_ROW: Callable[[str, date], bool] = id_number_is_valid
