"""Quix Streams: one StreamingDataFrame a dataset, every record one call of the same functions."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import Serializer, Topic, TopicConfig

from benchmarks.ways.job import Job, Orders, Out, Shared, Source, now_ms
from zhida.settings import Settings


class ValueOf(Serializer):
    """The bytes of an output."""

    def __call__(self, value: Out, ctx: Any = None) -> bytes:  # type: ignore[override]
        """Serialize."""
        return value.value  # type: ignore[return-value]


def build(orders: Orders, shared: Shared) -> Application:
    """The application with one dataframe a topic."""
    app = Application(
        broker_address=shared.kafka.bootstrap,
        consumer_group=orders.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        use_changelog_topics=False,
        loglevel="WARNING",
        consumer_extra_config={"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000},
        producer_extra_config={
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 10,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
            "message.max.bytes": shared.max_message_bytes,
        },
    )
    serializer = ValueOf()
    known: dict[str, Topic] = {}

    def topic_of(value: Out, *_: Any) -> Topic:
        topic = known.get(value.topic)
        if topic is None:
            topic = known[value.topic] = Topic(
                value.topic,
                value_serializer=serializer,
                key_serializer="bytes",
                create_config=TopicConfig(num_partitions=1, replication_factor=1),
            )
        return topic

    for topic, job in shared.jobs(orders).items():
        frame = app.dataframe(app.topic(topic, value_deserializer="bytes", key_deserializer="bytes"))
        frame = frame.apply(_judging(job), metadata=True, expand=True)
        frame = frame.set_headers(lambda value, key, timestamp, headers: value.headers)
        frame.to_topic(topic_of, key=lambda value: value.key)
    return app


def _judging(job: Job) -> Any:
    def judge(value: bytes | None, key: bytes | None, timestamp: int, headers: Any) -> list[Out]:
        context = message_context()
        source = Source(context.topic, context.partition, context.offset, key, value, timestamp)
        return job.outputs(source, now_ms())

    return judge


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.from_command_line()
    build(orders, Shared(Settings.load())).run()


if __name__ == "__main__":
    main()
