"""Working days in China: statutory holidays off, weekends off, make-up days worked, as the State Council announced.

The calendar comes from ``chinesecalendar``, which is extended once a year when the next year's holidays are announced.
Beyond the years that it has nothing is guessed: a count is unknown there, and a deadline is broken only where that is
certain from the years that are known.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

_EPOCH = date(1970, 1, 1)
_ONE_DAY = timedelta(days=1)
_SATURDAY = 5
_UNKNOWN = np.iinfo(np.int64).min
Days = npt.NDArray[np.int64]


class WorkCalendar:
    """Which days from *first* to *last* are worked. Immutable.

    ``between(a, b)`` counts the working days after *a* up to and with *b*, as deadlines run: the day of the decision is
    not counted, the day of the report is.
    """

    def __init__(self, first: date, last: date, is_workday: Callable[[date], bool]) -> None:
        self.first, self.last = first, last
        worked = [is_workday(first + timedelta(days=n)) for n in range((last - first).days + 1)]
        self._start = (first - _EPOCH).days
        #: At n: how many of the first n days are worked.
        self._through: Days = np.concatenate(([0], np.cumsum(worked, dtype=np.int64)))

    def covers(self, day: date) -> bool:
        """Whether it is known if *day* is worked."""
        return self.first <= day <= self.last

    def through(self, day: date) -> int | None:
        """Working days from the calendar's first day up to and with *day*; None beyond the calendar."""
        return int(self._through[(day - self.first).days + 1]) if self.covers(day) else None

    def between(self, start: date, end: date) -> int | None:
        """Working days after *start* up to and with *end*, negative when *end* is earlier; None where not known."""
        until, since = self.through(end), self.through(start)
        return None if until is None or since is None else until - since

    def through_column(self, days: pl.Expr) -> pl.Expr:
        """:meth:`through` of a column of dates."""
        return days.map_batches(self._through_series, return_dtype=pl.Int64(), is_elementwise=True)

    def _through_series(self, days: pl.Series) -> pl.Series:
        places = days.to_physical().cast(pl.Int64).fill_null(_UNKNOWN >> 1).to_numpy() - (self._start - 1)
        known = (places >= 1) & (places < len(self._through))
        counts = self._through.take(np.where(known, places, 0))
        return pl.select(pl.when(pl.Series(known)).then(pl.Series(counts))).to_series().alias(days.name)

    def too_early(self, end: date, workdays: int) -> date:
        """Any day before this one is more than *workdays* working days before *end*, by the days that are known."""
        return self._reach(end, workdays, unknown_counts=0)

    def doubtful_until(self, end: date, workdays: int) -> date:
        """Any day from this one on is at most *workdays* working days before *end*, whatever is not known."""
        return self._reach(end, workdays, unknown_counts=1)

    def _reach(self, end: date, workdays: int, unknown_counts: int) -> date:
        """The earliest day with at most *workdays* behind it up to *end*; ``date.min`` when the calendar has none."""
        day, counted = end, 0
        while day >= self.first:
            through = self.through(day)
            before = 0 if day == self.first else self.through(day - _ONE_DAY)
            counted += unknown_counts if through is None else through - (before or 0)
            if counted > workdays:
                return day
            day -= _ONE_DAY
        return date.min


@cache
def china() -> WorkCalendar:
    """The calendar of the People's Republic, for the years that the library has."""
    from chinese_calendar.constants import holidays, workdays

    years = sorted({day.year for day in holidays})
    if years != list(range(years[0], years[-1] + 1)):
        raise ValueError(f"the holiday calendar has gaps: {years}")

    def worked(day: date) -> bool:
        # As the library's is_workday, which looks for its first and last day each time: a fifth of a second in all.
        return day in workdays or (day.weekday() < _SATURDAY and day not in holidays)

    return WorkCalendar(date(years[0], 1, 1), date(years[-1], 12, 31), worked)


@lru_cache(maxsize=64)
def too_early(today: date, workdays: int) -> date:
    """Any day before this one is certainly more than *workdays* working days before *today*."""
    return china().too_early(today, workdays)


@lru_cache(maxsize=64)
def calendar_gap(today: date, workdays: int) -> tuple[date, date] | None:
    """The days, both included, of which it is not known whether they are more than *workdays* before *today*.

    None while the calendar has all that is needed.
    """
    first, end = too_early(today, workdays), china().doubtful_until(today, workdays)
    return (first, end - _ONE_DAY) if first < end else None
