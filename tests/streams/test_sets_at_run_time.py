"""Workers that run are given other rule sets, readers and datasets: every batch is done wholly by one of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from running_apps import PARTITIONS, PATIENCE, TUNING, Load, Place, running, until

from rules.ruleset import RuleSet
from schemas.assignments import Assignments
from schemas.batch import GovernedBatch
from schemas.catalog import Catalog, Dataset
from schemas.connection import KafkaConnection
from schemas.rowcodec import RowCodec
from schemas.topics import VERDICT_HEADER
from schemas.units import Units
from schemas.verdict import parse_verdict_prefix, verdict_header_prefix
from streams.app import build_app
from streams.decoding import CodecCache
from streams.delivery import BatchProducer, SinglesProducer
from streams.govern import GovernAgent, now_ms
from streams.governing import Governor
from streams.judged import JudgedReader
from streams.outputs import OutputWriter
from streams.sinking import SinkAgent
from streams.topic_admin import FeedbackTopics, TopicAdmin
from zhida.stack import RunningStack
from zhida.stack.testing import create_topic, unique_name

SCHEMA_ID = 1


def _dataset(code: str, *more: str) -> Dataset:
    fields = [{"name": name, "zh": name, "en": name, "type": "string", "length": 20} for name in ("NAME", *more)]
    days = [{"name": "DAY", "zh": "日期", "en": "Day", "type": "date"}]
    subject = {"uscc": "NAME", "name": "NAME"}
    return Dataset.model_validate(
        {"code": code, "zh": code, "en": code, "category": "test", "event_date": "DAY", "subject": subject}
        | {"fields": fields + days}
    )


def _catalog(*datasets: Dataset) -> Catalog:
    return Catalog({dataset.code: dataset for dataset in datasets})


def _message(dataset: Dataset, number: int) -> dict[str, Any]:
    record = {"unit": "U", "record_id": str(number), "version": 1, "deleted": False, "NAME": "甲"}
    return {"key": f"U|{number}", "value": RowCodec(dataset, SCHEMA_ID, dataset.avro_schema).encode(record)}


class Schemas:
    """A registry with one schema for all subjects."""

    def __init__(self, dataset: Dataset, catalog: Catalog) -> None:
        self._schema, self._subjects = dataset.avro_schema, frozenset(one.subject_name for one in catalog)

    def schema(self, schema_id: int) -> dict[str, Any]:
        return self._schema

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return self._subjects


def _rule_set(folder: Path, number: int, catalog: Catalog) -> RuleSet:
    folder.mkdir()
    (folder / "_library.yaml").write_text(f"number: {number}\nexamples: {{today: 2026-06-30, units: [U]}}\n")
    for dataset in catalog:
        rule = f"id: {dataset.code}.NAME.length, kind: length, field: NAME, max: 1{number}"
        (folder / f"{dataset.code}.yaml").write_text(
            f"dataset: {dataset.code}\nrules:\n"
            f"  - {{{rule}, dimension: conformity, severity: suspect, zh: 请改正名称, en: correct the name}}\n"
        )
    return RuleSet.load(catalog, folder)


def _governors(catalog: Catalog, rules: RuleSet, codecs: CodecCache) -> dict[str, Governor]:
    made = {
        dataset.report_topic: Governor(
            dataset, rules, Units([]), Assignments((), {}), codecs, max_record_bytes=1 << 20, row_limit=100
        )
        for dataset in catalog
    }
    for governor in made.values():
        governor.warm_up(now_ms())
    return made


def _writer(kafka: KafkaConnection) -> OutputWriter:
    return OutputWriter(
        BatchProducer(kafka, client_id="test", max_message_bytes=1 << 20),
        SinglesProducer(kafka, client_id="test", max_message_bytes=1 << 20),
        FeedbackTopics(TopicAdmin(kafka, replication=1), {}),
        b"",
    )


def _judged(kafka: KafkaConnection, topic: str, expected: int) -> list[tuple[Place, str, int]]:
    """(source, rule set, governed at) of the *expected* messages on *topic*, and of more, where there are more."""
    consumer = Consumer(kafka.confluent() | {"group.id": unique_name("reader"), "log_level": 3})
    found: list[tuple[Place, str, int]] = []
    deadline = time.monotonic() + PATIENCE
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        while True:
            messages = consumer.consume(5000, 0.3)
            if not messages and (len(found) >= expected or time.monotonic() > deadline):
                return found
            for message in messages:
                assert message.error() is None
                prefix, _, offset = dict(message.headers())[VERDICT_HEADER].rpartition(b"=")
                said = parse_verdict_prefix(prefix + b"=")
                place = said.source_topic, said.source_partition, int(offset)
                found.append((place, said.rule_set, said.governed_at))
    finally:
        consumer.close()


def test_a_rule_set_changes_between_two_batches_and_a_new_dataset_is_judged_without_a_restart(
    stack: RunningStack, tmp_path: Path
) -> None:
    kafka = stack.settings.kafka()
    old, new = _dataset(unique_name("old").replace(".", "_")), _dataset(unique_name("new").replace(".", "_"))
    for dataset in (old, new):
        create_topic(kafka, dataset.report_topic, PARTITIONS)
        create_topic(kafka, dataset.accepted_topic, PARTITIONS)
    one, two, both = _catalog(old), _catalog(old), _catalog(old, new)
    sets = [_rule_set(tmp_path / str(n), n, catalog) for n, catalog in enumerate((one, two, both), start=1)]
    codecs = CodecCache(Schemas(old, both))

    async def scene() -> int:
        app = build_app(unique_name("group"), kafka, TUNING, client_id="govern")
        writer = _writer(kafka)
        agent = GovernAgent(app, _governors(one, sets[0], codecs), writer)
        await writer.start()
        load = Load(kafka, [old.report_topic], lambda number: _message(old, number))
        async with running(app) as tasks:
            await until(lambda: bool(app.consumer._committed_offset), "something is judged", *tasks)
            changed = load.count(old.report_topic)
            await until(lambda: load.count(old.report_topic) > changed + 300, "it is under load", *tasks)
            await agent.use(_governors(two, sets[1], codecs))
            swapped = now_ms()
            await until(lambda: now_ms() > swapped, "a later millisecond")
            changed = load.count(old.report_topic)
            await until(lambda: load.count(old.report_topic) > changed + 300, "it is under load", *tasks)
            load.switch(old.report_topic, new.report_topic)
            await agent.use(_governors(both, sets[2], codecs))
            await until(lambda: load.count(new.report_topic) > 300, "the new one is reported", *tasks)
            load.stop()
            offsets = app.consumer._committed_offset
            ends = {place[:2]: place[2] + 1 for place in sorted(load.confirmed)}
            await until(lambda: all((offsets.get(tp) or 0) >= end for tp, end in ends.items()), "all", *tasks)
        await writer.stop()
        expected.update(load.confirmed)
        return swapped

    expected: set[Place] = set()
    swapped = asyncio.run(scene())
    topics = Counter(place[0] for place in expected)
    judged = sorted(_judged(kafka, old.accepted_topic, topics[old.report_topic]))
    assert {rule_set for _, rule_set, _ in judged} == {rules.version for rules in sets}
    assert not [at for _, rule_set, at in judged if rule_set == sets[0].version and at > swapped]
    order = [rules.version for rules in sets]
    for partition in range(PARTITIONS):
        used = [order.index(rule_set) for place, rule_set, _ in judged if place[1] == partition]
        assert used == sorted(used), "once a set is left, it is not used again"
    at_new = _judged(kafka, new.accepted_topic, topics[new.report_topic])
    assert {rule_set for _, rule_set, _ in at_new} == {sets[2].version}
    places = [place for place, _, _ in judged + at_new]
    assert len(places) == len(set(places))
    assert set(places) == expected


# -- sinks ----------------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """A sink that writes down what is asked of it."""

    refuses_setup: bool = False
    refuses_writes: bool = False
    refused: int = 0
    #: Seconds that the next write hangs.
    hangs: float = 0.0
    entries: list[tuple[str, ...]] = field(default_factory=list)
    records: Counter[tuple[str, str, tuple[str, ...]]] = field(default_factory=Counter)
    name: str = "ledger"
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def setup(self, catalog: Catalog) -> None:
        if self.refuses_setup:
            raise OSError("the store is away")
        self._enter("setup", *sorted(dataset.code for dataset in catalog))

    def write(self, batches: list[GovernedBatch]) -> None:
        if self.refuses_writes:
            self.refused += 1
            raise OSError("the store is away")
        hangs, self.hangs = self.hangs, 0.0
        time.sleep(hangs)
        self._enter("write", *sorted({batch.dataset.code for batch in batches if batch.dataset}))
        for batch in batches:
            assert batch.dataset is not None
            assert batch.records is not None
            columns = tuple(name for name in batch.records.columns if name in ("EXTRA",))
            self.records.update((batch.dataset.code, str(one), columns) for one in batch.records["record_id"])

    def check(self) -> None:
        return

    def close(self) -> None:
        return

    def _enter(self, *entry: str) -> None:
        assert self._busy.acquire(blocking=False), "a sink is used by one thread at a time"
        try:
            time.sleep(0.02)
            self.entries.append(entry)
        finally:
            self._busy.release()


def _accepted(dataset: Dataset, number: int) -> dict[str, Any]:
    shared = {"schema_id": SCHEMA_ID, "governed_at": now_ms(), "topic": dataset.report_topic, "partition": 0}
    prefix = verdict_header_prefix(verdict="accepted", rule_set="1", **shared)  # type: ignore[arg-type]
    return {**_message(dataset, number), "headers": [(VERDICT_HEADER, prefix + b"%d" % number)]}


def test_a_store_that_is_away_or_hangs_for_longer_than_a_stall_takes_is_lag_and_no_stall(stack: RunningStack) -> None:
    kafka = stack.settings.kafka()
    dataset = _dataset(unique_name("away").replace(".", "_"))
    create_topic(kafka, dataset.accepted_topic, PARTITIONS)
    catalog = _catalog(dataset)
    stall = 0.6
    tuning = replace(TUNING, commit_interval=0.1, stall_timeout=stall)

    async def scene() -> None:
        sink = Ledger()
        app = build_app(unique_name("group"), kafka, tuning, client_id="sink")
        reader = JudgedReader(catalog, Units([]), CodecCache(Schemas(dataset, catalog)), b"secret")
        SinkAgent(app, sink, reader, [dataset.accepted_topic], linger=0.0)
        load = Load(kafka, [dataset.accepted_topic], lambda number: _accepted(dataset, number))
        async with running(app) as tasks:
            await until(lambda: bool(sink.records), "something is written", *tasks)
            sink.refuses_writes = True
            await until(lambda: sink.refused >= 4, "it was refused again and again", *tasks)
            sink.hangs, sink.refuses_writes = 1.5 * stall, False
            await until(lambda: not sink.hangs, "it hangs", *tasks)
            load.stop()
            await until(lambda: sum(sink.records.values()) == len(load.confirmed), "all is written", *tasks)

    asyncio.run(scene())


def test_a_sink_is_set_up_for_a_new_dataset_before_its_records_are_written(stack: RunningStack) -> None:
    kafka = stack.settings.kafka()
    code = unique_name("old").replace(".", "_")
    old, wider, new = _dataset(code), _dataset(code, "EXTRA"), _dataset(unique_name("new").replace(".", "_"))
    for dataset in (old, new):
        create_topic(kafka, dataset.accepted_topic, PARTITIONS)
    both = _catalog(wider, new)

    def reader(catalog: Catalog) -> JudgedReader:
        return JudgedReader(catalog, Units([]), CodecCache(Schemas(old, both)), b"secret")

    async def scene() -> None:
        sink = Ledger()
        app = build_app(unique_name("group"), kafka, TUNING, client_id="sink")
        agent = SinkAgent(app, sink, reader(_catalog(old)), [old.accepted_topic], linger=0.0)
        load = Load(kafka, [old.accepted_topic], lambda number: _accepted(old, number))
        async with running(app) as tasks:
            await until(lambda: bool(sink.records), "something is written", *tasks)
            load.switch(old.accepted_topic, new.accepted_topic)
            sink.refuses_setup = True
            with pytest.raises(OSError, match="away"):
                await agent.use(reader(both), [old.accepted_topic, new.accepted_topic])
            sink.refuses_setup = False
            await agent.use(reader(both), [old.accepted_topic, new.accepted_topic])
            await until(lambda: any(key[0] == new.code for key in sink.records), "the new one is written", *tasks)
            load.stop()
            topics = Counter(place[0] for place in load.confirmed)
            await until(lambda: sum(sink.records.values()) == sum(topics.values()), "all is written", *tasks)
        entries = sink.entries
        assert entries.index(("setup", *sorted((code, new.code)))) < min(
            number for number, entry in enumerate(entries) if entry[0] == "write" and new.code in entry
        )
        assert Counter(key[0] for key in sink.records.elements()) == {
            code: topics[old.accepted_topic],
            new.code: topics[new.accepted_topic],
        }
        assert {key[2] for key in sink.records if key[0] == code} == {(), ("EXTRA",)}

    asyncio.run(scene())
