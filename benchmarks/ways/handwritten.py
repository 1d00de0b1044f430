"""A loop written by hand with confluent-kafka and fastavro: the way of a good engineer without the platform."""

from __future__ import annotations

from typing import Any

from benchmarks.ways.job import Job, Orders, Out, Shared, Source, UnreadableError, now_ms
from benchmarks.ways.pipeline import Batch, consumer, producer, run
from schemas.topics import VERDICT_HEADER
from zhida.settings import Settings


class Handwritten:
    """Judges one message after the other and sends what it leads to.

    Two producers: librdkafka looks a topic up by walking the list of all that it knows, and with the feedback topics of
    600 units in the list that costs an eighth of everything.
    """

    def __init__(self, jobs: dict[str, Job], accepted: Any, others: Any) -> None:
        self._jobs = jobs
        self._accepted = accepted
        self._others = others

    def handle(self, messages: list[Any], batch: Batch) -> None:
        """All of one batch."""
        governed_at = now_ms()
        prefixes: dict[tuple[str, int, int], bytes] = {}
        jobs, produce, delivered = self._jobs, self._accepted.produce, batch.delivered
        batch.left += len(messages)  # at least one output a message; others add themselves
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(message.error().str())
            topic, partition, value = message.topic(), message.partition(), message.value()
            job = jobs[topic]
            try:
                schema_id, record = job.decode(value)
            except UnreadableError as error:
                self._send(job.quarantined(_source(message), error, governed_at), batch)
                continue
            violations = job.judge(record)
            if violations:
                self._send(job.objected(_source(message), schema_id, record, violations, governed_at), batch)
                continue
            prefix = prefixes.get((topic, partition, schema_id))
            if prefix is None:
                prefix = job.prefix("accepted", schema_id, topic, partition, governed_at)
                prefixes[topic, partition, schema_id] = prefix
            produce(
                job.accepted_topic,
                value=value,
                key=message.key(),
                partition=partition,
                timestamp=message.timestamp()[1],
                headers=[(VERDICT_HEADER, prefix + b"%d" % message.offset())],
                on_delivery=delivered,
            )

    def _send(self, outputs: list[Out], batch: Batch) -> None:
        batch.left += len(outputs) - 1
        for out in outputs:
            sink = self._others if out.partition is None else self._accepted
            sink.produce(
                out.topic,
                value=out.value,
                key=out.key,
                partition=-1 if out.partition is None else out.partition,
                timestamp=out.timestamp,
                headers=out.headers,
                on_delivery=batch.delivered,
            )


def _source(message: Any) -> Source:
    return Source(
        message.topic(), message.partition(), message.offset(), message.key(), message.value(), message.timestamp()[1]
    )


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.from_command_line()
    shared = Shared(Settings.load())
    accepted, others = (producer(shared.kafka, shared.max_message_bytes) for _ in range(2))
    handwritten = Handwritten(shared.jobs(orders), accepted, others)
    run(consumer(shared.kafka, orders), (accepted, others), handwritten.handle)


if __name__ == "__main__":
    main()
