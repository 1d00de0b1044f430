"""Who reports what about whom: the reporting units of the sample province, and each one's running numbers.

Whom a licence, a penalty or a listing is about must be registered, or other records decide what becomes of it. So it is
about a subject whose registration has been made by then and stays as it is (:meth:`World.registered`), or about one
that no registration of this province can be about: a natural person, a sole trader without a USCC, a company from
elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from schemas.assignments import Assignments
from schemas.units import Region, Regions, Unit, Units
from zhida.sample.population import ALL_KINDS, KIND_SHARES, NO_USCC, Kind, Population, Subject
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
        outsiders: float = 0.05,
    ) -> None:
        """*outsiders* is the share of the companies with licences, penalties or listings that are from elsewhere."""
        self.words = words
        self.regions = regions
        self.units = units
        self.days = Days.around(today)
        self.population = Population(size, regions, words, today, random)
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._outsiders = outsiders
        self._fresh = iter(self.population.registered)
        self._registered: dict[Kind, list[Subject]] = defaultdict(list)
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

    def subject(
        self, dataset: str, random: Random, kinds: Collection[Kind] = ALL_KINDS, *, alone: bool = False
    ) -> Subject:
        """One of *kinds* (as far as *dataset* has them) for a record of *dataset*.

        With *alone* it is one about whom no other record says anything.
        """
        if dataset == "legal_person":
            return self.next_registration(kinds)
        without = {"person"} if dataset == "abnormal_operation" else set()
        shares = [(kind, share) for kind, share in KIND_SHARES if kind in kinds and kind not in without]
        (kind,) = random.choices([kind for kind, _ in shares], [share for _, share in shares])
        among = self.population.unregistered[kind]
        if kind not in NO_USCC and not alone and self._registered[kind] and random.random() >= self._outsiders:
            among = self._registered[kind]
        return self.population.pick(among, random)

    def next_registration(self, kinds: Collection[Kind] = ALL_KINDS) -> Subject:
        """A subject with a USCC that no record is about yet: a code is registered once."""
        for subject in self._fresh:
            if subject.kind in kinds:
                return subject
        kind: Kind = "company" if "company" in kinds else "shop"
        return self.population.make(kind)

    def registered(self, subject: Subject) -> None:
        """The registration of *subject* has been made, will stand at the end and keep its code and name."""
        self._registered[subject.kind].append(subject)

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
