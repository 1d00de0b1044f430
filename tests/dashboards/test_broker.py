from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException, Producer

from dashboards.broker import KafkaBroker
from schemas.connection import KafkaConnection
from zhida.stack import RunningStack


def send(connection: KafkaConnection, topics: list[str], count: int, **options: object) -> None:
    producer = Producer({**connection.confluent(), "acks": "all", **options})
    for number in range(count):
        producer.produce(topics[number % len(topics)], key=str(number), value=b"x" * (number % 50))
    assert producer.flush(30) == 0


def test_the_broker_counts_what_its_topics_were_sent(stack: RunningStack, new_topic: Callable[..., str]) -> None:
    connection = stack.settings.kafka()
    first, second = new_topic("dash-a", partitions=3), new_topic("dash-b")
    broker = KafkaBroker(connection, [first, second, "zhida.dash.does-not-exist"])
    assert broker.received() == 0
    send(connection, [first, second], 250)
    assert broker.received() == 250
    assert broker.received() == 250
    send(connection, [first], 1)
    assert broker.received() == 251
    send(connection, [second, first], 7_000, **{"compression.type": "lz4"})
    send(connection, [second], 30, **{"enable.idempotence": True})
    assert broker.received() == 7_281
    assert KafkaBroker(connection, [second]).received() == 125 + 3_500 + 30
    broker.close()


def test_a_silent_broker_is_an_error_not_a_zero() -> None:
    broker = KafkaBroker(KafkaConnection("127.0.0.1:9"), ["zhida.report.x"], timeout=1.0)
    with pytest.raises(KafkaException):
        broker.received()
