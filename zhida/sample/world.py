"""Who reports what about whom: the reporting units of the sample province, and each one's running numbers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from schemas.assignments import Assignments
from schemas.units import Region, Regions, Unit, Units
from zhida.sample.population import Population, Subject
from zhida.sample.words import Words

#: Department lines that report each dataset in every county and city; of the others that are assigned it, some do.
_EVERYWHERE = {
    "legal_person": ("市场监管", "行政审批"),
    "administrative_licence": ("行政审批",),
    "administrative_penalty": ("市场监管",),
    "abnormal_operation": ("市场监管",),
}
#: Share of the other units that have something to report: about 300 of 2,000.
_SOME = 0.15


@dataclass(frozen=True, slots=True)
class Days:
    """Dates by their distance from today, made once."""

    today: date
    back: tuple[date, ...]
    ahead: tuple[date, ...]

    @classmethod
    def around(cls, today: date) -> Days:
        """Thirty years back and ahead."""
        return cls(
            today,
            tuple(today - timedelta(days=n) for n in range(11_000)),
            tuple(today + timedelta(days=n) for n in range(11_000)),
        )


class World:
    """Everything that record makers draw from."""

    def __init__(
        self,
        size: int,
        regions: Regions,
        units: Units,
        assignments: Assignments,
        words: Words,
        today: date,
        random: Random,
    ) -> None:
        self.words = words
        self.regions = regions
        self.units = units
        self.days = Days.around(today)
        self.population = Population(size, regions, words, today, random)
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._fresh = iter(self.population.registered)
        by_place: dict[tuple[str, str], list[Unit]] = defaultdict(list)
        assigned = {dataset: assignments.units_for(dataset, today) for dataset in _EVERYWHERE}
        for unit in units:
            for dataset, everywhere in _EVERYWHERE.items():
                if unit.code not in assigned[dataset]:
                    continue
                if unit.line in everywhere or (self._reports(unit, dataset) and random.random() < _SOME):
                    by_place[dataset, unit.region].append(unit)
        # Not assigned tomorrow either: a run that begins before midnight is judged on the next day.
        tomorrow = today + timedelta(days=1)
        #: By dataset, the units that are registered and may not report it.
        self.unassigned = {
            dataset: tuple(sorted(units.codes - assignments.units_for(dataset, tomorrow))) for dataset in _EVERYWHERE
        }
        self._reporters = {
            (dataset, county.code): _jurisdiction(county, by_place, dataset)
            for dataset in _EVERYWHERE
            for county in regions
            if county.level == "county"
        }

    def reporter(self, dataset: str, subject: Subject, random: Random) -> Unit:
        """A unit in whose jurisdiction *subject* is."""
        among = self._reporters[dataset, subject.county]
        return among[int(random.random() * len(among))]

    def next_registration(self) -> Subject:
        """The next subject whose registration has not been reported yet; starts again when all have been."""
        for subject in self._fresh:
            return subject
        self._fresh = iter(self.population.registered)
        return next(self._fresh)

    def next_number(self, unit: str, series: str) -> int:
        """1, 2, 3, … for each unit and series: different units do use the same record ids."""
        key = (unit, series)
        self._numbers[key] = number = self._numbers[key] + 1
        return number

    def _reports(self, unit: Unit, dataset: str) -> bool:
        if dataset == "administrative_licence":
            return unit.line in self.words.licences
        return dataset == "administrative_penalty" and unit.line in self.words.penalties


def _jurisdiction(county: Region, by_place: dict[tuple[str, str], list[Unit]], dataset: str) -> tuple[Unit, ...]:
    """The county's own units three times, the city's twice, the province's once: who is near sees more."""
    province = f"{county.code[:2]}0000"
    own, city, top = (by_place[dataset, place] for place in (county.code, county.parent, province))
    return tuple(own * 3 + city * 2 + top)
