"""The sample reporter and the reader of all feedback, on a real broker."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from sample_province import TODAY, Sample

from schemas.connection import KafkaConnection
from schemas.framing import frame_header
from schemas.topics import feedback_topic
from schemas.verdict import Feedback, encode_feedback
from zhida.errors import UserError
from zhida.sample.collect import read_all_feedback
from zhida.sample.files import made_with, read_messages, read_summary, shares_from_text, write_sample
from zhida.sample.generate import FaultShares, generate
from zhida.sample.message import MessageEncoder, SampleMessage
from zhida.sample.report import ReportError, SampleReporter
from zhida.stack import RunningStack
from zhida.stack.testing import create_topic

SCHEMA_IDS = {"abnormal_operation": 11, "administrative_licence": 12, "administrative_penalty": 13, "legal_person": 14}
SHARES = FaultShares(duplicates=0.1, corrections=0.1, out_of_order=0.1, too_large=1)


@pytest.fixture(scope="module")
def kafka(stack: RunningStack, sample: Sample) -> KafkaConnection:
    connection = stack.settings.kafka()
    for dataset in sample.catalog:
        with suppress(KafkaException):  # another test made it
            create_topic(connection, dataset.report_topic, 4, {"max.message.bytes": "67108864"})
    return connection


def _messages(sample: Sample, records: int = 2000) -> list[SampleMessage]:
    return list(generate(31, records, sample.catalog, sample.units, sample.regions, sample.assignments, TODAY, SHARES))


def _read_back(kafka: KafkaConnection, placements: pl.DataFrame) -> dict[int, tuple[bytes | None, bytes | None]]:
    """seq -> (key, value) at the place where the reporter says that it is."""
    wanted = {(row[1], row[2], row[3]): row[0] for row in placements.iter_rows()}
    consumer = Consumer(kafka.confluent() | {"group.id": "sample-report-test", "enable.auto.commit": False})
    firsts: dict[tuple[str, int], int] = {}
    for topic, partition, offset in wanted:
        firsts[topic, partition] = min(offset, firsts.get((topic, partition), offset))
    consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in firsts.items()])
    found: dict[int, tuple[bytes | None, bytes | None]] = {}
    deadline = time.monotonic() + 60
    while len(found) < len(wanted) and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.5):
            seq = wanted.get((message.topic(), message.partition(), message.offset()))
            if message.error() is None and seq is not None:
                found[seq] = (message.key(), message.value())
    consumer.close()
    return found


def test_every_message_is_where_the_placements_say_and_records_keep_their_order(
    kafka: KafkaConnection, sample: Sample
) -> None:
    messages = _messages(sample)
    told: list[tuple[int, int]] = []
    reporter = SampleReporter(
        kafka, sample.catalog, SCHEMA_IDS, on_progress=lambda sent, delivered: told.append((sent, delivered))
    )
    placements = reporter.run(messages)
    assert placements["seq"].to_list() == [message.seq for message in messages]
    assert told[-1] == (2000, 2000)
    found = _read_back(kafka, placements)
    encoder = MessageEncoder(sample.catalog, SCHEMA_IDS)
    for message in messages:
        key, value = found[message.seq]
        assert key == message.key
        assert (value or b"") == (encoder.value(message) or b"")
    by_key: dict[tuple[str, bytes], list[tuple[int, int]]] = defaultdict(list)
    for message, row in zip(messages, placements.iter_rows(), strict=True):
        if message.key is not None:
            by_key[row[1], message.key].append((row[2], row[3]))
    assert sum(len(places) > 1 for places in by_key.values()) > 100
    for places in by_key.values():
        assert len({partition for partition, _ in places}) == 1
        assert places == sorted(places)
    assert placements["partition"].n_unique() == 4


def test_a_rate_is_kept_by_waiting_and_messages_are_spread_evenly(kafka: KafkaConnection, sample: Sample) -> None:
    now = [0.0]
    sent_at: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def watched() -> object:
        for message in _messages(sample, 400):
            sent_at.append(now[0])
            yield message

    reporter = SampleReporter(kafka, sample.catalog, SCHEMA_IDS, rate=1000, clock=lambda: now[0], sleep=sleep)
    placements = reporter.run(watched())  # type: ignore[arg-type]
    assert placements.height == 400
    assert 0.39 <= now[0] <= 0.42
    assert all(later - earlier <= 0.005 for earlier, later in pairwise(sent_at))


def test_a_message_that_the_broker_cannot_take_is_an_error(kafka: KafkaConnection, sample: Sample) -> None:
    messages = _messages(sample, 400)
    assert any(message.expected.reason == "too_large" for message in messages)
    with pytest.raises(ReportError):
        SampleReporter(kafka, sample.catalog, SCHEMA_IDS, max_bytes=100_000).run(messages)


def test_a_written_sample_is_sent_as_the_same_bytes(sample: Sample, tmp_path: Path) -> None:
    messages = _messages(sample, 1500)
    summary = write_sample(tmp_path, messages, sample.catalog, b"key" * 12, made_with(31, 1500, TODAY, SHARES))
    encoder = MessageEncoder(sample.catalog, SCHEMA_IDS)
    read = list(read_messages(tmp_path))
    assert [(m.seq, m.dataset, m.key, m.unit) for m in read] == [(m.seq, m.dataset, m.key, m.unit) for m in messages]
    assert [encoder.value(m) for m in read] == [encoder.value(m) for m in messages]
    assert read_summary(tmp_path) == summary
    assert summary["messages"] == 1500
    assert sum(sum(counts.values()) for counts in summary["datasets"].values()) == 1500
    lines = sum(len((tmp_path / f"{d.code}.jsonl").read_bytes().splitlines()) for d in sample.catalog)
    assert lines == 1500


def test_shares_are_read_from_text_and_nonsense_is_refused() -> None:
    assert shares_from_text("") == FaultShares()
    assert shares_from_text("rejected=0.1, too_large=5") == FaultShares(rejected=0.1, too_large=5)
    for text in ("rejectd=0.1", "rejected=much", "rejected"):
        with pytest.raises(UserError):
            shares_from_text(text)


def test_all_feedback_of_many_units_is_read_to_the_end_and_then_the_reader_stops(kafka: KafkaConnection) -> None:
    units = [f"READALL{number:03d}" for number in range(230)]
    example = Feedback("x", "", "d", "1", 1, "rejected", "1", 1, "t", 0, 0, 0, 0, (), b"record")
    producer = Producer(kafka.confluent())
    for unit in units:
        create_topic(kafka, feedback_topic(unit))
    for number, unit in enumerate(units[:-5]):  # the last topics stay empty
        for copy in range(1 + number % 3):
            item = replace(example, unit=unit, feedback_id=f"{unit}-{copy}")
            producer.produce(feedback_topic(unit), encode_feedback(item, frame_header(1)))
    producer.flush(30)
    read = list(read_all_feedback(kafka, units=units))
    assert len(read) == sum(1 + number % 3 for number in range(225))
    assert {item.unit for _, item in read} == set(units[:-5])
    assert all(topic == feedback_topic(item.unit) for topic, item in read)
