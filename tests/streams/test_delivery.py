"""Batches for one partition go out in the order in which they were handed over, whether or not one has to wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from schemas.connection import KafkaConnection
from streams.delivery import Batch, BatchProducer, Headers
from zhida.stack import RunningStack

PARTITIONS = 2
#: Records of each batch: a few, so many that they are no single request, and as many as come at night.
SIZES = (3, 1, 4000, 2, 1, 6000, 5, 1)
VALUE = b"x" * 400


def _numbered(first: int, size: int) -> Iterator[tuple[int, bytes | None, bytes | None, Headers]]:
    return ((1, b"%d" % number, VALUE, []) for number in range(first, first + size))


def _rounds(topic: str) -> Iterator[list[Batch]]:
    """What is handed over together: both partitions, or one of them, with numbers that rise in each."""
    first = dict.fromkeys(range(PARTITIONS), 0)
    for at, size in enumerate(SIZES * 3):
        chosen = range(PARTITIONS) if at % 3 else [at % PARTITIONS]
        yield [(topic, partition, _numbered(first[partition], size)) for partition in chosen]
        for partition in chosen:
            first[partition] += size


@pytest.mark.parametrize("patient", [True, False], ids=["each awaited", "all at once"])
def test_records_of_a_partition_keep_their_order(
    patient: bool, stack: RunningStack, new_topic: Callable[..., str]
) -> None:
    kafka, topic = stack.settings.kafka(), new_topic("in-order", partitions=PARTITIONS)

    async def scene() -> None:
        producer = BatchProducer(kafka, client_id="test", max_message_bytes=1 << 20)
        await producer.start()
        sent: list[asyncio.Future[object]] = []
        for batches in _rounds(topic):
            futures = await producer.send(batches)
            assert len(futures) == len(batches)
            if patient:
                await asyncio.gather(*futures)
            sent += futures
        await asyncio.gather(*sent)
        await producer.stop()

    asyncio.run(scene())
    counts: dict[int, int] = defaultdict(int)
    for batches in _rounds(topic):
        for _, partition, records in batches:
            counts[partition] += len(list(records))
    read = _read(kafka, topic, counts)
    assert read == {partition: list(range(count)) for partition, count in counts.items()}


def test_a_batch_without_records_is_none(stack: RunningStack, new_topic: Callable[..., str]) -> None:
    topic = new_topic("nothing")

    async def scene() -> list[asyncio.Future[object]]:
        producer = BatchProducer(stack.settings.kafka(), client_id="test", max_message_bytes=1 << 20)
        await producer.start()
        futures = await producer.send([(topic, 0, iter(()))])
        await producer.stop()
        return futures

    assert asyncio.run(scene()) == []


def _read(kafka: KafkaConnection, topic: str, counts: dict[int, int]) -> dict[int, Sequence[int]]:
    """The numbers of all records by partition, in the order in which they stand there."""
    consumer = Consumer(kafka.confluent() | {"group.id": "test-delivery", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in counts])
    read: dict[int, list[int]] = {partition: [] for partition in counts}
    while sum(map(len, read.values())) < sum(counts.values()):
        messages = consumer.consume(1000, timeout=30)
        assert messages, {partition: len(numbers) for partition, numbers in read.items()}
        for message in messages:
            assert message.error() is None, message.error()
            read[message.partition() or 0].append(int(message.key() or b""))
    consumer.close()
    return dict(read)
