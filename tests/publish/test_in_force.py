"""Which release and which rule set belong together, whatever has been announced and in whatever order it is read."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from rules.document import RuleDocument
from rules.ruleset import LIBRARY_DIR
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.release import RELEASES_TOPIC, Release
from schemas.units import Regions, Units
from zhida.in_force import RULES_TOPIC, Known

Announcement = tuple[str, bytes, bytes | None]


@pytest.fixture(scope="module")
def content() -> tuple[Release, RuleDocument]:
    release = Release(Catalog.load(), Regions.load(), Units([]), Assignments((), {}))
    return release, RuleDocument.read(LIBRARY_DIR)


def _release(content: tuple[Release, RuleDocument], number: int, rules: int) -> Announcement:
    return (RELEASES_TOPIC, *content[0].published(number, 0, rules).encode())


def _rules(content: tuple[Release, RuleDocument], number: int, catalog: int) -> Announcement:
    return (RULES_TOPIC, *replace(content[1], number=number, catalog=catalog).encode())


def _numbers(*announced: Announcement) -> tuple[int, int] | None:
    known = Known()
    for topic, key, value in announced:
        known.take(topic, key, value)
    found = known.in_force()
    return found.numbers if found else None


def test_a_pair_is_used_when_both_halves_are_there_in_whatever_order(content: tuple[Release, RuleDocument]) -> None:
    both = [_release(content, 1, 5), _rules(content, 5, 1), _release(content, 2, 6), _rules(content, 6, 2)]
    for order in permutations(both):
        assert _numbers(*order) == (2, 6)
    assert _numbers(*both[:1]) is None
    assert _numbers(*both[1:2]) is None


def test_a_half_that_waits_for_the_other_leaves_the_pair_before_in_force(content: tuple[Release, RuleDocument]) -> None:
    first = [_release(content, 1, 5), _rules(content, 5, 1)]
    assert _numbers(*first, _rules(content, 6, 2)) == (1, 5)
    assert _numbers(*first, _release(content, 2, 6)) == (1, 5)
    # A catalog alone, and rules alone, need nothing new.
    assert _numbers(*first, _release(content, 2, 5)) == (2, 5)
    assert _numbers(*first, _rules(content, 6, 1)) == (1, 6)


def test_what_cannot_be_used_is_passed_over_and_named_and_its_number_is_taken(
    content: tuple[Release, RuleDocument],
) -> None:
    known = Known()
    for topic, key, value in (
        _release(content, 1, 5),
        _rules(content, 5, 1),
        (RELEASES_TOPIC, b"2", b"garbage"),
        (RULES_TOPIC, b"6", b""),
        (RULES_TOPIC, b"seven", b"x"),
        (RELEASES_TOPIC, b"\xff\x00", b"x"),
    ):
        known.take(topic, key, value)
    found = known.in_force()
    assert found is not None
    assert found.numbers == (1, 5)
    assert (known.highest_release, known.highest_rules) == (2, 6)
    assert {where.split()[0] for where in known.broken} == {RELEASES_TOPIC, RULES_TOPIC}
    assert len(known.broken) == 4
    known.take(*_release(content, 2, 5))
    found = known.in_force()
    assert found is not None
    assert found.numbers == (2, 5)
    assert f"{RELEASES_TOPIC} 2" not in known.broken


def test_what_is_withdrawn_is_no_longer_in_force(content: tuple[Release, RuleDocument]) -> None:
    first = [_release(content, 1, 5), _rules(content, 5, 1), _release(content, 2, 5)]
    assert _numbers(*first, (RELEASES_TOPIC, b"2", None)) == (1, 5)
    assert _numbers(*first, (RULES_TOPIC, b"5", None)) is None


def test_only_the_newest_are_remembered(content: tuple[Release, RuleDocument]) -> None:
    known = Known()
    known.take(*_rules(content, 1, 0))
    for number in range(1, 41):
        known.take(*_release(content, number, 1))
    found = known.in_force()
    assert found is not None
    assert found.numbers == (40, 1)
    assert len(list(known.catalogs())) == 20
