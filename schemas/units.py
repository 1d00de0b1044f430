"""Reporting units and regions of the province, as data."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

DATA_DIR = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Region:
    """A GB/T 2260 region: province, city or county."""

    code: str
    name: str
    level: str  # province, city, county
    parent: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A reporting unit; ``code`` is its USCC, ``region`` a GB/T 2260 code of any level."""

    code: str
    name: str
    region: str
    level: str  # province, city, county
    line: str  # department line, such as 市场监管
    #: Whom the credit centre calls. A telephone must not get into logs: it is left out of the representation.
    contact_name: str = ""
    contact_phone: str = field(default="", repr=False)
    #: As whom the unit's own clients are known to the broker, such as ``User:u-<code>``; "" where it has none.
    principal: str = ""
    #: The Ed25519 key that its signed records are checked against, PEM or base64; "" where it has none.
    public_key: str = ""

    @property
    def city(self) -> str:
        """The code of the unit's city; the province's code for a unit of the province."""
        return self.region[:4] + "00"


class Regions:
    """All regions by code."""

    def __init__(self, regions: list[Region]) -> None:
        self._by_code = {region.code: region for region in regions}

    def __getitem__(self, code: str) -> Region:
        return self._by_code[code]

    def __contains__(self, code: str) -> bool:
        return code in self._by_code

    def __iter__(self) -> Iterator[Region]:
        return iter(self._by_code.values())

    @cached_property
    def cities(self) -> tuple[Region, ...]:
        """The cities, in order of code."""
        return tuple(r for r in sorted(self, key=lambda r: r.code) if r.level == "city")

    def path(self, code: str) -> tuple[str, ...]:
        """The region of that code and those that it lies in, upwards; () for an unknown one."""
        found: list[str] = []
        while code in self._by_code and code not in found:
            found.append(code)
            code = self._by_code[code].parent
        return tuple(found)

    @classmethod
    def load(cls, path: Path = DATA_DIR / "regions.csv") -> Regions:
        """Read ``code,name,level,parent``."""
        with path.open(encoding="utf-8", newline="") as file:
            return cls([Region(**row) for row in csv.DictReader(file)])


class Units:
    """All units by code."""

    def __init__(self, units: list[Unit]) -> None:
        self._by_code = {unit.code: unit for unit in units}

    def __getitem__(self, code: str) -> Unit:
        return self._by_code[code]

    def __contains__(self, code: str) -> bool:
        return code in self._by_code

    def get(self, code: str) -> Unit | None:
        """The unit of that code, or None."""
        return self._by_code.get(code)

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._by_code.values())

    def __len__(self) -> int:
        return len(self._by_code)

    @cached_property
    def codes(self) -> frozenset[str]:
        """The codes of all units; one and the same object each time."""
        return frozenset(self._by_code)

    @cached_property
    def lines(self) -> frozenset[str]:
        """The department lines 条线 that there are."""
        return frozenset(unit.line for unit in self)

    @classmethod
    def load(cls, path: Path = DATA_DIR / "units.csv") -> Units:
        """Read the columns that :class:`Unit` has fields for, in any order; the ones with a default may be missing."""
        with path.open(encoding="utf-8", newline="") as file:
            return cls([Unit(**row) for row in csv.DictReader(file)])
