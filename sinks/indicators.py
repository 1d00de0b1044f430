"""The quality indicators 质量指标, defined once: completeness, timeliness, compliance, reporting rate.

What counts, and why, is told in docs/indicators.md. The store counts (``sinks.clickhouse.quality``), this module groups
and divides; the query service and through it the command line hand on what comes out, and compute nothing themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, Protocol, get_args

import polars as pl

from schemas.assignments import Terms
from schemas.catalog import UpdateCycle
from schemas.release import Release
from schemas.units import Regions, Unit

Grouping = Literal["unit", "dataset", "city", "county", "day"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
#: The kind of rule that says by when a record is due; it is the third part of the id of such a rule.
DEADLINE_KIND = "workday_deadline"
#: The longest period that may be asked for, in days.
LONGEST = 366

#: Days within which a unit of that cycle must be heard of. Calendar units at their longest: nobody is late in February.
CYCLE_DAYS: dict[UpdateCycle, int] = {
    "realtime": 1,
    "daily": 1,
    "weekly": 7,
    "monthly": 31,
    "quarterly": 92,
    "half_yearly": 184,
    "yearly": 366,
}

COUNTED = pl.Schema(
    {
        "day": pl.Date(),
        "dataset": pl.String(),
        "unit": pl.String(),
        **dict.fromkeys(
            (
                "messages",
                "repeats",
                "records",
                "accepted",
                "suspect",
                "rejected",
                "quarantined",
                "complete",
                "in_time",
            ),
            pl.Int64(),
        ),
    }
)
REPORTED = pl.Schema({"day": pl.Date(), "dataset": pl.String(), "unit": pl.String()})
_DUE = pl.Schema(
    {"dataset": pl.String(), "unit": pl.String(), "begins": pl.Date(), "ends": pl.Date(), "span": pl.Int64()}
)
_SUMS = ("messages", "repeats", "records", "accepted", "suspect", "rejected", "quarantined", "complete")


class Counts(Protocol):
    """What the store is asked; days are days in China, both ends included. Blocking."""

    def quality_counts(self, first: date, last: date, dataset: str) -> pl.DataFrame:
        """Rows as in COUNTED; of all datasets where *dataset* is ""."""
        ...

    def report_days(self, first: date, last: date, dataset: str) -> pl.DataFrame:
        """On which days each unit reported something readable: rows as in REPORTED."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """Indicators of the days *first* to *last* in China, grouped *by*; "" is every dataset, every region.

    *region* is a province, city or county, with all that lies below it; with *own* only the units of its own level,
    those that stand under it where its parts are listed.
    """

    by: Grouping
    first: date
    last: date
    dataset: str = ""
    region: str = ""
    own: bool = False

    @property
    def days(self) -> int:
        """How many days it covers."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Indicators:
    """Counts of one group, and the four rates between 0 and 1; a rate of nothing is None.

    ``records`` are outcomes: of each record, on each day, what its newest version of that day came to. ``accepted``
    includes ``suspect``. messages = repeats + corrected + records, and records = accepted + rejected + quarantined.
    """

    key: str
    name: str
    messages: int = 0
    repeats: int = 0
    records: int = 0
    accepted: int = 0
    suspect: int = 0
    rejected: int = 0
    quarantined: int = 0
    complete: int = 0
    timed: int = 0
    timely: int = 0
    due: int = 0
    reported: int = 0

    @property
    def corrected(self) -> int:
        """Versions that another one of the same record followed on the same day."""
        return self.messages - self.repeats - self.records

    @property
    def completeness(self) -> float | None:
        """完整率: of the records that can be read, those without a violation of dimension completeness."""
        return _rate(self.complete, self.accepted + self.rejected)

    @property
    def timeliness(self) -> float | None:
        """及时率: of the accepted records of datasets with a deadline rule, those that do not break it."""
        return _rate(self.timely, self.timed)

    @property
    def compliance(self) -> float | None:
        """合规率: accepted of received."""
        return _rate(self.accepted, self.records)

    @property
    def reporting_rate(self) -> float | None:
        """上报率: pairs of unit and dataset that reported, of those that must."""
        return _rate(self.reported, self.due)


@dataclass(frozen=True, slots=True)
class Quality:
    """The answer: one row a group in order of its key, and all of them together."""

    rows: list[Indicators]
    total: Indicators


