"""The platform in small: governors with the state in memory, partitions that are read in any order, in any portions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from zlib import crc32

import polars as pl
from sample_province import Sample

from rules.ruleset import RuleSet
from rules.state.memory import MemoryState
from schemas.catalog import Catalog
from schemas.registry.client import UnknownSchema
from schemas.topics import feedback_topic
from schemas.verdict import Feedback
from streams.decoding import CodecCache
from streams.governing import Governor
from streams.learning import learn_and_decode
from zhida.sample.message import MessageEncoder
from zhida.sample.report import PLACEMENT_SCHEMA

_LARGEST_BATCH = 200
_MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class _Schemas:
    """A registry that knows every dataset and nothing else."""

    catalog: Catalog

    def ids(self) -> dict[str, int]:
        return {dataset.code: number for number, dataset in enumerate(self.catalog, start=1)}

    def schema(self, schema_id: int) -> dict[str, Any]:
        if schema_id > len(self.ids()):
            raise UnknownSchema(schema_id)
        return list(self.catalog)[schema_id - 1].avro_schema

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return frozenset({list(self.catalog)[schema_id - 1].subject_name})


@dataclass(frozen=True)
class _Report:
    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class SmallPlatform:
    """Judges a sample; ``feedback`` is what units are told, in order."""

    def __init__(self, sample: Sample, rules: RuleSet, today: date, random: Random, partitions: int = 3) -> None:
        schemas = _Schemas(sample.catalog)
        self._random = random
        self._state = MemoryState()
        self._now = int(datetime(today.year, today.month, today.day, 4, tzinfo=UTC).timestamp() * 1000)
        self._governors: dict[str, Governor] = {}
        for dataset in sample.catalog:
            codecs = CodecCache(schemas)
            codecs.learn(dataset, schemas.ids()[dataset.code])
            self._governors[dataset.report_topic] = Governor(
                dataset,
                rules,
                sample.units,
                sample.assignments,
                codecs,
                max_record_bytes=_MAX_RECORD_BYTES,
                row_limit=100,
            )
        self._logs: dict[tuple[str, int], list[_Report]] = defaultdict(list)
        self._read: dict[tuple[str, int], int] = defaultdict(int)
        self._verdicts: dict[tuple[str, int, int], tuple[str, str]] = {}
        self.feedback: list[tuple[str, Feedback]] = []
        self.judged_again = 0
        self._places: list[tuple[int, str, int, int]] = []
        encoder = MessageEncoder(sample.catalog, schemas.ids())
        for message in sample.messages:
            topic = sample.catalog[message.dataset].report_topic
            log = self._logs[place := (topic, crc32(message.key or b"") % partitions)]
            self._places.append((message.seq, *place, len(log)))
            log.append(_Report(message.key, encoder.value(message), len(log)))

    @property
    def placements(self) -> pl.DataFrame:
        """Where each message is."""
        return pl.DataFrame(self._places, PLACEMENT_SCHEMA, orient="row")

    def run(self) -> None:
        """Judge everything, and again what is due, until nothing is left."""
        while waiting := [place for place, log in self._logs.items() if self._read[place] < len(log)]:
            place = self._random.choice(waiting)
            start = self._read[place]
            # Now and then a whole topic is read before the others.
            most = len(self._logs[place]) if self._random.random() < 0.05 else _LARGEST_BATCH
            self._read[place] = start + self._random.randint(1, most)
            self._judge(place, self._logs[place][start : self._read[place]])
            if self._random.random() < 0.2:
                self._judge_due()
        while self._state.due:
            self._judge_due()

    def found(self) -> pl.DataFrame:
        """seq, verdict and rules as the oracle writes them."""
        rows = [(seq, *self._verdicts[topic, partition, offset]) for seq, topic, partition, offset in self._places]
        return pl.DataFrame(rows, {"seq": pl.Int64, "verdict": pl.String, "rules": pl.String}, orient="row")

    def _judge_due(self) -> None:
        due, self._state.due = self._state.due, set()
        by_place: dict[tuple[str, int], list[int]] = defaultdict(list)
        for topic, partition, offset in sorted(due):
            by_place[topic, partition].append(offset)
        for place, offsets in by_place.items():
            self._judge(place, [self._logs[place][offset] for offset in offsets], again=True)
            self.judged_again += len(offsets)

    def _judge(self, place: tuple[str, int], reports: Sequence[_Report], *, again: bool = False) -> None:
        self._now += 1
        governor = self._governors[place[0]]
        prepared = learn_and_decode(
            lambda refused: governor.prepare(*place, reports, self._now, refused, again=again),
            governor.codecs,
            governor.dataset,
        )
        outcome = governor.conclude(prepared, prepared.ask(self._state))
        if not again:
            self._verdicts.update(((*place, report.offset), ("accepted", "")) for report in reports)
        for broken in outcome.quarantined:
            self._verdicts[(*place, reports[broken.position].offset)] = ("quarantined", broken.reason)
        for told in outcome.feedback:
            rules = " ".join(sorted(violation.rule for violation in told.violations))
            self._verdicts[(*place, told.source_offset)] = (told.verdict, rules)
            if told.unit:
                self.feedback.append((feedback_topic(told.unit), told))
