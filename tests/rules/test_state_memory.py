from __future__ import annotations

import pytest
from texts_of import texts_of

from rules.state.definitions import Index, Question, StatePlan
from rules.state.memory import MemoryState
from schemas.catalog import Catalog
from schemas.ordering import order_text

CATALOG = Catalog.load()
PEOPLE = Index("legal_person", ("uscc",))
KNOWN = Question(PEOPLE, "known", ("uscc",))
LICENCES = StatePlan(CATALOG["administrative_licence"], (), (KNOWN,), waiting=frozenset({KNOWN}))
PERSONS = StatePlan(CATALOG["legal_person"], (PEOPLE,))


def row(identity: str, version: int, offset: int, *keys: str) -> tuple[str, ...]:
    return (identity, order_text(version, offset), str(offset), *(text for key in keys for text in (key, "")))


@pytest.mark.parametrize("late", [row("u|a", 1, 2, "K"), row("u|a", 2, 2, "K")], ids=["older version", "sent again"])
def test_a_late_older_version_does_not_wait_in_place_of_the_current_one(late: tuple[str, ...]) -> None:
    state = MemoryState()
    state.ask(LICENCES, "licences", 0, texts_of(row("u|a", 2, 1, "K"), late))
    state.ask(PERSONS, "persons", 0, texts_of(row("u|p", 1, 0, "K")))
    assert state.due == {("licences", 0, 1)}


def test_records_of_two_datasets_that_go_by_one_number_wait_apart() -> None:
    state = MemoryState()
    penalties = StatePlan(CATALOG["administrative_penalty"], (), (KNOWN,), waiting=frozenset({KNOWN}))
    state.ask(LICENCES, "licences", 0, texts_of(row("u|a", 1, 1, "K")))
    state.ask(penalties, "penalties", 0, texts_of(row("u|a", 1, 7, "K")))
    state.ask(PERSONS, "persons", 0, texts_of(row("u|p", 1, 0, "K")))
    assert state.due == {("licences", 0, 1), ("penalties", 0, 7)}