def quality(question: Question, store: Counts, release: Release, timed: Collection[str]) -> Quality:
    """Answer *question* by the units, regions and assignments of *release*. Blocking.

    *timed*: the datasets with a rule of DEADLINE_KIND. Raises what the store raises.
    """
    counts = store.quality_counts(question.first, question.last, question.dataset)
    due = _due(question, release)
    reach = max((int(span) for span in due["span"].unique()), default=question.days)
    # By day, the first day looks back for a whole cycle of its own.
    earliest = (question.first if question.by == "day" else question.last) - timedelta(days=reach - 1)
    reports = store.report_days(earliest, question.last, question.dataset)
    places = _places(question, release)
    measured = pl.col("dataset").is_in(sorted(timed))
    sums = _grouped(counts, places, question).agg(
        *(pl.col(name).sum() for name in _SUMS),
        timed=pl.col("accepted").filter(measured).sum(),
        timely=pl.col("in_time").filter(measured).sum(),
    )
    owed = _grouped(_answered(due, reports), places, question).agg(
        due=pl.len().cast(pl.Int64), reported=pl.col("reported").sum().cast(pl.Int64)
    )
    joined = sums.join(owed, on="key", how="full", coalesce=True).sort("key").fill_null(0)
    rows = [Indicators(name=_name(row["key"], question.by, release), **row) for row in joined.iter_rows(named=True)]
    together = joined.drop("key").sum().row(0, named=True) if joined.height else {}
    return Quality(rows, Indicators(key="", name="", **together))


def _due(question: Question, release: Release) -> pl.DataFrame:
    """(dataset, unit, day, span): who must have reported by the end of that day, within so many days."""
    catalog = release.catalog
    wanted = [question.dataset] if question.dataset else [dataset.code for dataset in catalog]
    terms = [row for code in wanted for row in _terms(release, code)]
    first = question.first if question.by == "day" else question.last
    days = pl.DataFrame({"day": pl.date_range(first, question.last, eager=True)})
    # A whole period is asked about as one: whoever reported in it at all has reported.
    least = 1 if question.by == "day" else question.days
    return (
        pl.DataFrame(terms, schema=_DUE, orient="row")
        .join(days, how="cross")
        .filter(pl.col("day").is_between("begins", "ends"))
        .select("dataset", "unit", "day", span=pl.max_horizontal("span", pl.lit(least, pl.Int64)))
    )


def _terms(release: Release, dataset: str) -> Iterator[tuple[str, str, date, date, int]]:
    """Each unit's terms with the days on which they make it due: not before its first cycle is over."""
    histories: dict[str, list[Terms]] = {}
    for assignment in release.assignments.of_dataset(dataset):
        histories.setdefault(assignment.unit, []).append(assignment.terms)
    for unit, terms in histories.items():
        start = terms[0].since
        for at, one in enumerate(terms):
            span = CYCLE_DAYS[one.cycle]
            ends = terms[at + 1].since - timedelta(days=1) if at + 1 < len(terms) else date.max
            yield dataset, unit, max(one.since, start + timedelta(days=span - 1)), ends, span


def _answered(due: pl.DataFrame, reports: pl.DataFrame) -> pl.DataFrame:
    """*due* with ``reported``: whether the newest report up to that day lies within the span."""
    newest = reports.with_columns(seen=pl.col("day")).sort("day")
    found = due.sort("day").join_asof(
        newest, on="day", by=["dataset", "unit"], strategy="backward", check_sortedness=False
    )
    age = (pl.col("day") - pl.col("seen")).dt.total_days()
    return found.with_columns(reported=(age < pl.col("span")).fill_null(False))


def _places(question: Question, release: Release) -> pl.DataFrame:
    """Units that the question is about, with city and county."""
    regions = release.regions
    rows = [(unit.code, _city(unit, regions), unit.region) for unit in release.units if _asked(question, unit, regions)]
    return pl.DataFrame(rows, schema={"unit": pl.String, "city": pl.String, "county": pl.String}, orient="row")


def _asked(question: Question, unit: Unit, regions: Regions) -> bool:
    if question.own:
        return question.region == unit.region
    return not question.region or question.region in regions.path(unit.region)


def _city(unit: Unit, regions: Regions) -> str:
    """The city that the unit's region lies in; a unit of the province is the province's own."""
    cities = (code for code in regions.path(unit.region) if regions[code].level == "city")
    return next(cities, unit.region)


def _grouped(frame: pl.DataFrame, places: pl.DataFrame, question: Question) -> pl.dataframe.group_by.GroupBy:
    """*frame* by the question's key. Messages of unknown units stay, without a place, unless a region is asked for."""
    placed = frame.join(places, on="unit", how="inner" if question.region else "left")
    key = pl.col("day").cast(pl.String) if question.by == "day" else pl.col(question.by).fill_null("")
    return placed.with_columns(key=key).group_by("key")


def _name(key: str, by: Grouping, release: Release) -> str:
    found: Any = None
    if by == "unit":
        found = release.units.get(key)
    elif by in ("city", "county") and key in release.regions:
        found = release.regions[key]
    elif by == "dataset" and key in release.catalog:
        return release.catalog[key].zh
    return str(found.name) if found is not None else key


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
