"""Which texts the state wants of a dataset's records under a plan, each of them once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rules.state.definitions import Index, Question, StatePlan

#: Between the parts of a key; no white space, which the normal form leaves out.
SEPARATOR = "\x01"
IDENTITY, ORDER, OFFSET = "identity", "order", "offset"


@dataclass(frozen=True, slots=True)
class Key:
    """The key made of the fields *names* (see ``Index``), of records for which *where* is true; "" of others."""

    names: tuple[str, ...]
    loose: bool
    blanks: bool
    where: str = ""

    @property
    def bare(self) -> Key:
        """The same of all records."""
        return replace(self, where="")


@dataclass(frozen=True, slots=True)
class Value:
    """The text of the field *name* ("" where that is ""), of records for which *where* is true; "" of others."""

    name: str
    where: str = ""

    @property
    def bare(self) -> Value:
        """The same of all records."""
        return replace(self, where="")


#: A column of texts.
Wanted = str | Key | Value


def wanted_by(plan: StatePlan) -> tuple[list[Wanted], list[int]]:
    """The different columns, and for each column of ``Texts`` the place of the one that it is."""
    places: dict[Wanted, int] = {}
    named = [places.setdefault(one, len(places)) for one in _all(plan)]
    return list(places), named


def conditions(plan: StatePlan) -> list[str]:
    """The conditions of *plan*'s own indexes."""
    return list(dict.fromkeys(index.where for index in plan.indexes if index.where))


def _all(plan: StatePlan) -> Iterator[Wanted]:
    yield from (IDENTITY, ORDER, OFFSET)
    for index in plan.indexes:
        yield from _pair(index, index.keys, index.value, index.where)
    for question in plan.questions:
        index = question.index
        yield from _pair(index, question.keys, question.value, index.where if _asks_own(plan, question) else "")


def _pair(index: Index, keys: tuple[str, ...], value: str, where: str) -> Iterator[Wanted]:
    yield Key(keys, index.loose, index.blanks, where)
    yield Value(value, where if value else "")


def _asks_own(plan: StatePlan, question: Question) -> bool:
    """Whether records ask about the very key under which they stand: those that do not stand there find nobody."""
    return question.index.dataset == plan.dataset.code and question.keys == question.index.keys
