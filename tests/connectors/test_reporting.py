"""The file reporter against a real broker and a real registry."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, TopicPartition
from platform_support import Platform, make_feedback, messages, running_registry, send_feedback
from reporting_samples import penalty_csv

from connectors.base import ConnectorError, UnreachableError, Wiring
from connectors.file import FileReport, Watch, report_file
from schemas.connection import KafkaConnection, RegistryConnection
from schemas.framing import schema_id_of
from schemas.registry.client import RegistryClient
from schemas.rowcodec import RowCodec
from schemas.topics import GOVERN_GROUP
from schemas.verdict import Feedback
from zhida.stack.testing import create_topic, running_stack

DATASET = "administrative_penalty"


def mine(platform: Platform, topic: str, unit: str) -> list[Any]:
    return [message for message in messages(platform.kafka, topic) if message.key().decode().startswith(unit)]


def test_every_good_row_is_in_the_topic_once_and_every_bad_one_is_told(
    platform: Platform, wiring: Wiring, own_unit: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.csv"
    rows = [{"record_id": f"R-{number}"} | ({"CF_JDRQ": "?"} if number % 10 == 0 else {}) for number in range(500)]
    path.write_text(penalty_csv(rows), encoding="gb18030")
    refused: list[int] = []
    config = FileReport(dataset=DATASET, unit=own_unit, path=path)
    counts = report_file(config, wiring, Watch(refused=lambda refusal: refused.append(refusal.line)))

    assert (counts.read, counts.sent, counts.refused, counts.unsent) == (500, 450, 50, 0)
    assert refused == [number + 2 for number in range(500) if number % 10 == 0]
    dataset = wiring.catalog[DATASET]
    sent = mine(platform, dataset.report_topic, own_unit)
    registry = RegistryClient(RegistryConnection(platform.registry_url))
    ids = {schema_id_of(message.value()) for message in sent}
    assert ids == {registry.latest(dataset.subject_name).id}
    codec = RowCodec(dataset, ids.pop(), dataset.avro_schema)
    records = [codec.decode(message.value()) for message in sent]
    assert sorted(record["record_id"] for record in records) == sorted(
        f"R-{number}" for number in range(500) if number % 10
    )
    assert {record["version"] for record in records} == {1_764_000_000_000}
    for message, record in zip(sent, records, strict=True):
        assert message.key().decode() == f"{own_unit}|{record['record_id']}"
        # The place that every Java client chooses too, so that one record stays in one partition.
        assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % 4


def test_a_dry_run_sends_nothing(platform: Platform, wiring: Wiring, own_unit: str, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{}]))
    counts = report_file(FileReport(dataset=DATASET, unit=own_unit, path=path, dry_run=True), wiring)
    assert counts.sent == 1
    assert mine(platform, wiring.catalog[DATASET].report_topic, own_unit) == []


def test_a_record_that_the_broker_s_topic_does_not_take_is_refused_and_the_rest_is_sent(
    wiring: Wiring, own_unit: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{"CF_SY": "长" * 100_000, "CF_WSH": "1"}, {"CF_WSH": "2"}]))
    counts = report_file(FileReport(dataset=DATASET, unit=own_unit, path=path, max_record_bytes=200_000), wiring)
    assert (counts.sent, counts.refused) == (1, 1)


def govern_some(platform: Platform, topic: str, unit: str, expected: int) -> None:
    """Stands in for govern: rejects every third record, tells the unit, and only then commits."""
    deadline = time.monotonic() + 30
    while len(sent := mine(platform, topic, unit)) < expected and time.monotonic() < deadline:
        time.sleep(0.05)
    faulty = [message for message in sent if int(message.key().decode().rpartition("-")[2]) % 3 == 0]
    send_feedback(platform.kafka, *(make_feedback(unit, topic, m.partition(), m.offset()) for m in faulty))
    ends = {message.partition(): message.offset() + 1 for message in sorted(sent, key=lambda m: int(m.offset()))}
    committer = Consumer(platform.kafka.confluent() | {"group.id": GOVERN_GROUP})
    committer.commit(offsets=[TopicPartition(topic, *end) for end in ends.items()], asynchronous=False)
    committer.close()


def test_waiting_ends_when_every_record_is_judged_and_brings_the_feedback_by_line(
    platform: Platform, wiring: Wiring, own_unit: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{"record_id": f"R-{number}"} for number in range(30)]))
    topic = wiring.catalog[DATASET].report_topic
    govern = threading.Thread(target=govern_some, args=(platform, topic, own_unit, 30))
    govern.start()
    answers: list[tuple[int, Feedback]] = []
    config = FileReport(dataset=DATASET, unit=own_unit, path=path, wait_seconds=60)
    counts = report_file(config, wiring, Watch(feedback=lambda line, feedback: answers.append((line, feedback))))
    govern.join()
    assert counts.all_judged
    assert counts.feedback == {"rejected": 10}
    assert sorted(line for line, _ in answers) == [number + 2 for number in range(30) if number % 3 == 0]


def test_waiting_ends_in_time_when_nobody_governs(
    platform: Platform, wiring: Wiring, own_unit: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{}]))
    counts = report_file(FileReport(dataset=DATASET, unit=own_unit, path=path, wait_seconds=0.5), wiring)
    assert counts.sent == 1
    assert not counts.all_judged


def test_without_a_broker_nothing_is_sent_and_the_reason_is_said(wiring: Wiring, own_unit: str, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{}]))
    away = Wiring(KafkaConnection("127.0.0.1:1"), wiring.registry, wiring.catalog, wiring.units, wiring.now_ms)
    with pytest.raises(UnreachableError) as caught:
        report_file(FileReport(dataset=DATASET, unit=own_unit, path=path), away)
    assert "127.0.0.1:1" in caught.value.message_zh


def test_a_missing_topic_is_said_and_not_created(tmp_path: Path, wiring: Wiring, own_unit: str) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{}]))
    with running_stack(tmp_path / "var") as stack, running_registry(stack.settings.kafka()) as url:
        bare = Wiring(
            stack.settings.kafka(), RegistryClient(RegistryConnection(url)), wiring.catalog, wiring.units, wiring.now_ms
        )
        with pytest.raises(ConnectorError) as caught:
            report_file(FileReport(dataset=DATASET, unit=own_unit, path=path), bare)
    assert "zhida.report.administrative_penalty" in caught.value.message_en


def test_a_broker_lost_on_the_way_ends_the_report_with_what_was_confirmed(
    tmp_path: Path, wiring: Wiring, own_unit: str
) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{"record_id": f"R-{number}"} for number in range(30_000)]))
    with running_stack(tmp_path / "var") as stack:
        kafka = stack.settings.kafka()
        create_topic(kafka, wiring.catalog[DATASET].report_topic, partitions=2)
        doomed = Wiring(kafka, wiring.registry, wiring.catalog, wiring.units, wiring.now_ms)
        broker = stack.services[0].name
        killed: list[int] = []

        def kill_once(_position: int, counts: Any) -> None:
            if counts.sent and not killed:
                killed.append(counts.sent)
                stack.kill(broker)
            elif not killed:
                # A slow broker would otherwise confirm the first records when the last are on their way already.
                time.sleep(0.2)

        config = FileReport(dataset=DATASET, unit=own_unit, path=path, delivery_timeout_seconds=2)
        with pytest.raises(UnreachableError) as caught:
            report_file(config, doomed, Watch(progress=kill_once))
    assert killed
    assert "已确认" in caught.value.message_zh
