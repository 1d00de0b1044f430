"""Working days: counted as a person with the State Council's notices counts them, and never guessed."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import chinese_calendar
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_toys import UNIT, one_rule, record
from shipped import RULES

from rules.checks.base import JudgeContext
from rules.examples import calendar_warnings
from rules.workdays import WorkCalendar, calendar_gap, china, too_early

CALENDAR = china()
DAYS = st.dates(CALENDAR.first, CALENDAR.last)
ANY_DAY = st.dates(date(1990, 1, 1), date(2040, 12, 31)) | st.dates()


def counted(start: date, end: date) -> int:
    """Day by day, as the library says of each."""
    span = range(1, (end - start).days + 1)
    return sum(chinese_calendar.is_workday(start + timedelta(days=n)) for n in span)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2026, 9, 30), date(2026, 10, 8), 1),  # National Day, 1 to 7 October
        (date(2026, 9, 30), date(2026, 10, 10), 3),  # the Saturday is made up for
        (date(2026, 2, 13), date(2026, 2, 24), 2),  # Spring Festival, 15 to 23 February; the 14th is worked
        (date(2020, 1, 23), date(2020, 2, 3), 1),  # prolonged in 2020
        (date(2026, 11, 23), date(2026, 11, 23), 0),
        (date(2026, 11, 20), date(2026, 11, 22), 0),  # a weekend
        (date(2026, 11, 23), date(2026, 11, 20), -1),
    ],
)
def test_known_spans(start: date, end: date, expected: int) -> None:
    assert CALENDAR.between(start, end) == expected


@given(DAYS, st.integers(0, 800))
@settings(max_examples=150, deadline=None)
def test_a_count_is_what_counting_day_by_day_gives(start: date, length: int) -> None:
    end = min(start + timedelta(days=length), CALENDAR.last)
    assert CALENDAR.between(start, end) == counted(start, end)
    assert CALENDAR.between(end, start) == -counted(start, end)


@given(st.lists(ANY_DAY | st.none(), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_columns_count_as_single_days_do(days: list[date | None]) -> None:
    frame = pl.DataFrame({"day": days}, schema={"day": pl.Date})
    found = frame.select(CALENDAR.through_column(pl.col("day"))).to_series()
    assert found.to_list() == [None if day is None else CALENDAR.through(day) for day in days]
    assert found.dtype == pl.Int64


def test_columns_take_what_numpy_counts_with_the_same_holidays() -> None:
    year = np.arange("2026-01-01", "2027-01-01", dtype="datetime64[D]")
    worked = [chinese_calendar.is_workday(day) for day in year.tolist()]
    weekend = np.array([day.weekday() >= 5 for day in year.tolist()])
    holidays, made_up = year[~np.array(worked) & ~weekend], year[np.array(worked) & weekend]
    counts = np.busday_count(year[0], year, holidays=holidays) + np.searchsorted(made_up, year, side="left")
    through = pl.DataFrame({"day": year}).select(CALENDAR.through_column(pl.col("day"))).to_series().to_numpy()
    # busday_count takes the first day and leaves the last one out.
    assert (through - worked - CALENDAR.through(date(2025, 12, 31)) == counts).all()


def test_each_day_is_worked_as_the_library_says() -> None:
    days = [CALENDAR.first + timedelta(days=n) for n in range((CALENDAR.last - CALENDAR.first).days + 1)]
    counts = [CALENDAR.through(day) or 0 for day in days]
    worked = [after > before for before, after in pairwise([0, *counts])]
    assert worked == [chinese_calendar.is_workday(day) for day in days]


def test_beyond_the_calendar_nothing_is_counted() -> None:
    after, before = CALENDAR.last + timedelta(days=1), CALENDAR.first - timedelta(days=1)
    assert CALENDAR.between(CALENDAR.last, after) is None
    assert CALENDAR.between(before, CALENDAR.first) is None
    assert CALENDAR.between(date.min, date.max) is None


@given(DAYS, st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_a_deadline_is_the_count(today: date, workdays: int) -> None:
    first = too_early(today, workdays)
    if first > CALENDAR.first:
        assert counted(first, today) <= workdays < counted(first - timedelta(days=1), today)
        assert calendar_gap(today, workdays) is None


def test_where_the_calendar_ends_a_record_is_late_only_when_that_is_certain() -> None:
    short = WorkCalendar(date(2026, 1, 1), date(2026, 12, 31), lambda day: day.weekday() < 5)
    today = date(2027, 1, 8)
    # Working days up to 31 December are known; the eight days of January may hold none of them, or all.
    assert short.too_early(today, 5) == date(2026, 12, 24)
    assert short.doubtful_until(today, 5) == date(2027, 1, 3)
    assert calendar_gap(CALENDAR.last + timedelta(days=1), 7) is not None


def test_a_rule_says_what_it_cannot_decide(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "DAY", "workday_deadline", "workdays: 7", severity="suspect")
    beyond = JudgeContext(CALENDAR.last + timedelta(days=20), frozenset({UNIT}))
    within = JudgeContext(CALENDAR.last, frozenset({UNIT}))
    assert list(rules.undecided(within)) == []
    ((rule, reason),) = rules.undecided(beyond)
    assert (rule, "cannot be judged" in reason) == ("toy.DAY.workday_deadline", True)
    in_doubt, late = record(DAY=CALENDAR.last), record(DAY=CALENDAR.last - timedelta(days=30))
    assert rules.judge_row(in_doubt, beyond) == ()
    assert rules.judge_row(late, beyond) != ()


def test_lint_warns_a_month_before_the_calendar_ends() -> None:
    rule_set = RULES
    assert calendar_warnings(rule_set, CALENDAR.last - timedelta(days=31)) == []
    said = calendar_warnings(rule_set, CALENDAR.last - timedelta(days=30))
    assert any("administrative_licence.XK_JDRQ.workday_deadline" in line and "chinesecalendar" in line for line in said)
