"""What is kept of accepted records, and what can be asked about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, lru_cache
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from schemas.catalog import Dataset

#: Raised when the meaning of what is kept changes: every index is then built anew.
LAYOUT = 1

#: What a question asks about the holders of its key, and what is found when it is answered with a violation:
#:
#: ``known``   nobody holds it (found: nothing)
#: ``agrees``  somebody does, but nobody with this value (found: the values of the newest holders)
#: ``first``   another record holds it since before (found: that record)
#: ``clear``   somebody other than the record itself holds it (found: the first of them)
Mode = Literal["known", "agrees", "first", "clear"]

#: What may change an answer that a record waits for: ``+`` somebody comes or brings another value, ``-`` somebody goes.
Event = Literal["+", "-"]
#: The event by which a flagged record may come clear.
CLEARED_BY: dict[Mode, Event] = {"known": "+", "agrees": "+", "first": "-", "clear": "-"}


@lru_cache(maxsize=4096)
def _digest(*parts: Any) -> str:
    return hashlib.sha256(orjson.dumps([LAYOUT, *parts])).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Index:
    """The current accepted records of *dataset* by the texts of *keys*, with the text of *value* beside them.

    Only records for which *where* (an expression; "" is always) is true are in it, and none that is withdrawn. With
    *blanks* empty fields are part of the key; otherwise a record without one of them is left out. *loose* compares
    keys in their normal form (``rules.state.texts``).
    """

    dataset: str
    keys: tuple[str, ...]
    value: str = ""
    where: str = ""
    blanks: bool = False
    loose: bool = False

    @property
    def id(self) -> str:
        """Eight hex digits: another meaning has another id, so that what is kept can never be misread."""
        return _digest("index", self.dataset, self.keys, self.value, self.where, self.blanks, self.loose)


@dataclass(frozen=True, slots=True)
class Question:
    """What a rule wants to know about the record's *keys* (fields, in the order of the index's) and *value*."""

    index: Index
    mode: Mode
    keys: tuple[str, ...]
    value: str = ""

    @property
    def name(self) -> str:
        """The name under which a record carries the answer; no field can be called so."""
        # Only where values are compared does it matter which one the index has.
        index = self.index if self.mode == "agrees" else replace(self.index, value="")
        return f"@{self.mode}.{index.id}.{_digest(self.keys, self.value)}"


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a number of *dataset* is distributed: beyond *times* the *quantile* of the last *days* days is unusual.

    The days before the one of judgement count, so that a verdict does not depend on what else comes that day; nothing
    is unusual before there were *least* records.
    """

    dataset: str
    field: str
    days: int
    quantile: float
    times: float
    least: int

    @property
    def id(self) -> str:
        """Eight hex digits of what is counted; what is asked of it may change freely."""
        return _digest("distribution", self.dataset, self.field)

    @property
    def name(self) -> str:
        """The name under which a record carries the answer."""
        return f"@usual.{self.id}.{_digest(self.days, self.quantile, self.times, self.least)}"


#: Of a question the id of its index, the mode, whether it asks about records of the same dataset, and the event by
#: which a flagged record comes clear, None where nobody waits.
Asked = tuple[str, Mode, bool, Event | None]


@dataclass(frozen=True)
class StatePlan:
    """What is told and asked for each record of a dataset under one rule set.

    Records flagged by a question that is in *waiting* are judged again when the answer may have changed.
    """

    dataset: Dataset
    indexes: tuple[Index, ...] = ()
    questions: tuple[Question, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    waiting: frozenset[Question] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.indexes or self.questions or self.distributions)

    @cached_property
    def index_ids(self) -> tuple[str, ...]:
        """The id of each index."""
        return tuple(index.id for index in self.indexes)

    @cached_property
    def question_names(self) -> tuple[str, ...]:
        """The name of each question."""
        return tuple(question.name for question in self.questions)

    @cached_property
    def asked(self) -> tuple[Asked, ...]:
        """Each question."""
        return tuple(
            (
                question.index.id,
                question.mode,
                question.index.dataset == self.dataset.code,
                CLEARED_BY[question.mode] if question in self.waiting else None,
            )
            for question in self.questions
        )

    @cached_property
    def index_only(self) -> StatePlan:
        """The same without questions: for building an index from what was accepted before."""
        return StatePlan(self.dataset, self.indexes)


@dataclass(frozen=True, slots=True)
class Texts:
    """A row for each record: identity, order, offset, then key and value of each index, then of each question.

    "" for a key says that there is none. What is the same column for all records stands once in ``columns``, and
    ``places`` says of each in that order which of them it is. Columns of a frame, or a tuple each where there are few.
    """

    columns: pl.DataFrame | Sequence[tuple[str, ...]]
    places: Sequence[int]

    def __len__(self) -> int:
        return self.columns.height if isinstance(self.columns, pl.DataFrame) else len(self.columns[0])

    def __getitem__(self, rows: slice | Sequence[int] | npt.NDArray[np.int64]) -> Texts:
        """The same of some rows."""
        columns = self.columns
        if isinstance(columns, pl.DataFrame):
            return Texts(columns[rows], self.places)
        if isinstance(rows, slice):
            return Texts([column[rows] for column in columns], self.places)
        return Texts([tuple(map(column.__getitem__, rows)) for column in columns], self.places)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Every row, with each of its columns."""
        columns = self.columns
        held = columns.rows() if isinstance(columns, pl.DataFrame) else zip(*columns, strict=True)
        for row in held:
            yield tuple(map(row.__getitem__, self.places))


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked about *texts*, whose rows came from that partition of a report topic."""

    plan: StatePlan
    topic: str
    partition: int
    texts: Texts


#: An ask as the state wants it.
Packed = Any


@dataclass(frozen=True, slots=True)
class Replies:
    """*found*: row -> number of the question -> what was found, only where a question is answered with a violation.

    *stale* are rows of versions that a newer one has replaced.
    """

    found: Mapping[int, Mapping[int, tuple[str, ...]]] = field(default_factory=dict)
    stale: frozenset[int] = frozenset()


class StateSource(Protocol):
    """Whoever keeps the state. Blocking."""

    def ask(self, plan: StatePlan, topic: str, partition: int, texts: Texts, *, write: bool = True) -> Replies:
        """Ask and tell, row by row in order: each is told what those before it have changed.

        The rows came from that partition of the report topic. Without *write* nothing is changed and nobody waits.
        """
        ...

    def pack(self, ask: Ask, *, write: bool = True) -> Packed:
        """Make *ask* ready for :meth:`ask_all`: work that another thread may do, and that talks to nobody."""
        ...

    def ask_all(self, packed: Sequence[Packed]) -> list[Replies]:
        """The same as :meth:`ask` of several batches, one after the other, in as few round trips as can be."""
        ...

    def limits(self, distributions: Sequence[Distribution], today: date) -> Mapping[Distribution, float]:
        """Beyond what a number is unusual on *today*, the same all day; without those that nothing is known of yet."""
        ...

    def count(self, distribution: Distribution, today: date, buckets: Mapping[int, int]) -> None:
        """Add to the day's histogram: so many numbers in each bucket (``rules.state.texts.buckets``)."""
        ...
