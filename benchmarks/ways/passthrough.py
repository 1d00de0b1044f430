"""Passes every message on untouched, without looking at it or adding headers: what the client library alone can do."""

from __future__ import annotations

from typing import Any

from benchmarks.ways.job import Orders
from benchmarks.ways.pipeline import Batch, consumer, producer, run
from schemas.catalog import Catalog
from zhida.settings import Settings


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.from_command_line()
    settings = Settings.load()
    kafka, catalog = settings.kafka(), Catalog.load()
    accepted = {topic: catalog[code].accepted_topic for topic, code in orders.topics.items()}
    sink = producer(kafka, settings.max_message_bytes)

    def handle(messages: list[Any], batch: Batch) -> None:
        batch.left += len(messages)
        produce, delivered = sink.produce, batch.delivered
        for message in messages:
            produce(
                accepted[message.topic()],
                value=message.value(),
                key=message.key(),
                partition=message.partition(),
                timestamp=message.timestamp()[1],
                on_delivery=delivered,
            )

    run(consumer(kafka, orders), (sink,), handle)


if __name__ == "__main__":
    main()
