"""Collection assignments 采集目录: which unit must report which dataset, how often, from when, signed or not.

One file a dataset, ``schemas/assignments/<dataset>.yaml``, is a list of entries. An entry selects the units that meet
all it asks for (``lines``, ``levels``, ``regions`` with those below, ``units``), minus ``except``, and states their
terms: ``from`` which day, in which ``cycle``, with ``signing`` or without. A later entry refines what earlier ones say
of the same unit: what it states holds from its day on, what it leaves out stays as it was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.catalog import Catalog, UpdateCycle
from schemas.documents import Document, DocumentError, FaultError, Location, Problem, nearest
from schemas.units import Regions, Unit, Units

ASSIGNMENTS_DIR = Path(__file__).parent / "assignments"
_NOBODY: frozenset[str] = frozenset()
_SELECTS_NOBODY = ("没有选中任何单位：没有单位同时符合各项条件", "selects nobody: no unit meets all that it asks for")
_CHANGES_NOTHING = (
    "本条没有作用：上面各条对所选单位已有同样要求；要推迟某单位的起始日期，请把它列入上面的 except，再单写一条",
    "changes nothing: the entries above say this already of every unit selected; a unit that is to begin later is "
    "named under 'except' there and has an entry of its own",
)
_UNKNOWN = {
    "lines": ("没有单位属于条线", "no unit is of the line"),
    "regions": ("没有地区", "no region"),
    "units": ("没有登记的单位", "no unit is registered as"),
    "except": ("没有登记的单位", "no unit is registered as"),
}

#: YAML reads a code of digits alone as a number.
Code = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class AssignmentError(DocumentError):
    """Assignments cannot be used; ``problems`` has every fault in any file."""


class Entry(BaseModel):
    """Whom it selects, and what is asked of them. A selector that is left out lets every unit pass."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    lines: tuple[str, ...] | None = Field(default=None, min_length=1)
    levels: tuple[Literal["province", "city", "county"], ...] | None = Field(default=None, min_length=1)
    regions: tuple[Code, ...] | None = Field(default=None, min_length=1)
    units: tuple[Code, ...] | None = Field(default=None, min_length=1)
    excluded: tuple[Code, ...] = Field(default=(), alias="except")
    since: date | None = Field(default=None, alias="from")
    cycle: UpdateCycle | None = None
    signing: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.lines is None and self.levels is None and self.regions is None and self.units is None:
            raise FaultError(
                "没有选定单位：请写 lines、levels、regions 或 units（全部单位：levels 写全三级）",
                "selects nobody: give lines, levels, regions or units (levels: all three for every unit)",
            )
        if self.since is None and self.cycle is None and self.signing is None:
            raise FaultError("没有写明要求：请写 from、cycle 或 signing", "states nothing: give from, cycle or signing")
        return self


class AssignmentFile(BaseModel):
    """``schemas/assignments/<dataset>.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    assignments: tuple[Entry, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a unit must report a dataset from the day *since* on, until its next terms begin."""

    since: date
    cycle: UpdateCycle
    signing: bool


@dataclass(frozen=True, slots=True)
class Assignment:
    """That *unit* must report *dataset* on these *terms*."""

    dataset: str
    unit: str
    terms: Terms


#: Terms of one unit in order of their start; all units of the same history share one object.
_History = tuple[Terms, ...]


class _DatasetAssignments:
    """The assignments of one dataset, ready to be asked for a day."""

    def __init__(self, histories: Mapping[str, _History]) -> None:
        self.histories = histories
        joining: dict[date, list[str]] = defaultdict(list)
        for unit, history in histories.items():
            joining[history[0].since].append(unit)
        self._days = sorted(joining)
        self._units: list[frozenset[str]] = []
        together = _NOBODY
        for day in self._days:
            together = together.union(joining[day])
            self._units.append(together)

    def units(self, day: date) -> frozenset[str]:
        """The same object for every day between two starts, so that comparing two of them costs nothing."""
        place = bisect_right(self._days, day)
        return self._units[place - 1] if place else _NOBODY


