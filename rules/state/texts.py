"""Records as the state is told of them: texts by column, made of a batch of columns or of single records alike.

Numbers and days are written as whole numbers, so that a column may hold days for which Python has no date.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash  # noqa: F401 (adds Expr.chash and Expr.nchash)
import xxhash

from rules.expr import Expression
from rules.lifecycle import days
from rules.state.definitions import Index, Question, StatePlan
from rules.text import WHITESPACE
from schemas.ordering import order_key, order_text
from schemas.types import DECIMAL_SCALE

#: Between the parts of a key; no white space, which the normal form leaves out.
SEPARATOR = "\x01"
#: Bytes of an identity or a value; of a longer one its hash is kept.
LONGEST = 300

_OPENING = "〔［【〖〈《「『｛{[<"
_CLOSING = "〕］】〗〉》」』｝}]>"
_BRACKETS = dict(zip(_OPENING + _CLOSING, "(" * len(_OPENING) + ")" * len(_CLOSING), strict=True))
_ROW_BRACKETS = str.maketrans(_BRACKETS)
_ROW_SPACE = re.compile("[" + re.escape(WHITESPACE) + "]+")
_REPLACED = [*_BRACKETS, *WHITESPACE]
_REPLACEMENTS = [*_BRACKETS.values(), *[""] * len(WHITESPACE)]
#: Text of these alone is in NFKC: ASCII, ideographs, and punctuation that neither decomposes nor combines.
STABLE = r"\x00-\x7F\u4E00-\u9FFF、。〈-】〔-〗·—“”‘’"
_MAY_CHANGE = f"[^{STABLE}]"
#: Text of these alone is its own normal form, as most is.
_ROW_AS_IT_IS = re.compile(r"[0-9A-Za-z\u4E00-\u9FFF、。·—“”‘’_.|/-]*").fullmatch
#: Eight buckets a doubling.
_STEPS = 8
#: Fewer numbers than these are counted sooner one by one.
_FEW = 50


def loose(text: str) -> str:
    """The normal form of a name or number: width (NFKC), kind of bracket and spaces make no difference."""
    if _ROW_AS_IT_IS(text):
        return text
    return _ROW_SPACE.sub("", unicodedata.normalize("NFKC", text).translate(_ROW_BRACKETS))


def loose_series(texts: pl.Series) -> pl.Series:
    """:func:`loose` of a column; nulls stay null. Most texts are in NFKC already, and seen to be so much sooner."""
    doubtful = texts.str.contains(_MAY_CHANGE).arg_true()
    if len(doubtful):
        # A copy: scatter changes the series that it is called on.
        texts = texts.clone().scatter(doubtful, texts.gather(doubtful).str.normalize("NFKC"))
    return texts.str.replace_many(_REPLACED, _REPLACEMENTS)


def buckets(numbers: npt.NDArray[np.float64]) -> dict[int, int]:
    """How many numbers are in each bucket, of which there are eight for each doubling; those not above 0 in none."""
    if len(numbers) < _FEW:
        return dict(Counter(math.floor(math.log2(number) * _STEPS) for number in numbers.tolist() if number > 0))
    where, counts = np.unique(np.floor(np.log2(numbers[numbers > 0]) * _STEPS).astype(np.int64), return_counts=True)
    return dict(zip(where.tolist(), counts.tolist(), strict=True))


def bucket_end(number: int) -> float:
    """The upper end of a bucket."""
    return float(2.0 ** ((number + 1) / _STEPS))


@dataclass(slots=True)
class _Group:
    """Texts that are made of the same rows: of those for which *where* is true, or of all."""

    where: pl.Expr | None
    #: What stands for equal questions once: the place of each in ``made``.
    known: dict[Any, int] = field(default_factory=dict)
    made: list[pl.Expr] = field(default_factory=list)
    #: Keys whose normal form is looked at: columns of their own, for it takes long to make.
    loose: dict[str, pl.Expr] = field(default_factory=dict)

    def place(self, what: Any, expression: Callable[[], pl.Expr]) -> int:
        if what not in self.known:
            self.known[what] = len(self.made)
            self.made.append(expression().alias(str(len(self.made))))
        return self.known[what]

    def columns(self, frame: pl.DataFrame) -> list[pl.Series]:
        """The texts; "" in rows for which *where* is not true."""
        if self.where is None:
            return self._columns(frame)
        chosen = frame.select(self.where.fill_null(False)).to_series()
        nothing = pl.Series("", [""], dtype=pl.String).new_from_index(0, frame.height)
        if not chosen.any():
            return [nothing] * len(self.made)
        rows = chosen.arg_true()
        # A copy of each: scatter changes the series that it is called on.
        return [nothing.clone().scatter(rows, column) for column in self._columns(frame[rows])]

    def _columns(self, frame: pl.DataFrame) -> list[pl.Series]:
        if self.loose:
            texts = frame.select(text.alias(name) for name, text in self.loose.items())
            frame = frame.with_columns(loose_series(text) for text in texts.iter_columns())
        return _bounded(frame.select(self.made)).get_columns()


class TextMaker:
    """Makes the texts of a plan. Use an instance from one thread at a time."""

    def __init__(self, plan: StatePlan) -> None:
        self._plan = plan
        self._dataset = plan.dataset
        self._where = {
            index: Expression.compile(index.where, plan.dataset, key="where") for index in plan.indexes if index.where
        }
        self._compiled: tuple[date, list[_Group], list[tuple[int, int]]] | None = None

    def columns(self, frame: pl.DataFrame, offsets: Sequence[int], today: date) -> pl.DataFrame:
        """The texts of a batch; row i of *frame* is the message at ``offsets[i]``."""
        if self._compiled is None or self._compiled[0] != today:
            self._compiled = (today, *self._expressions(today))
        _, groups, places = self._compiled
        placed = frame.with_columns(pl.Series("source_offset", offsets, dtype=pl.Int64))
        made = [group.columns(placed) for group in groups]
        return pl.DataFrame([made[group][place].alias(str(number)) for number, (group, place) in enumerate(places)])

    def rows(self, records: Sequence[Mapping[str, Any]], offsets: Sequence[int], today: date) -> list[tuple[str, ...]]:
        """The same of single records."""
        return [self._row(record, offset, today) for record, offset in zip(records, offsets, strict=True)]

    def _expressions(self, today: date) -> tuple[list[_Group], list[tuple[int, int]]]:
        """What is computed, and for each column the group and the place in it."""
        plan = self._plan
        alive = ~pl.col("deleted")
        groups = {"": _Group(None)}

        def pair(index: Index, keys: tuple[str, ...], value: str, where: str) -> list[tuple[int, int]]:
            if where not in groups:
                groups[where] = _Group(alive & self._where[index].columns(today))
            group, number = groups[where], list(groups).index(where)
            key = group.place(
                (keys, index.loose, index.blanks), lambda: _or_empty(alive, self._key(index, keys, group))
            )
            said = group.place((value,), lambda: _or_empty(alive, self._text(value)) if value else pl.lit(""))
            return [(number, key), (number, said)]

        whole = groups[""]
        places = [
            (0, whole.place("identity", lambda: pl.concat_str(_there("unit"), pl.lit("|"), _there("record_id")))),
            (0, whole.place("order", order_key)),
            (0, whole.place("offset", lambda: pl.col("source_offset").cast(pl.String))),
        ]
        for index in plan.indexes:
            places += pair(index, index.keys, index.value, index.where)
        for question in plan.questions:
            where = question.index.where if self._asks_own(question) else ""
            places += pair(question.index, question.keys, question.value, where)
        return list(groups.values()), places

    def _key(self, index: Index, names: tuple[str, ...], group: _Group) -> pl.Expr:
        """The key of *names* as *index* has it; null or "" where there is none."""
        if index.blanks:
            hashed: Any = pl.concat_str([self._text(name) for name in names], separator=SEPARATOR)
            return cast("pl.Expr", hashed.nchash.xxh3_128().cast(pl.String))
        key = pl.concat_str([self._text(name, blank=False) for name in names], separator=SEPARATOR)
        if index.loose:
            name = f"loose {SEPARATOR.join(names)}"
            group.loose[name] = key
            key = pl.col(name)
            missing = key.str.starts_with(SEPARATOR) | key.str.ends_with(SEPARATOR)
            key = pl.when(~(missing | key.str.contains(SEPARATOR * 2, literal=True))).then(key)
        return key

    def _text(self, name: str, *, blank: bool = True) -> pl.Expr:
        """The text of a field; null where it is empty unless *blank*."""
        column = pl.col(name)
        kind = self._dataset.by_name[name].type
        if kind == "string":
            return column.fill_null("") if blank else pl.when(column.str.strip_chars(WHITESPACE) != "").then(column)
        text = column.to_physical().cast(pl.String) if kind in ("date", "timestamp") else column.cast(pl.String)
        return text.fill_null("") if blank else text

    def _row(self, record: Mapping[str, Any], offset: int, today: date) -> tuple[str, ...]:
        unit, record_id = record.get("unit") or "", record.get("record_id") or ""
        made = [bounded(f"{unit}|{record_id}"), order_text(record.get("version") or 0, offset), str(offset)]
        pairs, keys, wheres = self._row_plan
        if record["deleted"]:
            return (*made, *("", "") * len(pairs))
        inside = [where is None or self._holds(where, record, today) for where in wheres]
        texts: list[str | None] = [None] * len(keys)
        for key, where, value in pairs:
            if not inside[where]:
                made += ("", "")
                continue
            text = texts[key]
            if text is None:
                text = texts[key] = self._row_key(record, *keys[key])
            made += (text, bounded(self._row_text[value](record.get(value))) if value else "")
        return tuple(made)

    @cached_property
    def _row_plan(self) -> tuple[list[tuple[int, int, str]], list[tuple[Index, tuple[str, ...]]], list[Index | None]]:
        """For each pair of columns its key, its condition and its value; the different keys; the conditions."""
        asked: list[tuple[Index, tuple[str, ...], str, Index | None]] = [
            (index, index.keys, index.value, index if index.where else None) for index in self._plan.indexes
        ]
        for question in self._plan.questions:
            index = question.index
            where = index if index.where and self._asks_own(question) else None
            asked.append((index, question.keys, question.value, where))
        keys = {(names, index.loose, index.blanks): (index, names) for index, names, _, _ in asked}
        places = {key: place for place, key in enumerate(keys)}
        wheres = list(dict.fromkeys(where for _, _, _, where in asked))
        pairs = [
            (places[names, index.loose, index.blanks], wheres.index(where), value)
            for index, names, value, where in asked
        ]
        return pairs, list(keys.values()), wheres

    def _holds(self, index: Index, record: Mapping[str, Any], today: date) -> bool:
        """Whether the index's condition holds for a record of its dataset."""
        where = self._where[index]
        return where.row([record.get(name) for name in where.fields], today) is True

    def _asks_own(self, question: Question) -> bool:
        """Whether records ask about the very key under which they stand: those that do not stand there find nobody."""
        return question.index.dataset == self._dataset.code and question.keys == question.index.keys

    def _row_key(self, record: Mapping[str, Any], index: Index, keys: tuple[str, ...]) -> str:
        parts = [self._row_text[name](record.get(name)) for name in keys]
        if index.blanks:
            return str(xxhash.xxh3_128_intdigest(_bytes(SEPARATOR.join(parts))))
        if index.loose:
            parts = [loose(part) for part in parts]
        for part in parts:
            if not part or part.isspace():
                return ""
        return bounded(SEPARATOR.join(parts))

    @cached_property
    def _row_text(self) -> dict[str, Callable[[Any], str]]:
        texts = {"string": _plain, "date": _day, "timestamp": _moment, "decimal": _decimal}
        return {field.name: texts.get(field.type, _other) for field in self._dataset.fields}


def bounded(text: str) -> str:
    """*text*, or its hash where it is longer than LONGEST bytes."""
    if len(text) <= LONGEST // 4:
        return text
    encoded = _bytes(text)
    return text if len(encoded) <= LONGEST else hashlib.sha256(encoded).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _there(name: str) -> pl.Expr:
    return pl.col(name).fill_null("")


def _or_empty(wanted: pl.Expr, text: pl.Expr) -> pl.Expr:
    return pl.when(wanted).then(text).otherwise(pl.lit("")).fill_null("")


def _bounded(made: pl.DataFrame) -> pl.DataFrame:
    """:func:`bounded` of every column; one look at all of them finds those that have to be touched."""
    longest = made.select(pl.all().str.len_bytes().max()).row(0)
    hashed: Any
    for name, length in zip(made.columns, longest, strict=True):
        if length is not None and length > LONGEST:
            hashed = pl.col(name).chash  # type: ignore[attr-defined]
            chosen = pl.when(pl.col(name).str.len_bytes() > LONGEST).then(hashed.sha2_256()).otherwise(name)
            made = made.with_columns(chosen.alias(name))
    return made


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
