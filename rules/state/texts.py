"""Records as the state is told of them: texts by column, made of a batch of columns or of single records alike.

Numbers and days are written as whole numbers, so that a column may hold days for which Python has no date.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl
import polars_hash  # noqa: F401 (adds Expr.chash)

from rules.expr import Expression
from rules.lifecycle import days
from rules.state.definitions import Distribution, Index, StatePlan
from rules.text import WHITESPACE
from schemas.ordering import order_key, order_text
from schemas.types import DECIMAL_SCALE

#: Between the parts of a key.
SEPARATOR = "\x1f"
#: Bytes of an identity or a value; of a longer one its hash is kept.
LONGEST = 300

_OPENING = "〔［【〖〈《「『｛{[<"
_CLOSING = "〕］】〗〉》」』｝}]>"
_BRACKETS = dict(zip(_OPENING + _CLOSING, "(" * len(_OPENING) + ")" * len(_CLOSING), strict=True))
_ROW_BRACKETS = str.maketrans(_BRACKETS)
_SPACE = "[" + re.escape(WHITESPACE) + "]+"
_ROW_SPACE = re.compile(_SPACE)
#: Eight buckets a doubling.
_STEPS = 8


def loose(text: str) -> str:
    """The normal form of a name or number: width (NFKC), kind of bracket and spaces make no difference."""
    return _ROW_SPACE.sub("", unicodedata.normalize("NFKC", text).translate(_ROW_BRACKETS))


def loose_columns(texts: pl.Expr) -> pl.Expr:
    """:func:`loose` of a column."""
    normal = texts.str.normalize("NFKC").str.replace_many(list(_BRACKETS), list(_BRACKETS.values()))
    return normal.str.replace_all(_SPACE, "")


def bucket(number: float | Decimal) -> int | None:
    """The bucket of a number: eight for each doubling; None for what is not above 0."""
    return math.floor(math.log2(number) * _STEPS) if number > 0 else None


def bucket_end(number: int) -> float:
    """The upper end of a bucket."""
    return float(2.0 ** ((number + 1) / _STEPS))


class TextMaker:
    """Makes the texts of a plan. Use an instance from one thread at a time."""

    def __init__(self, plan: StatePlan) -> None:
        self._plan = plan
        self._dataset = plan.dataset
        self._where = {
            index: Expression.compile(index.where, plan.dataset, key="where") for index in plan.indexes if index.where
        }
        self._compiled: tuple[date, list[pl.Expr]] | None = None

    def columns(self, frame: pl.DataFrame, offsets: Sequence[int], today: date) -> pl.DataFrame:
        """The texts of a batch; row i of *frame* is the message at ``offsets[i]``."""
        if self._compiled is None or self._compiled[0] != today:
            self._compiled = (today, self._expressions(today))
        placed = frame.with_columns(pl.Series("source_offset", offsets, dtype=pl.Int64))
        made = placed.select(self._compiled[1])
        return pl.DataFrame([_bounded(column) for column in made.iter_columns()])

    def rows(self, records: Sequence[Mapping[str, Any]], offsets: Sequence[int], today: date) -> list[tuple[str, ...]]:
        """The same of single records."""
        return [self._row(record, offset, today) for record, offset in zip(records, offsets, strict=True)]

    def numbers(self, distribution: Distribution, frame: pl.DataFrame) -> pl.Series:
        """What *distribution* counts, of each row; null where there is nothing to count."""
        return frame.get_column(distribution.field).cast(pl.Float64)

    def _expressions(self, today: date) -> list[pl.Expr]:
        plan = self._plan
        alive = ~pl.col("deleted")
        made = [
            pl.concat_str(pl.col("unit").fill_null(""), pl.lit("|"), pl.col("record_id").fill_null("")),
            order_key(),
            pl.col("source_offset").cast(pl.String),
        ]
        for index in plan.indexes:
            wanted = alive
            if index in self._where:
                wanted = wanted & self._where[index].columns(today).fill_null(False)
            made += self._pair(index, index.keys, index.value, wanted)
        for question in plan.questions:
            made += self._pair(question.index, question.keys, question.value, alive)
        return [expression.alias(str(number)) for number, expression in enumerate(made)]

    def _pair(self, index: Index, keys: tuple[str, ...], value: str, wanted: pl.Expr) -> list[pl.Expr]:
        parts = [self._text(name, index) for name in keys]
        key = pl.concat_str(parts, separator=SEPARATOR)  # null where a part is
        return [
            pl.when(wanted).then(key).otherwise(pl.lit("")).fill_null(""),
            pl.when(wanted).then(self._text(value, None)).otherwise(pl.lit("")).fill_null("") if value else pl.lit(""),
        ]

    def _text(self, name: str, index: Index | None) -> pl.Expr:
        """Null where the field is blank, unless blanks are part of the key."""
        column = pl.col(name)
        kind = self._dataset.by_name[name].type
        if kind == "string":
            text = loose_columns(column) if index is not None and index.loose else column
            if index is None or index.blanks:
                return text.fill_null("")
            return pl.when(text.str.strip_chars(WHITESPACE) != "").then(text)
        text = column.to_physical().cast(pl.String) if kind in ("date", "timestamp") else column.cast(pl.String)
        return text.fill_null("") if index is None or index.blanks else text

    def _row(self, record: Mapping[str, Any], offset: int, today: date) -> tuple[str, ...]:
        alive = not record["deleted"]
        unit, record_id = record.get("unit") or "", record.get("record_id") or ""
        made = [bounded(f"{unit}|{record_id}"), order_text(record.get("version") or 0, offset), str(offset)]
        for index in self._plan.indexes:
            wanted = alive
            if alive and (where := self._where.get(index)):
                wanted = where.row([record.get(name) for name in where.fields], today) is True
            made += self._row_pair(record, index, index.keys, index.value) if wanted else ("", "")
        for question in self._plan.questions:
            made += self._row_pair(record, question.index, question.keys, question.value) if alive else ("", "")
        return tuple(made)

    def _row_pair(self, record: Mapping[str, Any], index: Index, keys: tuple[str, ...], value: str) -> tuple[str, str]:
        parts = [self._row_text[name](record.get(name)) for name in keys]
        if index.loose:
            parts = [loose(part) for part in parts]
        if not index.blanks and not all(part and not part.isspace() for part in parts):
            return "", bounded(self._row_text[value](record.get(value))) if value else ""
        key = bounded(SEPARATOR.join(parts))
        return key, bounded(self._row_text[value](record.get(value))) if value else ""

    @cached_property
    def _row_text(self) -> dict[str, Callable[[Any], str]]:
        texts = {"string": _plain, "date": _day, "timestamp": _moment, "decimal": _decimal}
        return {field.name: texts.get(field.type, _other) for field in self._dataset.fields}


def bounded(text: str) -> str:
    """*text*, or its hash where it is longer than LONGEST bytes."""
    if len(text) <= LONGEST // 4:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    return text if len(encoded) <= LONGEST else hashlib.sha256(encoded).hexdigest()


def _bounded(column: pl.Series) -> pl.Series:
    lengths = column.str.len_bytes()
    longest = lengths.max()
    if not isinstance(longest, int) or longest <= LONGEST:
        return column
    hashed: Any = pl.col(column.name).chash  # type: ignore[attr-defined]
    chosen = pl.when(pl.col(column.name).str.len_bytes() > LONGEST).then(hashed.sha2_256()).otherwise(column.name)
    return column.to_frame().select(chosen.alias(column.name)).to_series()


def _plain(value: Any) -> str:
    return value or ""


def _day(value: date | None) -> str:
    return "" if value is None else str(days(value))


def _moment(value: datetime | None) -> str:
    return "" if value is None else str(round(value.timestamp() * 1000))


def _decimal(value: Decimal | None) -> str:
    return "" if value is None else f"{value:.{DECIMAL_SCALE}f}"


def _other(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
