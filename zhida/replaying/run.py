"""A replay: stored history judged by a rule set, and compared with what was said of it. Changes nothing anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rules.ruleset import RuleSet
from rules.state.definitions import StateSource
from schemas.catalog import Dataset
from schemas.connection import KafkaConnection
from schemas.registry.client import RegistryClient
from schemas.release import Release
from schemas.topics import GOVERN_GROUP
from schemas.units import Units
from streams.decoding import CodecCache
from zhida.lag import committed_and_end
from zhida.replaying.compare import Difference, LiveVerdicts, Scope, compare
from zhida.replaying.history import History, Place, Stretch, portions, total
from zhida.replaying.judging import Judge, Record, left_out
from zhida.replaying.live import Live
from zhida.replaying.report import Gone, Report, Tally, by_city, by_rule, by_unit

#: Offsets whose live verdicts are held at a time: nine bytes each, and what was said of those that broke a rule.
_PORTION = 2_000_000
_DAY_MS = 86_400_000
#: China's clocks are ahead of UTC by this, ms.
_CHINA_MS = 8 * 3_600_000


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how a replay gets on: once how many messages there are to read, then of each advance."""

    started: Callable[[int], None] = lambda _: None
    advanced: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Replay:
    """What is judged by what. ``in_force`` is what the live verdicts are given by now, for comparison of the rules."""

    kafka: KafkaConnection
    registry: RegistryClient
    release: Release
    rule_set: RuleSet
    in_force: RuleSet | None
    max_record_bytes: int
    state: StateSource | None = None
    batch: int = 5000
    samples: int = 3

    def run(self, datasets: Sequence[Dataset], start: int, end: int, watch: Watch = Watch()) -> Report:
        """Replay the records of *datasets* that were sent from *start* (ms) up to before *end*.

        Raises UnreachableError, KafkaException, RegistryUnavailable, and RuleError where there are no rules for one.
        """
        began = time.monotonic()
        tally = Tally(self.samples)
        skipped, scope = left_out(self.rule_set, self.in_force, self.state)
        topics = [dataset.report_topic for dataset in datasets]
        with History(self.kafka, batch=self.batch) as history:
            reports = history.stretches(topics, start)
            # In this order: what is committed now has its verdict below the ends that are looked at next.
            committed = committed_and_end(self.kafka, GOVERN_GROUP, topics)
            live = Live(history, datasets, watch.advanced)
            watch.started(live.plan(start) + total(reports))
            live.read_others()
            codecs = CodecCache(self.registry)
            judges = {dataset.report_topic: self._judge(dataset, codecs) for dataset in datasets}
            for portion in portions(reports, _PORTION):
                verdicts = live.of(portion)
                parts = {
                    place: _Part(
                        judges[place[0]],
                        place,
                        verdicts[place],
                        tally,
                        committed.get(place, (0, 0))[0],
                        scope,
                        self.release.units,
                        self.batch,
                        (start, end),
                    )
                    for place in portion
                }
                for place, messages in history.read(portion, watch.advanced):
                    parts[place].take(messages)
                for place, part in parts.items():
                    part.finish(portion[place])
        return Report(
            rule_set=self.rule_set.version,
            in_force=self.in_force.version if self.in_force else "",
            start=start,
            end=end,
            datasets=tuple(dataset.code for dataset in datasets),
            tally=tally,
            rules=by_rule(tally, self.rule_set, self.in_force),
            units=by_unit(tally, self.release.units),
            cities=by_city(tally, self.release.units, self.release.regions),
            left_out=skipped,
            seconds=time.monotonic() - began,
        )

    def _judge(self, dataset: Dataset, codecs: CodecCache) -> Judge:
        return Judge(
            dataset,
            self.rule_set,
            self.release,
            codecs,
            max_record_bytes=self.max_record_bytes,
            state=self.state,
        )


@dataclass(slots=True)
class _Part:
    """The records of one partition, gathered by the day on which each was judged: a rule may ask what day it is."""

    judge: Judge
    place: Place
    live: LiveVerdicts
    tally: Tally
    committed: int
    scope: Scope
    units: Units
    batch: int
    span: tuple[int, int]
    #: Day -> (messages, their offsets).
    _days: dict[int, tuple[list[Any], list[int]]] = field(default_factory=dict)
    _oldest: int | None = None

    def take(self, messages: list[Any]) -> None:
        """Judge and compare those of *messages*, in order of the partition, that were sent in the range."""
        times = np.fromiter((message.timestamp()[1] for message in messages), np.int64, len(messages))
        if self._oldest is None:
            self._oldest = int(times[0])
        rows = np.flatnonzero((times >= self.span[0]) & (times < self.span[1]))
        if len(rows):
            self._take([messages[row] for row in rows] if len(rows) < len(messages) else messages)

    def finish(self, stretch: Stretch) -> None:
        """All messages have been taken."""
        for day in sorted(self._days):
            self._judge(day)
        if stretch.low > 0 and stretch.begin <= stretch.low:
            # The range begins before what is kept begins.
            self.tally.gone.append(Gone(*self.place, stretch.low, self._oldest))

    def _take(self, messages: list[Any]) -> None:
        offsets = np.fromiter((message.offset() for message in messages), np.int64, len(messages))
        governed = self.live.governed(offsets)
        self.tally.read += len(messages)
        silent = governed == 0
        if silent.any():
            waiting = int((silent & (offsets >= self.committed)).sum())
            self.tally.waiting += waiting
            self.tally.unknown += int(silent.sum()) - waiting
        days = (governed + _CHINA_MS) // _DAY_MS
        for day in np.unique(days[~silent]).tolist():
            rows = np.flatnonzero((days == day) & ~silent)
            found = self._days.setdefault(day, ([], []))
            found[0].extend(messages if len(rows) == len(messages) else [messages[row] for row in rows])
            found[1].extend(offsets[rows].tolist())
            if len(found[0]) >= self.batch:
                self._judge(day)

    def _judge(self, day: int) -> None:
        messages, offsets = self._days.pop(day)
        records = [Record(message) for message in messages]
        # Noon, as good as any moment of the day.
        said, stale = self.judge.judge(*self.place, records, day * _DAY_MS - _CHINA_MS + _DAY_MS // 2)
        self.tally.compared += len(offsets)
        differences = compare(offsets, self.live, said, self.scope, stale)
        self.tally.add(self.judge.dataset.code, *self.place, self._addressed(differences, offsets, records))

    def _addressed(
        self, differences: Iterator[Difference], offsets: Sequence[int], records: Sequence[Record]
    ) -> Iterator[Difference]:
        """With the unit that the key names, where neither side says who is told."""
        rows: Mapping[int, int] | None = None
        for one in differences:
            if one.unit:
                yield one
                continue
            rows = rows or {offset: row for row, offset in enumerate(offsets)}
            named = (records[rows[one.offset]].key or b"").partition(b"|")[0].decode("utf-8", "replace")
            yield replace(one, unit=named if named in self.units else "")
