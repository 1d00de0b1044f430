"""The companies, sole traders and people of the sample province.

Half of all reports are about the same tenth of them, as in life: :meth:`Population.pick` favours low indexes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from schemas.units import Region, Regions
from zhida.sample.identifiers import USCC_ALPHABET, make_id_number, make_uscc
from zhida.sample.words import Words

Kind = Literal["company", "shop", "old", "person"]
ALL_KINDS: frozenset[Kind] = frozenset({"company", "shop", "old", "person"})
#: Share of each kind among the subjects. "old" are sole traders of whom only a registration number is known.
KIND_SHARES: tuple[tuple[Kind, float], ...] = (("company", 0.62), ("shop", 0.22), ("old", 0.04), ("person", 0.12))
NO_USCC: tuple[Kind, ...] = ("old", "person")
_CAPITALS = tuple(Decimal(n) for n in ("10", "50", "100", "200", "300", "500", "800", "1000", "2000", "5000", "10000"))
_ODD_CAPITALS = tuple(Decimal(n) for n in ("68.5", "1288.888", "3256.250000", "77.777777"))
_SHOP_CAPITALS = tuple(Decimal(n) for n in ("1", "2", "3", "5", "10"))
#: Districts of other provinces, whose companies are not in this one's registrations.
_ELSEWHERE = ("110105", "310115", "330106", "340104", "370102", "440305", "510107")
#: One company from elsewhere for so many subjects.
_SUBJECTS_PER_OUTSIDER = 20
_MOBILE_PREFIXES = ("138", "139", "150", "151", "158", "177", "180", "186", "189")


@dataclass(frozen=True, slots=True)
class Subject:
    """One whom records are about. A person has only a name and an identity number."""

    kind: Kind
    name: str
    county: str
    uscc: str | None
    registration: str | None
    id_number: str | None
    representative: str
    representative_id: str
    telephone: str
    address: str
    scope: str
    capital: Decimal
    founded: date


class Population:
    """*size* subjects, the same for the same *random*; every county has some once there are a few thousand."""

    def __init__(self, size: int, regions: Regions, words: Words, today: date, random: Random) -> None:
        self._words = words
        self._today = today
        self._random = random
        self._regions = regions
        self._counties = [region for region in regions if region.level == "county"]
        self._names: set[str] = set()
        self._bodies: set[str] = set()
        kinds = [kind for kind, _ in KIND_SHARES]
        weights = [share for _, share in KIND_SHARES]
        self.subjects = [self.make(kind) for kind in random.choices(kinds, weights, k=max(size, 1))]
        #: Those with a USCC, which the registration of legal persons is about.
        self.registered = [subject for subject in self.subjects if subject.uscc] or [self.make("company")]
        self.organisations = [subject for subject in self.subjects if subject.kind != "person"] or self.registered
        #: By kind, those about whom no other record says anything: no registration of this province is theirs.
        self.unregistered: dict[Kind, list[Subject]] = {
            **{kind: [one for one in self.subjects if one.kind == kind] or [self.make(kind)] for kind in NO_USCC},
            **{kind: self._outsiders(kind, share * size) for kind, share in KIND_SHARES if kind not in NO_USCC},
        }

    def pick(self, among: list[Subject], random: Random) -> Subject:
        """One of *among*, the first ones much more often than the last."""
        return among[int(random.random() ** 2.2 * len(among))]

    def _outsiders(self, kind: Kind, among: float) -> list[Subject]:
        return [self.make(kind, elsewhere=True) for _ in range(max(1, round(among / _SUBJECTS_PER_OUTSIDER)))]

    def make(self, kind: Kind, *, elsewhere: bool = False) -> Subject:
        """A new subject of *kind*, not among the others; registered *elsewhere* if it has a USCC, and active here."""
        random, words = self._random, self._words
        county = self._counties[random.randrange(len(self._counties))]
        city = self._regions[county.parent].name
        person = self._person_name()
        id_number = self._id_number()
        scope = "零售与服务"
        capital = random.choice(_SHOP_CAPITALS)
        if kind == "person":
            name = person
        elif kind in ("shop", "old"):
            shop = random.choice(words.shops)
            name = self._unique(lambda: f"{county.name}{self._brand()}{shop}")
        else:
            industry = random.choice(words.industries)
            place = random.choice((city, county.name))
            scope = industry.scope
            form = random.choice(words.company_forms)
            name = self._unique(lambda: f"{place.rstrip('市')}{self._brand()}{industry.word}{form}")
            capital = random.choice(_ODD_CAPITALS if random.random() < 0.1 else _CAPITALS)
        return Subject(
            kind=kind,
            name=name,
            county=county.code,
            uscc=None if kind in NO_USCC else self._uscc(kind, random.choice(_ELSEWHERE) if elsewhere else county.code),
            registration=self._registration(county) if kind == "old" else None,
            id_number=id_number if kind == "person" else None,
            representative=person,
            representative_id=id_number,
            telephone=random.choice(_MOBILE_PREFIXES) + f"{random.randrange(10**8):08d}",
            address=f"{city}{county.name}{random.choice(words.roads)}{random.randint(1, 299)}号",
            scope=scope,
            capital=capital,
            founded=self._today - timedelta(days=random.randint(200, 9000)),
        )

    def _person_name(self) -> str:
        random, given = self._random, self._words.given_names
        name = random.choice(self._words.surnames) + random.choice(given)
        return name + random.choice(given) if random.random() < 0.75 else name

    def _brand(self) -> str:
        return "".join(self._random.choices(self._words.brands, k=self._random.choice((2, 2, 3))))

    def _unique(self, make: Callable[[], str]) -> str:
        while (name := make()) in self._names:
            pass
        self._names.add(name)
        return name

    def _id_number(self) -> str:
        random = self._random
        born = self._today - timedelta(days=random.randint(20 * 365, 65 * 365))
        while (number := make_id_number(random.choice(self._counties).code, born, random.randrange(1, 1000))) in (
            self._bodies
        ):
            pass
        self._bodies.add(number)
        return number

    def _uscc(self, kind: Kind, region: str) -> str:
        while (body := "MA" + "".join(self._random.choices(USCC_ALPHABET, k=6))) in self._bodies:
            pass
        self._bodies.add(body)
        return make_uscc("9", "1" if kind == "company" else "2", region, body)

    def _registration(self, county: Region) -> str:
        """15 digits: region, number, and the check digit of GB/T 17710 (ISO 7064 MOD 11, 10)."""
        while (first := f"{county.code}{self._random.randrange(10**8):08d}") in self._bodies:
            pass
        self._bodies.add(first)
        state = 10
        for digit in first:
            state = ((state + int(digit)) % 10 or 10) * 2 % 11
        return first + str((11 - state) % 10)
