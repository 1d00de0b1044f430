"""Stock Faust, one event a record, sending with Faust's own ``send``, as its documentation shows."""

from __future__ import annotations

import faust

from benchmarks.ways.job import Orders, Shared, Source, now_ms
from zhida.settings import Settings


def build(orders: Orders, shared: Shared) -> faust.App:
    """The app with its one agent."""
    app = faust.App(
        orders.group,
        broker=f"kafka://{shared.kafka.bootstrap}",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        producer_acks=-1,
        producer_linger=0.01,
        producer_max_request_size=shared.max_message_bytes,
        producer_partitioner=None,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
    )
    jobs = shared.jobs(orders)
    reports = app.topic(*orders.topics, key_type=bytes, value_type=bytes)
    known: dict[str, faust.TopicT] = {}

    def topic(name: str) -> faust.TopicT:
        if name not in known:
            known[name] = app.topic(name, key_type=bytes, value_type=bytes)
        return known[name]

    @app.agent(reports)
    async def govern(stream: faust.StreamT) -> None:
        async for event in stream.events():
            message = event.message
            source = Source(
                message.topic,
                message.partition,
                message.offset,
                message.key,
                message.value,
                round(message.timestamp * 1000),
            )
            for out in jobs[message.topic].outputs(source, now_ms()):
                # aiokafka sends no message that has neither: an empty one stands for it.
                nothing = out.key is None and out.value is None
                await topic(out.topic).send(
                    key=out.key,
                    value=b"" if nothing else out.value,
                    partition=out.partition,
                    timestamp=out.timestamp / 1000 if out.timestamp else None,
                    headers=out.headers or None,
                )

    return app


def main() -> None:
    """Run until SIGTERM."""
    orders = Orders.from_command_line()
    app = build(orders, Shared(Settings.load()))
    app.finalize()
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
