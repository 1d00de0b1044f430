"""The feedback subscriber against a real broker."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from confluent_kafka import Producer
from platform_support import Platform, make_feedback, send_feedback

from connectors.base import ConnectorError, UnreachableError, discover, known_unit
from connectors.feedback import FeedbackConfig, FeedbackReader, as_event
from schemas.connection import KafkaConnection
from schemas.topics import feedback_topic
from schemas.units import Units
from schemas.verdict import Feedback
from zhida.stack.testing import create_topic

TOPIC = "zhida.report.administrative_penalty"


def read(platform: Platform, unit: str, **config: Any) -> list[Feedback]:
    settings = {"unit": unit, "from_beginning": True, "timeout_seconds": 1.0} | config
    with FeedbackReader(platform.kafka, FeedbackConfig(**settings)) as reader:
        return list(reader.follow())


def offsets(feedbacks: list[Feedback]) -> list[int]:
    return [feedback.source_offset for feedback in feedbacks]


def test_feedback_comes_in_order_and_no_id_comes_twice(platform: Platform, own_unit: str) -> None:
    create_topic(platform.kafka, feedback_topic(own_unit))
    sent = [make_feedback(own_unit, TOPIC, 0, offset) for offset in range(50)]
    send_feedback(platform.kafka, *sent, *sent[10:20])
    received = read(platform, own_unit)
    assert received == sent


def test_the_limit_ends_the_reading(platform: Platform, own_unit: str) -> None:
    create_topic(platform.kafka, feedback_topic(own_unit))
    send_feedback(platform.kafka, *(make_feedback(own_unit, TOPIC, 0, offset) for offset in range(5)))
    assert offsets(read(platform, own_unit, limit=3, timeout_seconds=None)) == [0, 1, 2]


def test_from_now_on_leaves_out_what_was_there_before(platform: Platform, own_unit: str) -> None:
    create_topic(platform.kafka, feedback_topic(own_unit))
    # One batch: the embedded broker lists its first record as the end of the topic.
    send_feedback(platform.kafka, *(make_feedback(own_unit, TOPIC, 0, offset) for offset in range(5)))
    config = FeedbackConfig(unit=own_unit, limit=1, timeout_seconds=20)
    with FeedbackReader(platform.kafka, config) as reader:
        reader.seek_now()
        send_feedback(platform.kafka, make_feedback(own_unit, TOPIC, 0, 99))
        assert offsets(list(reader.follow())) == [99]


def test_a_topic_that_is_not_there_yet_is_waited_for_and_said_once(platform: Platform, own_unit: str) -> None:
    told: list[str] = []
    config = FeedbackConfig(unit=own_unit, limit=1, timeout_seconds=30)

    def later() -> None:
        told.append("waiting")
        threading.Timer(0.5, create_and_send).start()

    def create_and_send() -> None:
        create_topic(platform.kafka, feedback_topic(own_unit))
        send_feedback(platform.kafka, make_feedback(own_unit, TOPIC, 0, 7))

    with FeedbackReader(platform.kafka, config, on_waiting=later) as reader:
        assert offsets(list(reader.follow())) == [7]
    assert told == ["waiting"]


def test_waiting_for_a_topic_does_not_create_it(platform: Platform, own_unit: str) -> None:
    assert read(platform, own_unit, timeout_seconds=0.3) == []
    assert read(platform, own_unit, timeout_seconds=0.3) == []
    from connectors.kafka import Trouble, new_consumer, topic_names

    client = new_consumer(platform.kafka, Trouble(), "tests")
    assert feedback_topic(own_unit) not in topic_names(client, platform.kafka, Trouble())
    client.close()


def test_a_group_goes_on_where_it_stopped(platform: Platform, own_unit: str) -> None:
    create_topic(platform.kafka, feedback_topic(own_unit))
    send_feedback(platform.kafka, *(make_feedback(own_unit, TOPIC, 0, offset) for offset in range(6)))
    group = f"unit-{own_unit}"
    assert offsets(read(platform, own_unit, group=group, limit=4)) == [0, 1, 2, 3]
    again = offsets(read(platform, own_unit, group=group))
    # At least once: the one that was handed out last may come again, none may be missing.
    assert again[-2:] == [4, 5]
    assert set(again) <= {3, 4, 5}


def test_what_is_no_feedback_is_passed_over_and_told(platform: Platform, own_unit: str) -> None:
    create_topic(platform.kafka, feedback_topic(own_unit))
    producer = Producer(platform.kafka.confluent())
    for value in (b"", b"\0\0\0\0\1", b"garbage", None):
        producer.produce(feedback_topic(own_unit), value=value, partition=0)
    assert producer.flush(10) == 0
    send_feedback(platform.kafka, make_feedback(own_unit, TOPIC, 0, 3))
    told: list[int] = []
    config = FeedbackConfig(unit=own_unit, from_beginning=True, limit=1, timeout_seconds=20)
    with FeedbackReader(platform.kafka, config, on_unreadable=lambda offset, _: told.append(offset)) as reader:
        assert offsets(list(reader.follow())) == [3]
    assert told == [0, 1, 2, 3]


def test_a_broker_out_of_reach_is_said(unit: str) -> None:
    config = FeedbackConfig(unit=unit, timeout_seconds=1)
    with FeedbackReader(KafkaConnection("127.0.0.1:1"), config) as reader, pytest.raises(UnreachableError):
        next(reader.follow())


def test_the_event_for_json_leaves_the_record_out(unit: str) -> None:
    event = as_event(make_feedback(unit, TOPIC, 0, 1))
    assert "record" not in event
    assert event["violations"][0]["message_zh"]


def test_a_unit_with_a_slip_of_the_pen_is_named(units: Units, unit: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        known_unit(units, unit[:-1])
    assert unit in caught.value.message_zh


def test_connectors_are_found_by_file_and_each_describes_its_settings() -> None:
    found = discover()
    assert {"file", "feedback"} <= found.keys()
    for connector in found.values():
        assert connector.zh
        assert connector.en
        assert all(field.description for field in connector.config.model_fields.values())