class Assignments:
    """All collection assignments in force. Immutable. Made by :meth:`load` and :meth:`from_data`."""

    def __init__(self, files: Iterable[AssignmentFile], histories: Mapping[str, Mapping[str, _History]]) -> None:
        """*histories*: by dataset and unit, what the *files* come to."""
        self._files = tuple(sorted(files, key=lambda file: file.dataset))
        self._datasets = {code: _DatasetAssignments(found) for code, found in sorted(histories.items())}

    @classmethod
    def load(cls, catalog: Catalog, units: Units, regions: Regions, folder: Path = ASSIGNMENTS_DIR) -> Assignments:
        """Read every ``*.yaml`` in *folder*; raises AssignmentError with every fault, each with file and line.

        A dataset without a file is assigned to nobody.
        """
        problems: list[Problem] = []
        files: list[AssignmentFile] = []
        histories: dict[str, Mapping[str, _History]] = {}
        for path in sorted(folder.glob("*.yaml")):
            try:
                document = Document.read(path)
                file = document.validate(AssignmentFile)
            except DocumentError as error:
                problems += error.problems
                continue
            if file.dataset != path.stem:
                zh = f"dataset 应为 {path.stem!r}，与文件名相同"
                en = f"dataset must be {path.stem!r}, as the file's name says"
                problems.append(document.problem(("dataset",), zh, en))
                continue
            resolver = _Resolver(file, catalog, units, regions)
            files.append(file)
            histories[file.dataset] = resolver.histories
            problems += [document.problem(*fault) for fault in resolver.faults]
        if problems:
            raise AssignmentError(problems)
        return cls(files, histories)

    @classmethod
    def from_data(cls, data: Any, catalog: Catalog, units: Units, regions: Regions) -> Assignments:
        """The reverse of :meth:`to_data`, for the same catalog, units and regions; raises AssignmentError."""
        try:
            files = [AssignmentFile.model_validate(item) for item in data]
        except (ValidationError, TypeError) as error:
            raise AssignmentError([Problem("assignments", 1, "", str(error))]) from error
        resolvers = [_Resolver(file, catalog, units, regions) for file in files]
        problems = [Problem(f"assignments/{one.dataset}", 1, zh, en) for one in resolvers for _, zh, en in one.faults]
        if problems:
            raise AssignmentError(problems)
        return cls(files, {one.dataset: one.histories for one in resolvers})

    def to_data(self) -> list[dict[str, Any]]:
        """The entries as plain JSON data: small, as they name lines and regions and not each unit."""
        return [file.model_dump(mode="json", by_alias=True, exclude_defaults=True) for file in self._files]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Codes of the datasets that somebody is assigned, sorted."""
        return tuple(self._datasets)

    def units_for(self, dataset: str, day: date) -> frozenset[str]:
        """The units whose assignment for *dataset* is in force on *day*; one and the same object for many days."""
        found = self._datasets.get(dataset)
        return found.units(day) if found else _NOBODY

    def in_force(self, dataset: str, unit: str, day: date) -> Terms | None:
        """The terms on which *unit* must report *dataset* on *day*; None where it need not and may not."""
        found = self._datasets.get(dataset)
        history = found.histories.get(unit, ()) if found else ()
        return next((terms for terms in reversed(history) if terms.since <= day), None)

    def of_unit(self, unit: str) -> tuple[Assignment, ...]:
        """Every assignment of *unit*, by dataset and start, past and future terms included."""
        return tuple(
            Assignment(dataset, unit, terms)
            for dataset, found in self._datasets.items()
            for terms in found.histories.get(unit, ())
        )

    def of_dataset(self, dataset: str) -> tuple[Assignment, ...]:
        """Every assignment for *dataset*, by unit and start, past and future terms included."""
        found = self._datasets.get(dataset)
        histories = sorted(found.histories.items()) if found else ()
        return tuple(Assignment(dataset, unit, terms) for unit, history in histories for terms in history)


class _Resolver:
    """Turns the entries of one file into terms by unit; collects what is wrong with them: where, Chinese, English."""

    def __init__(self, file: AssignmentFile, catalog: Catalog, units: Units, regions: Regions) -> None:
        self.dataset = file.dataset
        self.faults: list[tuple[Location, str, str]] = []
        self.histories: dict[str, _History] = {}
        self._units = units
        self._regions = regions
        if self.dataset not in catalog:
            zh, en = nearest(self.dataset, (dataset.code for dataset in catalog))
            self._wrong(("dataset",), f"没有数据集 {self.dataset!r}{zh}", f"no dataset {self.dataset!r}{en}")
            return
        self._usual = Terms(date.max, catalog[self.dataset].update_cycle, False)
        for number, entry in enumerate(file.assignments):
            place: Location = ("assignments", number)
            self._check_names(entry, place)
            self._apply(entry, place)

    def _apply(self, entry: Entry, place: Location) -> None:
        selected = self._selected(entry)
        if not selected:
            self._wrong(place, *_SELECTS_NOBODY)
            return
        if entry.since is None and (new := [unit for unit in selected if unit not in self.histories]):
            zh = f"缺少起始日期 from：上面没有条目选中 {_few(new, '等')}"
            self._wrong(
                place, zh, f"says no day: 'from' is needed, as no entry above assigns {_few(new, 'and others')}"
            )
            return
        refined: dict[_History, _History] = {}
        for unit in selected:
            before = self.histories.get(unit, ())
            if before not in refined:
                refined[before] = _refined(before, entry, self._usual)
            self.histories[unit] = refined[before]
        if all(before == after for before, after in refined.items()):
            self._wrong(place, *_CHANGES_NOTHING)

    def _selected(self, entry: Entry) -> list[str]:
        among: Iterable[Unit] = self._units
        if entry.units is not None:
            among = [self._units[code] for code in dict.fromkeys(entry.units) if code in self._units]
        wanted = frozenset(entry.regions or ())
        below = {
            region.code
            for region in self._regions
            if entry.regions is None or not wanted.isdisjoint(self._regions.path(region.code))
        }
        return [
            unit.code
            for unit in among
            if (entry.lines is None or unit.line in entry.lines)
            and (entry.levels is None or unit.level in entry.levels)
            and unit.region in below
            and unit.code not in entry.excluded
        ]

    def _check_names(self, entry: Entry, place: Location) -> None:
        """A name that nobody has is most often a typing error, and would silently assign too few."""
        known: Mapping[str, tuple[Iterable[str], Collection[str]]] = {
            "lines": (entry.lines or (), self._units.lines),
            "regions": (entry.regions or (), [region.code for region in self._regions]),
            "units": (entry.units or (), self._units.codes),
            "except": (entry.excluded, self._units.codes),
        }
        for key, (names, existing) in known.items():
            for position, name in enumerate(names):
                if name not in existing:
                    (zh, en), (near_zh, near_en) = _UNKNOWN[key], nearest(name, existing)
                    self._wrong((*place, key, position), f"{zh} {name!r}{near_zh}", f"{en} {name!r}{near_en}")

    def _wrong(self, location: Location, zh: str, en: str) -> None:
        self.faults.append((location, zh, en))


def _refined(history: _History, entry: Entry, usual: Terms) -> _History:
    """*history* after *entry*: what it states holds from its day on, or always when it gives none."""
    since = entry.since or history[0].since
    terms = list(history)
    if all(one.since != since for one in terms):
        # Begin with the terms of that day; for a day before all others, with those that the unit has first.
        base = next((one for one in reversed(terms) if one.since <= since), terms[0] if terms else usual)
        terms = sorted([*terms, replace(base, since=since)], key=lambda one: one.since)
    for at, one in enumerate(terms):
        if one.since >= since:
            cycle = entry.cycle or one.cycle
            terms[at] = Terms(one.since, cycle, one.signing if entry.signing is None else entry.signing)
    # What is the same as before is no terms of its own.
    return tuple(one for at, one in enumerate(terms) if not at or _said(one) != _said(terms[at - 1]))


def _said(terms: Terms) -> tuple[str, bool]:
    return terms.cycle, terms.signing


def _few(codes: list[str], others: str) -> str:
    return ", ".join(codes[:3]) + (f" {others} ({len(codes)})" if len(codes) > 3 else "")
