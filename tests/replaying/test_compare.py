"""Live verdicts beside new ones, on generated frames: which differ, and in what, against a plain oracle."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
import shipped
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.units import Region, Regions, Unit, Units
from schemas.verdict import Violation, encode_violations
from zhida.cli._rules_replay import parse_moment
from zhida.errors import UserError
from zhida.replaying.compare import CODES, LiveVerdicts, Said, Scope, compare, unreadable
from zhida.replaying.judging import left_out
from zhida.replaying.live import take_accepted
from zhida.replaying.report import Tally, by_city, by_rule, by_unit

FIRST, COUNT = 1_000, 40
RULES = [("d.a.required", "reject"), ("d.b.range", "suspect"), ("d.c.reference", "suspect"), ("d.e.length", "reject")]


def violation(rule: str, severity: Any, text: str = "说明") -> Violation:
    return Violation(rule, "accuracy", severity, rule.split(".")[1], "***", text, "text")


def judged(violations: tuple[Violation, ...], unit: str = "") -> Said:
    if not violations:
        return Said("accepted", (), unit)
    rejected = any(one.severity == "reject" for one in violations)
    return Said("rejected" if rejected else "suspect", violations, unit)


words = st.sampled_from(["说明", "换一种说法"])
violations = st.lists(st.tuples(st.sampled_from(RULES), words), unique_by=lambda one: one[0][0], max_size=3).map(
    lambda found: tuple(violation(*rule, text) for rule, text in sorted(found))
)
said = st.one_of(
    violations.map(judged), violations.map(judged), st.sampled_from(["truncated", "bad_magic"]).map(unreadable)
)
#: Offset -> (when, verdict), several of one record and in any order.
spoken = st.lists(st.tuples(st.integers(FIRST - 3, FIRST + COUNT + 2), st.integers(1, 9), said), max_size=60)


def live_of(found: list[tuple[int, int, Said]], parts: int = 3) -> LiveVerdicts:
    live = LiveVerdicts(FIRST, FIRST + COUNT)
    size = max(1, -(-len(found) // parts))
    for start in range(0, len(found), size):
        part = found[start : start + size]
        live.take(
            np.array([one[0] for one in part], dtype=np.int64),
            np.array([one[1] for one in part], dtype=np.int64),
            np.array([CODES[one[2].verdict] for one in part], dtype=np.uint8),
            {row: (one[2].text, one[2].unit) for row, one in enumerate(part) if one[2].text},
        )
    return live


@settings(max_examples=150, deadline=None)
@given(
    spoken,
    st.dictionaries(st.integers(FIRST, FIRST + COUNT - 1), said),
    st.booleans(),
    st.sets(st.integers(FIRST, FIRST + COUNT - 1)),
)
def test_differences_are_those_that_a_look_at_every_record_finds(
    found: list[tuple[int, int, Said]], new: dict[int, Said], without_state: bool, stale: set[int]
) -> None:
    newest: dict[int, tuple[int, Said]] = {}
    for offset, when, verdict in found:
        # Two verdicts of one millisecond are those of one batch done twice: the same.
        if FIRST <= offset < FIRST + COUNT and when > newest.get(offset, (0, None))[0]:
            newest[offset] = (when, verdict)
    found = [one for one in found if newest.get(one[0], (one[1], one[2])) == one[1:] or one[1] < newest[one[0]][0]]
    offsets = sorted(newest)
    new = {offset: one for offset, one in new.items() if offset in newest and one.verdict != "accepted"}

    def stateful(rule: str) -> bool:
        return rule == "d.c.reference"

    def seen(one: Said, offset: int) -> Said:
        if not (without_state or offset in stale) or one.verdict == "quarantined":
            return one
        return judged(tuple(broken for broken in one.violations if not stateful(broken.rule)))

    expected = {}
    for offset in offsets:
        was, now = seen(newest[offset][1], offset), seen(new.get(offset, Said("accepted")), offset)
        if (was.verdict, set(was.violations)) == (now.verdict, set(now.violations)):
            continue
        rules = {one.rule for one in was.violations}, {one.rule for one in now.violations}
        kind = "verdict" if was.verdict != now.verdict else "rules" if rules[0] != rules[1] else "wording"
        reworded = {one.rule for one in now.violations if one.rule in rules[0] and one not in was.violations}
        expected[offset] = (kind, was.verdict, now.verdict, rules[1] - rules[0], rules[0] - rules[1], reworded)
    live = live_of(found)
    differences = {
        one.offset: (
            one.kind,
            one.was,
            one.now,
            {broken.rule for broken in one.broken},
            {mended.rule for mended in one.mended},
            {reworded.rule for reworded in one.reworded},
        )
        for one in compare(
            offsets, live, new, Scope(stateful, stateful) if without_state else Scope(stale=stateful), stale
        )
    }
    assert differences == expected
    spoken_of = np.arange(FIRST, FIRST + COUNT)
    assert set(spoken_of[live.governed(spoken_of) > 0].tolist()) == set(offsets)


def test_counts_samples_units_and_cities_come_from_the_differences_alone() -> None:
    old, new = violation(*RULES[0]), violation(*RULES[1])
    units = Units([Unit("u1", "甲", "320102", "county", "x"), Unit("u2", "乙", "320100", "city", "x")])
    regions = Regions([Region("320100", "南京市", "city", "320000")])
    tally = Tally(samples_a_rule=2)
    random = Random(3)
    found, fresh = [], {}
    for number in range(COUNT):
        unit = random.choice(["u1", "u2", ""])
        found.append((FIRST + number, 5, judged((old,), unit)))
        fresh[FIRST + number] = judged((old, new) if number % 2 else (new,), unit)
    live = live_of(found)
    tally.add("d", "zhida.report.d", 1, compare(range(FIRST, FIRST + COUNT), live, fresh))
    assert tally.verdicts == {("verdict", "rejected", "suspect"): 20, ("rules", "rejected", "rejected"): 20}
    assert tally.rules[new.rule] == Counter(broken=40)
    assert tally.rules[old.rule] == Counter(mended=20)
    assert tally.datasets == {"d": Counter(verdict=20, rules=20)}
    by_code = {row["unit"]: row for row in by_unit(tally, units)}
    assert sum(row["verdict"] + row["rules"] for row in by_code.values()) == COUNT
    assert by_code["u1"]["name"] == "甲"
    cities = {row["city"]: row for row in by_city(tally, units, regions)}
    both = [by_code[code]["verdict"] for code in ("u1", "u2")]
    assert (cities["320100"]["name"], cities["320100"]["verdict"]) == ("南京市", sum(both))
    offsets, verdicts = tally.places["zhida.report.d", 1]
    assert list(offsets) == list(range(FIRST, FIRST + COUNT))
    assert set(verdicts) == {CODES["suspect"], CODES["rejected"]}
    assert Counter((one.rule, one.change) for one in tally.samples) == {
        (new.rule, "broken"): 2,
        (old.rule, "mended"): 2,
    }
    assert tally.samples[0].feedback_id == f"zhida.report.d-1-{FIRST}"


def test_a_rule_that_the_sets_do_not_change_is_told_apart() -> None:
    rules = shipped.RULES
    tally = Tally()
    known = "administrative_penalty.unit.known_unit"
    tally.rules[known].update(["mended"])
    tally.rules["administrative_penalty.CF_SY.no_such_rule"].update(["mended"])
    assert {row["rule"]: row["how"] for row in by_rule(tally, rules, rules)} == {
        known: "same",
        "administrative_penalty.CF_SY.no_such_rule": "",
    }


def test_headers_that_are_not_ours_are_passed_over() -> None:
    class Message:
        def __init__(self, *headers: tuple[str, bytes]) -> None:
            self._headers = list(headers) or None

        def headers(self) -> list[tuple[str, bytes]] | None:
            return self._headers

    def header(verdict: str, topic: str, partition: int, offset: str, governed: int = 7) -> tuple[str, bytes]:
        text = f"verdict={verdict};rules=3-ab;schema=-1;governed={governed};source={topic};partition={partition}"
        return "zhida-verdict", f"{text};offset={offset}".encode()

    reasons = encode_violations((violation(*RULES[1]),))
    live = LiveVerdicts(FIRST, FIRST + 10)
    messages = [
        Message(),
        Message(("x", b"y")),
        Message(("zhida-verdict", b"\xff\xfe")),
        Message(header("nonsense", "t", 2, f"{FIRST}")),
        Message(header("accepted", "other", 2, f"{FIRST + 1}")),
        Message(header("accepted", "t", 3, f"{FIRST + 2}")),
        Message(header("accepted", "t", 2, "99999999999999999999999")),
        Message(header("accepted", "t", 2, f"{FIRST + 3}")),
        Message(header("suspect", "t", 2, f"{FIRST + 4}"), ("zhida-violations", reasons)),
        Message(header("accepted", "t", 2, f"{FIRST + 5};x")),
        # Judged again, and taken back.
        Message(header("rejected", "t", 2, f"{FIRST + 3}", 9), ("zhida-violations", reasons)),
    ]
    take_accepted(messages, ("t", 2), live)
    assert [live.verdict(offset) for offset in range(FIRST, FIRST + 6)] == ["", "", "", "rejected", "suspect", ""]
    assert live.said(FIRST + 4).violations == (violation(*RULES[1]),)


def test_without_a_state_no_rule_that_asks_it_is_compared_whatever_set_it_is_from() -> None:
    rules = shipped.RULES
    listed, scope = left_out(rules, rules, None)
    is_left_out = scope.never
    asking = {rule.id for found in rules for rule in found.active if rule.asks is not None}
    assert set(listed) == asking
    assert all(map(is_left_out, asking))
    assert not is_left_out("administrative_penalty.unit.known_unit")
    assert not is_left_out("bad_magic")


@pytest.mark.parametrize(
    ("text", "last", "utc"),
    [
        ("2026-01-31", False, 1_769_788_800_000),
        ("2026-01-31", True, 1_769_788_800_000 + 86_400_000),
        ("2026-01-31T08:00", True, 1_769_788_800_000 + 8 * 3_600_000),
        ("2026-01-31T00:00:00Z", False, 1_769_788_800_000 + 8 * 3_600_000),
        ("20260131", True, 1_769_788_800_000 + 86_400_000),
    ],
)
def test_days_and_moments_are_of_china_unless_they_say_otherwise(text: str, last: bool, utc: int) -> None:
    assert parse_moment(text, "--to", last=last) == utc


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(UserError, match="no day"):
        parse_moment("31.1.2026", "--from")
