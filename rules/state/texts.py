"""Records as the state is told of them: texts by column, made of a batch of columns or of single records alike.

Numbers and days are written as whole numbers, so that a column may hold days for which Python has no date.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash  # noqa: F401 (adds Expr.nchash)

from rules.expr import Expression
from rules.state.definitions import StatePlan, Texts
from rules.state.normal import bounded_columns, loose_series
from rules.state.rowtexts import RowTexts, compile_rows
from rules.state.wanted import IDENTITY, OFFSET, ORDER, SEPARATOR, Key, Value, Wanted, conditions, wanted_by
from rules.text import WHITESPACE
from schemas.ordering import order_key

#: Eight buckets a doubling.
_STEPS = 8
#: Fewer numbers than these are counted sooner one by one.
_FEW = 50


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
    made: list[pl.Expr] = field(default_factory=list)
    #: Keys whose normal form is looked at: columns of their own, for it takes long to make.
    loose: dict[str, pl.Expr] = field(default_factory=dict)

    def add(self, expression: pl.Expr) -> int:
        """The place of its texts among those of the group."""
        self.made.append(expression.alias(str(len(self.made))))
        return len(self.made) - 1

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
        return bounded_columns(frame.select(self.made)).get_columns()


class TextMaker:
    """Makes the texts of a plan. Use an instance from one thread at a time."""

    def __init__(self, plan: StatePlan) -> None:
        self._dataset = plan.dataset
        self._wanted, self._places = wanted_by(plan)
        self._where = {where: Expression.compile(where, plan.dataset, key="where") for where in conditions(plan)}
        self._compiled: tuple[date, list[_Group], list[tuple[int, int]]] | None = None

    def columns(self, frame: pl.DataFrame, offsets: Sequence[int], today: date) -> Texts:
        """The texts of a batch; row i of *frame* is the message at ``offsets[i]``."""
        if self._compiled is None or self._compiled[0] != today:
            self._compiled = (today, *self._expressions(today))
        _, groups, places = self._compiled
        placed = frame.with_columns(pl.Series("source_offset", offsets, dtype=pl.Int64))
        made = [group.columns(placed) for group in groups]
        columns = [made[group][place].alias(str(number)) for number, (group, place) in enumerate(places)]
        return Texts(pl.DataFrame(columns), self._places)

    def rows(self, records: Sequence[Mapping[str, Any]], offsets: Sequence[int], today: date) -> Texts:
        """The same of single records, which must hold every field that the plan names."""
        return Texts(self._row_texts(records, offsets, today), self._places)

    @cached_property
    def _row_texts(self) -> RowTexts:
        wheres = {where: (expression.fields, expression.row) for where, expression in self._where.items()}
        return compile_rows(self._dataset, self._wanted, wheres)

    def _expressions(self, today: date) -> tuple[list[_Group], list[tuple[int, int]]]:
        """What is computed, and for each column that is wanted the group and the place in it."""
        alive = ~pl.col("deleted")
        groups = {"": _Group(None)}
        groups |= {where: _Group(alive & expression.columns(today)) for where, expression in self._where.items()}
        numbers = {where: number for number, where in enumerate(groups)}
        places = []
        for wanted in self._wanted:
            where = wanted.where if isinstance(wanted, (Key, Value)) else ""
            places.append((numbers[where], groups[where].add(self._expression(wanted, alive, groups[where]))))
        return list(groups.values()), places

    def _expression(self, wanted: Wanted, alive: pl.Expr, group: _Group) -> pl.Expr:
        if isinstance(wanted, Key):
            return _or_empty(alive, self._key(wanted, group))
        if isinstance(wanted, Value):
            return _or_empty(alive, self._text(wanted.name)) if wanted.name else pl.lit("")
        return _OF_ALL[wanted]()

    def _key(self, wanted: Key, group: _Group) -> pl.Expr:
        """The key; null or "" where there is none."""
        if wanted.blanks:
            hashed: Any = pl.concat_str([self._text(name) for name in wanted.names], separator=SEPARATOR)
            return cast("pl.Expr", hashed.nchash.xxh3_128().cast(pl.String))
        key = pl.concat_str([self._text(name, blank=False) for name in wanted.names], separator=SEPARATOR)
        if wanted.loose:
            name = f"loose {SEPARATOR.join(wanted.names)}"
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


def _there(name: str) -> pl.Expr:
    return pl.col(name).fill_null("")


def _or_empty(wanted: pl.Expr, text: pl.Expr) -> pl.Expr:
    return pl.when(wanted).then(text).otherwise(pl.lit("")).fill_null("")


_OF_ALL: Mapping[str, Callable[[], pl.Expr]] = {
    IDENTITY: lambda: pl.concat_str(_there("unit"), pl.lit("|"), _there("record_id")),
    ORDER: order_key,
    OFFSET: lambda: pl.col("source_offset").cast(pl.String),
}
