"""One fault maker for every rule of the library: each takes a valid record and spoils it in exactly one way.

What a fault breaks is stated here, beside how it is made, and never asked of ``rules/``: that is what makes the oracle
an independent witness. A test fails when the library has a rule without a fault here, or the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal

from zhida.sample.identifiers import break_uscc
from zhida.sample.population import ALL_KINDS, Kind
from zhida.sample.records import RECENT_DAYS

Record = dict[str, Any]
ORGANISATIONS: frozenset[Kind] = frozenset({"company", "shop", "old"})
WITH_USCC: frozenset[Kind] = frozenset({"company", "shop"})
COMPANY: frozenset[Kind] = frozenset({"company"})
SHOP: frozenset[Kind] = frozenset({"shop"})
PERSON: frozenset[Kind] = frozenset({"person"})


@dataclass(frozen=True, slots=True)
class Draw:
    """What a fault maker may draw from."""

    random: Random
    today: date
    #: By dataset, registered units that have no assignment for it.
    unassigned: Mapping[str, Sequence[str]]


#: Spoils the record and returns the fields' other rules that break along with the fault's own.
Spoil = Callable[[Record, Draw], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong.

    ``subjects`` are the kinds of subject of whose records it can be made. Faults of different ``group`` touch and
    depend on different fields, so that one record can have several of them.
    """

    rule: str
    severity: Literal["reject", "suspect"]
    group: str
    subjects: frozenset[Kind]
    spoil: Spoil


class FaultTable:
    """Collects the faults of one dataset; rules are named without the dataset's code."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.faults: list[Fault] = []

    def add(
        self,
        rule: str,
        spoil: Spoil,
        *,
        group: str = "",
        subjects: frozenset[Kind] = ALL_KINDS,
        severity: Literal["reject", "suspect"] = "reject",
    ) -> None:
        """Add one fault; without *group* it depends on its own field only."""
        self.faults.append(Fault(f"{self.dataset}.{rule}", severity, group or rule.split(".")[0], subjects, spoil))

    def suspect(self, rule: str, spoil: Spoil, *, group: str = "", subjects: frozenset[Kind] = ALL_KINDS) -> None:
        """Add a fault that makes the record a suspect."""
        self.add(rule, spoil, group=group, subjects=subjects, severity="suspect")

    def required(self, *fields: str) -> None:
        """Add the fault of being empty for text fields that nothing else depends on."""
        for field in fields:
            self.add(f"{field}.required", blank(field))

    def envelope(self) -> None:
        """Add the faults that every dataset can have."""
        self.add("unit.known_unit", unknown_unit)
        self.add("unit.assigned_unit", unassigned_unit(self.dataset))
        self.add("record_id.required", one_of("record_id", "", " ", " 　"))
        self.add("version.range", one_of("version", 0, -1, -(2**40)))


def blank(field: str) -> Spoil:
    """Text that is missing, empty or only spaces (half width and full width)."""
    return one_of(field, None, None, None, "", "  ", "　")


def null(field: str) -> Spoil:
    """No value at all."""
    return one_of(field, None)


def one_of(field: str, *values: Any) -> Spoil:
    """One of *values* in *field*."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        record[field] = draw.random.choice(values)
        return ()

    return spoil


def decided_long_ago(field: str, *days: date, breaks: tuple[str, ...] = ()) -> Spoil:
    """A decision that is reported years late; *breaks* are the field's other rules that such a day breaks.

    Years late by the days of the holiday calendar, which ends at some time: a fixed day stays late for ever.
    """

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        record[field] = draw.random.choice(days)
        return breaks

    return spoil


def too_long(field: str, longest: int) -> Spoil:
    """More characters than allowed; each of them takes three bytes, so that counting bytes would be noticed."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        text = record[field] or "备注"
        wanted = longest + draw.random.randint(1, 30)
        record[field] = (text * (wanted // len(text) + 1))[:wanted]
        return ()

    return spoil


def either(*spoils: Spoil) -> Spoil:
    """One of several ways, by chance."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        return draw.random.choice(spoils)(record, draw)

    return spoil


def in_turn(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        return [rule for one in spoils for rule in one(record, draw)]

    return spoil


def bad_uscc(field: str) -> Spoil:
    """A code with a wrong check character, a swap, a lost or a forbidden character, or in small letters."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        code = str(record[field])
        small = code.lower()
        record[field] = small if small != code and draw.random.random() < 0.1 else break_uscc(code, draw.random)
        return ()

    return spoil


def bad_registration(field: str) -> Spoil:
    """A registration number that is not 15 digits."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        number = record[field] or "320106000012345"
        record[field] = draw.random.choice((number[:14], number + "0", number[:14] + "A", "苏" + number[1:]))
        return ()

    return spoil


def future(field: str, also: Callable[[Record, Draw], Sequence[str]] | None = None) -> Spoil:
    """A day well after today, so that midnight between making and judging changes nothing; *also* settles the rest."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        record[field] = days_after(draw.today, 3, 300, draw)
        return also(record, draw) if also else ()

    return spoil


def before(field: str, other: str, shortest: int = 1, longest: int = 400) -> Spoil:
    """A day before that in *other*."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        record[field] = record[other] - timedelta(days=draw.random.randint(shortest, longest))
        return ()

    return spoil


def fields(**values: Any) -> Spoil:
    """Several fields at once."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        record.update(values)
        return ()

    return spoil


def recently(draw: Draw) -> date:
    """A day that may be reported without being late."""
    return draw.today - timedelta(days=draw.random.randint(*RECENT_DAYS))


def days_after(day: date, shortest: int, longest: int, draw: Draw) -> date:
    """A day from *shortest* to *longest* days after *day*."""
    return day + timedelta(days=draw.random.randint(shortest, longest))


#: Codes with right check digits that belong to no unit of the sample, and what is no code at all.
UNKNOWN_UNITS = ("11440300007541528L", "12345678MB0000000X", "未知单位", "XZSPJ")


def unknown_unit(record: Record, draw: Draw) -> Sequence[str]:
    """A unit that is not registered on the platform."""
    record["unit"] = draw.random.choice(UNKNOWN_UNITS)
    return ()


def unassigned_unit(dataset: str) -> Spoil:
    """A unit that is registered and has no assignment for *dataset*."""

    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        record["unit"] = draw.random.choice(draw.unassigned[dataset])
        return ()

    return spoil


def decimals(*texts: str) -> tuple[Decimal, ...]:
    """Decimals from text."""
    return tuple(Decimal(text) for text in texts)
