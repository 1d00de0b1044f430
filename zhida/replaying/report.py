"""What a replay has found: counted by kind, verdicts, rule, unit and city, with samples. Pure."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rules.ruleset import RuleSet
from schemas.units import Regions, Units
from schemas.verdict import Violation, feedback_id
from zhida.replaying.compare import CODES, Difference

#: What may happen to a rule on a record; also the order in which it is told.
BROKEN, MENDED, REWORDED = "broken", "mended", "reworded"


@dataclass(frozen=True, slots=True)
class Sample:
    """One record that a change of one rule changes. ``value`` is masked where the field is personal."""

    feedback_id: str
    dataset: str
    unit: str
    was: str
    now: str
    rule: str
    change: str
    field: str
    value: str
    message_zh: str
    message_en: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Of a partition, what retention has taken away: ``dropped`` messages of whatever time; ``since``, ms, is when the
    oldest that is left was sent (None where none is).
    """

    topic: str
    partition: int
    dropped: int
    since: int | None


@dataclass(slots=True)
class Tally:
    """Counts while a replay runs."""

    samples_a_rule: int = 3
    #: Messages in range; those compared; without any verdict yet; judged, and the verdict is no longer to be found.
    read: int = 0
    compared: int = 0
    waiting: int = 0
    unknown: int = 0
    #: (kind, was, now) -> records.
    verdicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    datasets: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rules: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    units: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    samples: list[Sample] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    #: Offsets of the records that differ and the codes of the verdicts that they would have, by topic and partition.
    places: dict[tuple[str, int], tuple[array[int], array[int]]] = field(default_factory=dict)

    def add(self, dataset: str, topic: str, partition: int, differences: Iterable[Difference]) -> None:
        """Count *differences* of one partition."""
        for one in differences:
            offsets, verdicts = self.places.setdefault((topic, partition), (array("q"), array("B")))
            offsets.append(one.offset)
            verdicts.append(CODES[one.now])
            self.verdicts[one.kind, one.was, one.now] += 1
            self.datasets[dataset][one.kind] += 1
            self.units[one.unit][one.kind] += 1
            for violation, change in _changes(one):
                counts = self.rules[violation.rule]
                counts[change] += 1
                if counts[change] <= self.samples_a_rule:
                    place = feedback_id(topic, partition, one.offset)
                    self.samples.append(
                        Sample(
                            place, dataset, one.unit, one.was, one.now, violation.rule, change, violation.field,
                            violation.value, violation.message_zh, violation.message_en,
                        )
                    )  # fmt: skip

    @property
    def changed(self) -> int:
        """Records of which something else would be said."""
        return self.verdicts.total()


def _changes(one: Difference) -> Iterator[tuple[Violation, str]]:
    for violations, change in ((one.broken, BROKEN), (one.mended, MENDED), (one.reworded, REWORDED)):
        for violation in violations:
            yield violation, change


@dataclass(frozen=True, slots=True)
class Report:
    """A finished replay. Times in ms since the epoch, *start* included and *end* not; *seconds* is how long it took."""

    rule_set: str
    in_force: str
    start: int
    end: int
    datasets: tuple[str, ...]
    tally: Tally
    rules: tuple[dict[str, Any], ...]
    units: tuple[dict[str, Any], ...]
    cities: tuple[dict[str, Any], ...]
    #: Rules that are left out on both sides because the records' neighbours cannot be asked about.
    left_out: tuple[str, ...]
    seconds: float

    @property
    def changed(self) -> int:
        """Records of which something else would be said."""
        return self.tally.changed

    @property
    def rate(self) -> float:
        """Compared records a second."""
        return self.tally.compared / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        tally = self.tally
        return {
            "rule_set": self.rule_set,
            "in_force": self.in_force,
            "from": self.start,
            "to": self.end,
            "datasets": list(self.datasets),
            "read": tally.read,
            "compared": tally.compared,
            "same": tally.compared - tally.changed,
            "changed": tally.changed,
            "waiting": tally.waiting,
            "unknown": tally.unknown,
            "changes": [
                {"kind": kind, "was": was, "now": now, "records": count}
                for (kind, was, now), count in sorted(tally.verdicts.items())
            ],
            "by_dataset": [{"dataset": code, **_kinds(counts)} for code, counts in sorted(tally.datasets.items())],
            "by_rule": list(self.rules),
            "by_unit": list(self.units),
            "by_city": list(self.cities),
            "samples": [asdict(sample) for sample in tally.samples],
            "gone": [asdict(gone) for gone in tally.gone],
            "left_out": list(self.left_out),
            "seconds": round(self.seconds, 3),
            "records_per_second": round(self.rate),
        }


def by_rule(tally: Tally, new: RuleSet, in_force: RuleSet | None) -> tuple[dict[str, Any], ...]:
    """Each rule that some record newly breaks, no longer breaks or is told about in other words, most records first.

    ``how`` says what the rule set does to it: added, removed, changed, or same, and then it is not the rule that makes
    the difference but the catalog, the units or the day.
    """
    before, after = meanings(in_force) if in_force is not None else {}, meanings(new)
    rows = []
    for rule, counts in sorted(tally.rules.items(), key=lambda item: (-item[1].total(), item[0])):
        if rule not in before:
            how = "added" if rule in after else ""
        elif rule not in after:
            how = "removed"
        else:
            how = "same" if before[rule] == after[rule] else "changed"
        rows.append({"rule": rule, "how": how, **{name: counts[name] for name in (BROKEN, MENDED, REWORDED)}})
    return tuple(rows)


def meanings(rule_set: RuleSet) -> dict[str, dict[str, Any]]:
    """What each active rule means."""
    return {rule.id: rule.meaning() for rules in rule_set for rule in rules.active}


def by_unit(tally: Tally, units: Units) -> tuple[dict[str, Any], ...]:
    """Records by unit, most first; the unit is "" where nobody knows whose they are."""
    found = sorted(tally.units.items(), key=lambda item: (-item[1].total(), item[0]))
    return tuple({"unit": code, "name": _name(units, code), **_kinds(counts)} for code, counts in found)


def by_city(tally: Tally, units: Units, regions: Regions) -> tuple[dict[str, Any], ...]:
    """Records by the city of their unit, most first; a provincial unit's is the province."""
    cities: dict[str, Counter[str]] = defaultdict(Counter)
    for code, counts in tally.units.items():
        unit = units.get(code)
        cities[unit.city if unit else ""].update(counts)
    found = sorted(cities.items(), key=lambda item: (-item[1].total(), item[0]))
    return tuple(
        {"city": code, "name": regions[code].name if code in regions else "", **_kinds(counts)}
        for code, counts in found
    )


def _name(units: Units, code: str) -> str:
    unit = units.get(code)
    return unit.name if unit else ""


def _kinds(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: counts.get(kind, 0) for kind in ("verdict", "rules", "wording")}


def same_content(one: RuleSet, other: RuleSet) -> bool:
    """True where two rule sets say the same, whatever their numbers."""
    return one.version.partition("-")[2] == other.version.partition("-")[2]
