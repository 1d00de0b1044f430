"""The quality indicators on hand-made verdicts with known answers, and against the definition in plain Python."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from rules.checks import kinds
from schemas.assignments import Assignments
from schemas.batch import VERDICT_COLUMNS, GovernedBatch
from schemas.catalog import Catalog
from schemas.connection import ClickHouseConnection
from schemas.release import Release
from schemas.units import Regions, Units
from sinks.clickhouse.engine import open_client
from sinks.clickhouse.sink import ClickHouseSink
from sinks.indicators import DEADLINE_KIND, Grouping, Indicators, Question, quality
from sinks.read import CreditStore

PENALTY, HONOUR = "administrative_penalty", "honour"
DAY, NEXT = date(2026, 3, 2), date(2026, 3, 3)
#: Nine o'clock of DAY in China.
MORNING = datetime(2026, 3, 2, 1, tzinfo=UTC)
LATE = (f"{PENALTY}.CF_JDRQ.{DEADLINE_KIND}", "timeliness")
MISSING = (f"{PENALTY}.CF_WSH.required", "completeness")
WRONG = (f"{PENALTY}.CF_WSH.pattern", "conformity")
FUTURE = (f"{PENALTY}.CF_JDRQ.not_future", "timeliness")


@dataclass(frozen=True)
class Said:
    """One verdict; ``minute`` after MORNING is when the message was sent."""

    offset: int
    unit: str
    record_id: str
    version: int
    verdict: str
    violations: tuple[tuple[str, str], ...] = ()
    minute: int = 0
    dataset: str = PENALTY
    judged: timedelta = timedelta(milliseconds=20)

    @property
    def at(self) -> datetime:
        return MORNING + timedelta(minutes=self.minute)

    @property
    def day(self) -> date:
        return (min(self.at, self.at + self.judged) + timedelta(hours=8)).date()


@pytest.fixture(scope="module")
def units() -> Units:
    return Units.load()


class Board:
    """A store of its own for one test, and the question to it."""

    def __init__(self, connection: ClickHouseConnection, units: Units) -> None:
        self.catalog, self.regions, self.units = Catalog.load(), Regions.load(), units
        self.connection = connection
        self.nanjing = next(unit.code for unit in units if unit.region == "320102")
        self.suzhou = next(unit.code for unit in units if unit.city == "320500" and unit.level == "county")
        self.sink = ClickHouseSink(connection)
        self.sink.setup(self.catalog)
        self.store = CreditStore.connect(connection, self.catalog)

    def write(self, said: Iterable[Said]) -> None:
        rows = [
            (
                f"zhida.report.{one.dataset}",
                0,
                one.offset,
                one.dataset,
                one.unit,
                "",
                one.record_id,
                one.version,
                "",
                one.verdict,
                "1-0",
                1,
                one.at,
                one.at + one.judged,
                json.dumps([{"rule": r, "dimension": d, "value": '"]'} for r, d in one.violations])
                if one.violations
                else "",
                False,
            )
            for one in said
        ]
        frame = pl.DataFrame(rows, schema=VERDICT_COLUMNS, orient="row")
        self.sink.write([GovernedBatch(self.catalog[PENALTY], None, frame)])

    def clear(self) -> None:
        client = open_client(self.connection)
        client.command(f"TRUNCATE TABLE {self.connection.database}.verdicts")
        client.close()

    def ask(
        self,
        by: Grouping = "day",
        first: date = DAY,
        last: date = NEXT,
        dataset: str = "",
        region: str = "",
        assigned: tuple[dict[str, object], ...] = (),
        own: bool = False,
    ) -> tuple[dict[str, Indicators], Indicators]:
        files = [{"dataset": one["dataset"], "assignments": [one["entry"]]} for one in assigned]
        assignments = Assignments.from_data(files, self.catalog, self.units, self.regions)
        release = Release(self.catalog, self.regions, self.units, assignments)
        found = quality(Question(by, first, last, dataset, region, own), self.store, release, {PENALTY})
        return {row.key: row for row in found.rows}, found.total


@pytest.fixture(scope="module")
def opened(clickhouse: ClickHouseConnection, units: Units) -> Iterator[Board]:
    connection = replace(clickhouse, database=f"{clickhouse.database}_quality")
    board = Board(connection, units)
    yield board
    board.store.close()
    board.sink.close()
    client = open_client(connection)
    client.command(f"DROP DATABASE IF EXISTS {connection.database}")
    client.close()


@pytest.fixture
def board(opened: Board) -> Board:
    opened.clear()
    return opened


def figures(row: Indicators) -> tuple[int, ...]:
    return row.messages, row.repeats, row.corrected, row.records, row.accepted, row.rejected, row.quarantined


def duty(dataset: str, unit: str, since: str, cycle: str = "daily") -> dict[str, object]:
    return {"dataset": dataset, "entry": {"units": [unit], "from": since, "cycle": cycle}}


def test_the_kind_of_deadline_rules_exists() -> None:
    assert DEADLINE_KIND in kinds()


def test_nothing_reported_has_no_rates_and_is_no_hundred_per_cent(board: Board) -> None:
    rows, total = board.ask()
    assert rows == {}
    assert (total.completeness, total.timeliness, total.compliance, total.reporting_rate) == (None, None, None, None)


def test_a_record_that_is_sent_or_judged_twice_counts_once(board: Board) -> None:
    once = Said(1, board.nanjing, "a", 1, "accepted")
    board.write([once])
    board.write([once, Said(1, board.nanjing, "a", 1, "accepted", judged=timedelta(seconds=9))])
    board.write([Said(2, board.nanjing, "a", 1, "accepted", minute=1)])
    board.write([Said(3, board.nanjing, "a", 1, "accepted", minute=24 * 60)])
    rows, total = board.ask()
    assert figures(rows["2026-03-02"]) == (2, 1, 0, 1, 1, 0, 0)
    assert figures(rows["2026-03-03"]) == (1, 1, 0, 0, 0, 0, 0)
    assert figures(total) == (3, 2, 0, 1, 1, 0, 0)
    # Asked about the second day alone, the first is known nevertheless.
    assert figures(board.ask(first=NEXT)[1]) == (1, 1, 0, 0, 0, 0, 0)


def test_a_correction_replaces_what_it_corrects_on_its_own_day_only(board: Board) -> None:
    unit = board.nanjing
    board.write(
        [
            Said(1, unit, "same day", 1, "rejected", (MISSING, WRONG)),
            Said(2, unit, "same day", 2, "accepted", minute=5),
            Said(3, unit, "next day", 1, "rejected", (MISSING,)),
            Said(4, unit, "next day", 2, "accepted", minute=24 * 60),
            Said(5, unit, "same version", 1, "rejected", (WRONG,)),
            Said(6, unit, "same version", 1, "accepted", minute=5),
            Said(7, unit, "made worse", 1, "accepted"),
            Said(8, unit, "made worse", 2, "rejected", (WRONG,), minute=5),
            Said(9, unit, "older one late", 2, "accepted"),
            Said(10, unit, "older one late", 1, "rejected", (MISSING,), minute=5),
        ]
    )
    rows, total = board.ask()
    first, second = rows["2026-03-02"], rows["2026-03-03"]
    assert figures(first) == (9, 0, 4, 5, 3, 2, 0)
    assert first.compliance == pytest.approx(3 / 5)
    # Of the two that stay rejected one lacks something, the other ("made worse") is complete but wrong.
    assert first.completeness == pytest.approx(4 / 5)
    assert figures(second) == (1, 0, 0, 1, 1, 0, 0)
    assert (second.compliance, second.completeness) == (1.0, 1.0)
    assert total.compliance == pytest.approx(4 / 6)


def test_what_cannot_be_read_is_received_and_nothing_else(board: Board) -> None:
    board.write(
        [
            Said(1, board.nanjing, "read later", 0, "quarantined"),
            Said(2, board.nanjing, "read later", 1, "accepted", minute=1),
            Said(3, board.nanjing, "never read", 0, "quarantined"),
            Said(4, board.nanjing, "never read", 0, "quarantined", minute=1),
            Said(5, "", "", 0, "quarantined"),
            Said(6, "", "", 0, "quarantined"),
            Said(7, "", "of nobody", 1, "rejected", (WRONG,)),
        ]
    )
    rows, total = board.ask(by="unit")
    assert figures(rows[board.nanjing]) == (4, 1, 1, 2, 1, 0, 1)
    assert figures(rows[""]) == (3, 0, 0, 3, 0, 1, 2)
    assert (total.compliance, total.completeness) == (pytest.approx(1 / 5), 1.0)


def test_late_is_what_breaks_the_deadline_and_is_accepted_where_there_is_a_deadline(board: Board) -> None:
    unit = board.nanjing
    board.write(
        [
            Said(1, unit, "in time", 1, "accepted"),
            Said(2, unit, "late", 1, "suspect", (MISSING, LATE)),
            Said(3, unit, "doubtful", 1, "suspect", (WRONG,)),
            Said(4, unit, "late and rejected", 1, "rejected", (LATE, WRONG)),
            Said(5, unit, "in the future", 1, "suspect", (FUTURE,)),
            Said(1, unit, "no rule", 1, "accepted", dataset=HONOUR),
        ]
    )
    rows, total = board.ask(by="dataset")
    assert (rows[PENALTY].timed, rows[PENALTY].timely, rows[PENALTY].suspect) == (4, 3, 3)
    assert rows[PENALTY].completeness == pytest.approx(4 / 5)
    assert (rows[HONOUR].timeliness, rows[HONOUR].compliance, rows[HONOUR].name) == (None, 1.0, "荣誉表彰")
    assert total.timeliness == pytest.approx(3 / 4)


def test_a_day_is_a_day_in_china_by_the_earlier_of_both_clocks(board: Board) -> None:
    unit = board.nanjing
    midnight = 15 * 60
    board.write(
        [
            Said(1, unit, "before", 1, "accepted", minute=midnight - 1),
            Said(2, unit, "after", 1, "accepted", minute=midnight),
            Said(3, unit, "judged days later", 1, "accepted", judged=timedelta(days=3)),
            Said(4, unit, "a clock a year ahead", 1, "accepted", minute=365 * 1440, judged=timedelta(days=-365)),
            Said(5, unit, "long ago", 1, "accepted", minute=-50 * 365 * 1440),
        ]
    )
    rows, _ = board.ask()
    assert {key: row.records for key, row in rows.items()} == {"2026-03-02": 3, "2026-03-03": 1}


def test_who_must_report_and_has_not_is_missed_from_its_first_whole_cycle_on(board: Board) -> None:
    board.write(
        [
            Said(1, board.nanjing, "a", 1, "rejected", (WRONG,)),
            Said(2, board.suzhou, "b", 0, "quarantined"),
            Said(3, board.suzhou, "c", 1, "accepted", minute=-20 * 1440, dataset=HONOUR),
        ]
    )
    assigned = (
        {
            "dataset": PENALTY,
            "entry": {"units": [board.nanjing, board.suzhou], "from": "2026-03-02", "cycle": "daily"},
        },
        duty(HONOUR, board.suzhou, "2025-01-01", "monthly"),
        duty("qualification", board.suzhou, "2026-03-01", "monthly"),
    )
    rows, _ = board.ask(assigned=assigned)
    found = {key: (row.due, row.reported) for key, row in rows.items()}
    assert found == {"2026-03-02": (3, 2), "2026-03-03": (3, 1)}
    cities, total = board.ask(by="city", assigned=assigned)
    assert {key: (row.due, row.reported) for key, row in cities.items()} == {"320100": (1, 1), "320500": (2, 1)}
    assert total.reporting_rate == pytest.approx(2 / 3)
    # Before anybody's first cycle is over nobody is due but the old hand.
    assert board.ask(first=date(2026, 3, 1), last=date(2026, 3, 1), assigned=assigned)[1].due == 1


def test_one_dataset_one_city_one_county_can_be_asked_about(board: Board) -> None:
    board.write(
        [
            Said(1, board.nanjing, "a", 1, "accepted"),
            Said(2, board.suzhou, "b", 1, "accepted"),
            Said(3, board.nanjing, "c", 1, "accepted", dataset=HONOUR),
            Said(4, "", "", 0, "quarantined"),
        ]
    )
    assert board.ask(region="320100")[1].records == 2
    assert board.ask(region="320102", dataset=HONOUR)[1].records == 1
    assert board.ask(region="320000")[1].records == 3
    assert set(board.ask(by="county", region="320100")[0]) == {"320102"}
    assert board.ask(dataset="x' OR 1 --")[1].records == 0


def test_a_region_can_be_asked_about_without_what_lies_below_it(board: Board) -> None:
    own = {level: next(unit.code for unit in board.units if unit.region == level) for level in ("320000", "320100")}
    codes = (board.nanjing, board.suzhou, own["320000"], own["320100"])
    board.write([Said(number, code, str(number), 1, "accepted") for number, code in enumerate(codes)])
    for region in own:
        rows, total = board.ask(by="unit", region=region, own=True)
        assert set(rows) == {own[region]}
        # The same figures that its row has where the parts are listed.
        by: Grouping = "city" if region == "320000" else "county"
        listed = board.ask(by=by, region=region)[0][region]
        assert (total.records, total.accepted) == (listed.records, listed.accepted) == (1, 1)


def plainly(said: list[Said]) -> Counter[tuple[date, str, str, str]]:
    """The definition of docs/indicators.md, step by step: (day, dataset, unit, what) -> count."""
    messages = {(one.dataset, one.offset): one for one in sorted(said, key=lambda one: one.judged)}
    seen: set[tuple[object, ...]] = set()
    outcomes: dict[tuple[object, ...], tuple[tuple[object, ...], Said]] = {}
    counted: Counter[tuple[date, str, str, str]] = Counter()
    for one in sorted(messages.values(), key=lambda one: (min(one.at, one.at + one.judged), one.dataset, one.offset)):
        group = (one.day, one.dataset, one.unit)
        counted[*group, "messages"] += 1
        readable, entered = one.verdict != "quarantined", one.verdict in ("accepted", "suspect")
        record = (one.dataset, one.unit, one.record_id) if one.unit and one.record_id else (one.dataset, one.offset)
        version = (*record, readable, one.version, entered)
        if version in seen:
            counted[*group, "repeats"] += 1
            continue
        seen.add(version)
        rank = (readable, one.version, entered, -one.offset)
        best = outcomes.get((one.day, *record))
        if best is None or rank > best[0]:
            outcomes[one.day, *record] = (rank, one)
    for _, one in outcomes.values():
        group = (one.day, one.dataset, one.unit)
        counted[*group, "records"] += 1
        counted[*group, one.verdict] += 1
        counted[*group, "complete"] += one.verdict != "quarantined" and MISSING not in one.violations
    return +counted


@pytest.mark.parametrize("seed", range(3))
def test_the_store_counts_as_the_definition_says_in_plain_words(board: Board, seed: int) -> None:
    dice = random.Random(seed)
    verdicts = {
        "accepted": [()],
        "suspect": [(LATE,), (WRONG,), (LATE, MISSING)],
        "rejected": [(MISSING,), (WRONG,), (WRONG, MISSING)],
        "quarantined": [()],
    }
    said = []
    for offset in range(400):
        verdict = dice.choices(list(verdicts), (5, 2, 3, 1))[0]
        unit = dice.choice([board.nanjing, board.suzhou, ""])
        one = Said(
            offset if offset < 350 else dice.randrange(350),
            unit,
            dice.choice(["", *"abcdefgh"]),
            0 if verdict == "quarantined" else dice.randrange(-1, 4),
            verdict,
            dice.choice(verdicts[verdict]),
            dice.randrange(-1440, 5 * 1440),
            dice.choice([PENALTY, HONOUR]),
            # All different, so that of two verdicts on one message there is a newest one.
            timedelta(minutes=dice.randrange(-600, 600), milliseconds=offset),
        )
        said.append(one)
    # A message is judged twice with another outcome at most, never sent twice from one place.
    first = {(one.dataset, one.offset): one for one in reversed(said)}
    said = [
        one if first[one.dataset, one.offset] is one else _judged_again(first[one.dataset, one.offset], one)
        for one in said
    ]
    board.write(said[:200])
    board.write(said[200:])
    expected = plainly(said)
    by_group: dict[tuple[date, str, str], Counter[str]] = defaultdict(Counter)
    for (day, dataset, unit, what), count in expected.items():
        by_group[day, dataset, unit][what] = count
    last = DAY + timedelta(days=4)
    got = board.store.quality_counts(NEXT, last, "")
    names = ("messages", "repeats", "records", "suspect", "rejected", "quarantined", "complete")
    assert {
        (row["day"], row["dataset"], row["unit"]): tuple(row[name] for name in names)
        for row in got.iter_rows(named=True)
    } == {
        group: tuple(counts[name] for name in names) for group, counts in by_group.items() if NEXT <= group[0] <= last
    }
    totals = [board.ask(by, NEXT, last)[1] for by in ("unit", "dataset", "city", "county", "day")]
    assert all(total == totals[0] for total in totals)
    assert totals[0].records == totals[0].accepted + totals[0].rejected + totals[0].quarantined


def _judged_again(message: Said, other: Said) -> Said:
    later = max(message.judged, timedelta(0)) + timedelta(minutes=1, milliseconds=other.offset)
    return replace(message, verdict=other.verdict, violations=other.violations, judged=later)
