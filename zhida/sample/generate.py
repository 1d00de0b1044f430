"""Makes the messages of the sample province, each with its right answer. The same arguments give the same messages."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import cycle
from random import Random
from typing import Any

from schemas.assignments import Assignments
from schemas.catalog import Catalog, Dataset
from schemas.units import Regions, Units
from zhida.sample.cases import Case, Cases, plan_cases
from zhida.sample.fault_tables import all_faults
from zhida.sample.faults import Draw, Fault
from zhida.sample.lives import LIVES, Life, Step, plan_lives
from zhida.sample.message import ACCEPTED, BodyEncoder, Expected, SampleMessage, Trait
from zhida.sample.population import ALL_KINDS, Subject
from zhida.sample.records import MAKERS, make_valid, move_to, revise
from zhida.sample.unreadable import UnreadableMaker
from zhida.sample.words import Words
from zhida.sample.world import World

#: How many of a hundred sound records belong to each dataset.
DATASET_WEIGHTS = {
    "administrative_licence": 40,
    "administrative_penalty": 26,
    "legal_person": 22,
    "abnormal_operation": 12,
}
#: One subject for so many records.
_RECORDS_PER_SUBJECT = 3
#: Time stamps as version numbers go beyond 2**53, where a number in JSON would no longer be exact.
_STAMP_VERSION = 20_251_101_093_000_000
#: How much later the next message of a life comes, in messages: in the same batch, in the next, or much later.
_DELAYS = (1, 1, 2, 3, 8, 40, 150, 600, 2000, 5000)
_LATE = _DELAYS[-3:]
#: Of whom licences, penalties and listings may say anything that they say.
_IN_BUSINESS = ("存续", "迁出")


@dataclass(frozen=True, slots=True)
class FaultShares:
    """Shares of all messages (0 to 1). Corrections, late and withdrawn records overlap with the first three shares: a
    correction can be rejected too.

    ``linked`` of the suspects are so for what other records say (``zhida.sample.cases``); ``lookalikes`` is the share
    of messages that belong to cases which look as if, and are sound. ``outsiders`` is the share of the companies with
    licences, penalties or listings that are registered in another province: about them no other record says anything.

    ``too_large`` is a number of messages, each ``oversize`` bytes, which must be more than the platform's limit for a
    record and less than the broker's for a message.
    """

    rejected: float = 0.06
    suspect: float = 0.03
    quarantined: float = 0.006
    duplicates: float = 0.02
    corrections: float = 0.05
    out_of_order: float = 0.02
    deletes: float = 0.02
    too_large: int = 2
    oversize: int = 1_200_000
    linked: float = 0.01
    lookalikes: float = 0.01
    outsiders: float = 0.05

    def wanted(self, records: int) -> dict[str, int]:
        """The number of messages of each share of single records."""
        counts = {share: round(getattr(self, share) * records) for share in LIVES}
        counts["suspect"] -= self.suspect_cases(records)
        return counts

    def suspect_cases(self, records: int) -> int:
        """The number of cases in which one record is suspect."""
        return round(min(self.linked, self.suspect) * records)

    def sound_cases(self, records: int) -> int:
        """The number of messages of cases that only look as if."""
        return round(self.lookalikes * records)


NO_FAULTS = FaultShares(0, 0, 0, 0, 0, 0, 0, 0, linked=0, lookalikes=0)
#: No record says anything of another one: each is accepted, whatever the platform has seen before.
UNRELATED = replace(NO_FAULTS, outsiders=1)


def generate(
    seed: int,
    records: int,
    catalog: Catalog,
    units: Units,
    regions: Regions,
    assignments: Assignments,
    today: date,
    faults: FaultShares | None = None,
) -> Iterator[SampleMessage]:
    """*records* messages in the order in which they are to be sent.

    Messages with the same key must reach the broker in this order. Raises ValueError when the shares of *faults* need
    more messages than *records*.
    """
    random = Random(seed)  # noqa: S311 - a sample, not a secret
    shares = faults or FaultShares()
    stories: list[Life | Case] = [*plan_cases(shares.suspect_cases(records), shares.sound_cases(records), random)]
    left = records - sum(case.size for case in stories if isinstance(case, Case))
    stories += plan_lives(left, shares.wanted(records), random)
    random.shuffle(stories)
    words = Words.load()
    subjects = records // _RECORDS_PER_SUBJECT
    world = World(subjects, regions, units, assignments, words, today, random, shares.outsiders)
    return _in_order(stories, _StoryMaker(world, catalog, random, shares))


def _in_order(stories: Sequence[Life | Case], maker: _StoryMaker) -> Iterator[SampleMessage]:
    """Begins one story after the other; a message that is due later waits its turn."""
    waiting: list[tuple[int, int, SampleMessage]] = []
    coming = iter(stories)
    story = next(coming, None)
    seq = tie = 0
    while story is not None or waiting:
        if story is None or (waiting and waiting[0][0] <= seq):
            message = heapq.heappop(waiting)[2]
        else:
            (_, message), *later = maker.make(story)
            due = seq
            for delay, follower in later:
                due += delay
                tie += 1
                heapq.heappush(waiting, (due, tie, follower))
            story = next(coming, None)
        yield replace(message, seq=seq)
        seq += 1


class _StoryMaker:
    """Makes all messages of one life or case at once, in the order in which they are to be sent, without their numbers.

    Beside each is how many messages later than the one before it comes.
    """

    def __init__(self, world: World, catalog: Catalog, random: Random, shares: FaultShares) -> None:
        self.random = random
        self._world = world
        self._cases = Cases(world, random)
        self._draw = Draw(random, world.days.today, world.unassigned)
        self._datasets = {dataset.code: dataset for dataset in catalog if dataset.code in MAKERS}
        self._names = tuple(self._datasets)
        self._weights = [DATASET_WEIGHTS[name] for name in self._names]
        self._unreadable = UnreadableMaker(BodyEncoder(catalog), random, shares.oversize)
        readable = {dataset: faults for dataset, faults in all_faults().items() if dataset in self._datasets}
        self._faults = readable
        # Every rule in turn, so that each has about the same number of records that break it.
        self._rejects = cycle(_shuffled(readable, "reject", random))
        self._suspects = cycle(_shuffled(readable, "suspect", random))
        self._reasons = cycle([reason for reason in self._unreadable.makers if reason != "too_large"])
        self._too_large = shares.too_large

    def make(self, story: Life | Case) -> list[tuple[int, SampleMessage]]:
        """The messages of *story*."""
        if isinstance(story, Life):
            return [(self.random.choice(_DELAYS), message) for message in self._live(story)]
        made = []
        for part in self._cases.make(story):
            subject = clear_subject(self._datasets[part.dataset], part.record)
            message = self._message(part.dataset, part.record, part.record["unit"], part.expected, subject)
            made.append((self.random.choice(_LATE if part.late else _DELAYS), message))
        return made

    def _live(self, life: Life) -> list[SampleMessage]:
        dataset, fault = self._dataset_and_fault(life)
        alone = any(step.version in life.overtaken and step.what != "moved" for step in life.steps)
        kinds = fault[1].subjects if fault else ALL_KINDS
        subject = self._world.subject(dataset, self.random, kinds, alone=alone)
        base, subject = make_valid(dataset, self._world, self.random, subject)
        if len(life.steps) > 1 and self.random.random() < 0.2:
            base["version"] = _STAMP_VERSION
        made: dict[int, SampleMessage] = {}
        messages: list[SampleMessage] = []
        highest = 0
        for step in life.steps:
            if step.what == "again":
                message = replace(made[step.version], trait="duplicate", standing=False)
            elif step.what == "raw":
                message = self._quarantined(dataset, base, alone=len(life.steps) == 1)
            else:
                message = self._step(dataset, base, subject, life, step, highest, fault)
            made[step.version] = made.get(step.version, message)
            highest = max(highest, step.version)
            messages.append(message)
        if dataset == "legal_person" and life.steady and base["DJZT"] in _IN_BUSINESS:
            self._world.registered(subject)
        return messages

    def _dataset_and_fault(self, life: Life) -> tuple[str, tuple[str, Fault] | None]:
        for step in life.steps:
            if step.what in ("bad", "suspect"):
                chosen = next(self._rejects if step.what == "bad" else self._suspects)
                return chosen[0], chosen
        return self.random.choices(self._names, self._weights)[0], None

    def _step(
        self,
        dataset: str,
        base: dict[str, Any],
        subject: Subject,
        life: Life,
        step: Step,
        highest: int,
        fault: tuple[str, Fault] | None,
    ) -> SampleMessage:
        """The message of one version of the record *base* about *subject*; *highest* is the version sent so far."""
        record = dict(base)
        record["version"] = base["version"] + step.version - 1
        if step.version > 1:
            revise(dataset, record, step.version, self.random)
        expected = ACCEPTED
        if step.what == "moved":
            move_to(dataset, record, self._world, self.random, alone=step.version in life.overtaken)
        elif step.what == "gone":
            record["deleted"] = True
            if self.random.random() < 0.4:  # withdrawn by its number alone, which is all that some units send
                record.update((field.name, None) for field in self._datasets[dataset].business_fields)
        elif fault is not None and step.what in ("bad", "suspect"):
            expected = self._spoil(dataset, record, subject, fault[1])
        about = None if expected.verdict == "rejected" else clear_subject(self._datasets[dataset], record)
        trait = _trait(step.what, step.version, highest)
        return self._message(
            dataset, record, base["unit"], expected, about, trait=trait, standing=step.version == life.standing
        )

    def _spoil(self, dataset: str, record: dict[str, Any], subject: Subject, fault: Fault) -> Expected:
        """Spoil *record* by *fault* and now and then by one or two more; say what is broken then."""
        spoiled = [fault]
        if self.random.random() < 0.15:
            for other in self.random.sample(self._faults[dataset], k=self.random.choice((2, 4))):
                fits = subject.kind in other.subjects and other.group not in {one.group for one in spoiled}
                if fits and (fault.severity == "reject" or other.severity == "suspect"):
                    spoiled.append(other)
        broken = {one.rule for one in spoiled}
        for one in spoiled:
            broken.update(f"{dataset}.{rule}" for rule in one.spoil(record, self._draw))
        return Expected("rejected" if fault.severity == "reject" else "suspect", frozenset(broken))

    def _message(
        self,
        dataset: str,
        record: dict[str, Any],
        sender: str,
        expected: Expected,
        subject: tuple[str, str] | None,
        *,
        trait: Trait = "report",
        standing: bool = True,
    ) -> SampleMessage:
        # A record in another's name may still have the key of the unit that sends it. The unit that the record names is
        # told where it exists, else the one of the key.
        named = record["unit"] if record["unit"] == sender or self.random.random() < 0.7 else sender
        told = next((code for code in (record["unit"], named) if code in self._world.units), None)
        return SampleMessage(
            seq=-1,
            dataset=dataset,
            key=f"{named}|{record['record_id']}".encode(),
            unit=told,
            record=record,
            raw=None,
            expected=expected,
            trait=trait,
            standing=standing,
            subject=subject,
        )

    def _quarantined(self, dataset: str, base: dict[str, Any], *, alone: bool) -> SampleMessage:
        if self._too_large > 0:
            self._too_large -= 1
            reason = "too_large"
        else:
            reason = next(self._reasons)
        unit: str | None = base["unit"]
        key: bytes | None = f"{unit}|{base['record_id']}".encode()
        if alone and self.random.random() < 0.3:
            key = self.random.choice((None, b"\xff\xfe\xfd|1", "未知单位|1".encode(), b"no-unit-here"))
            unit = None
        return SampleMessage(
            seq=-1,
            dataset=dataset,
            key=key,
            unit=unit,
            record=None,
            raw=self._unreadable.make(reason, dataset, base),
            expected=Expected("quarantined", reason=reason),
            trait="unreadable",
        )


def _trait(what: str, version: int, highest: int) -> Trait:
    if what == "gone":
        return "deleted"
    if version < highest:
        return "late"
    if what == "moved" and highest:
        return "moved"
    return "correction" if highest else "report"


def _shuffled(faults: dict[str, tuple[Fault, ...]], severity: str, random: Random) -> list[tuple[str, Fault]]:
    chosen = [(dataset, fault) for dataset, table in faults.items() for fault in table if fault.severity == severity]
    random.shuffle(chosen)
    return chosen


def clear_subject(dataset: Dataset, record: dict[str, Any]) -> tuple[str, str] | None:
    """Whom *record* is about, in clear; None where it does not say, as in a withdrawal by number alone."""
    spec = dataset.subject
    for kind, name in (("uscc", spec.uscc), ("reg", spec.registration_number), ("id", spec.id_number)):
        if name and (value := (record[name] or "").strip()):
            return kind, value
    return None
