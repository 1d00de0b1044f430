"""A quiet stream: fetches are held for longer, and what comes then is handed on at once all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from running_apps import TUNING, until

from streams.app import batch_topic, build_app, run_app
from streams.quiet import QUIET_AFTER, QUIET_WAIT_MS, amend
from zhida.stack import RunningStack


class _Fetcher:
    """As much of aiokafka's as is amended; ``answers`` says of each fetch whether it brought records."""

    def __init__(self, wait_ms: int = 20) -> None:
        self._fetch_max_wait_ms = wait_ms
        self._fetch_min_bytes = 65_536
        self.answer = False

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        return self.answer


class _Stream:
    """Fetches at moments that the test says, and how the next one would be held."""

    def __init__(self, fetcher: _Fetcher) -> None:
        self._fetcher = fetcher
        self._now = 0.0
        amend(fetcher, lambda: self._now)

    def fetch(self, moment: float, brought: bool) -> tuple[int, int]:
        self._now, self._fetcher.answer = moment, brought
        assert asyncio.run(self._fetcher._proc_fetch_request(None, 1, None)) is brought
        return self._fetcher._fetch_max_wait_ms, self._fetcher._fetch_min_bytes


def test_a_stream_is_quiet_some_time_after_the_last_record_and_busy_again_with_the_first() -> None:
    stream = _Stream(_Fetcher())
    busy, quiet = (20, 65_536), (QUIET_WAIT_MS, 1)
    assert stream.fetch(0.5 * QUIET_AFTER, False) == busy
    assert stream.fetch(1.1 * QUIET_AFTER, False) == quiet
    assert stream.fetch(2.0 * QUIET_AFTER, True) == busy
    assert stream.fetch(2.9 * QUIET_AFTER, False) == busy
    assert stream.fetch(3.1 * QUIET_AFTER, False) == quiet


def test_who_waits_for_longer_anyway_does_not_wait_for_less_when_it_is_quiet() -> None:
    assert _Stream(_Fetcher(2 * QUIET_WAIT_MS)).fetch(9.0, False) == (2 * QUIET_WAIT_MS, 1)


@pytest.mark.timeout(120)
def test_a_record_after_a_silence_is_handed_on_and_the_stream_is_busy_again(
    stack: RunningStack, new_topic: Callable[..., str], new_name: Callable[[str], str]
) -> None:
    kafka, topic = stack.settings.kafka(), new_topic("silence", partitions=3)
    producer = Producer(kafka.confluent())
    came: list[int] = []

    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            came.append(len(event.value))
            event.ack()

    async def scene() -> None:
        app = build_app(new_name("silent"), kafka, TUNING, client_id="silent")
        app.agent(batch_topic(app, [topic]), name="taking")(take)
        stopping = asyncio.Event()
        running = asyncio.create_task(run_app(app, stopping))
        try:
            await _send(producer, topic)
            await until(lambda: sum(came) == 1, "the first record", running)
            fetcher = app.consumer._thread._ensure_consumer()._fetcher
            await until(lambda: fetcher._fetch_max_wait_ms == QUIET_WAIT_MS, "a quiet stream", running)
            await _send(producer, topic)
            await until(lambda: sum(came) == 2, "a record after the silence", running)
            await until(lambda: fetcher._fetch_max_wait_ms == TUNING.linger * 1000, "a busy stream", running)
        finally:
            stopping.set()
            await running

    asyncio.run(scene())


async def _send(producer: Producer, topic: str) -> None:
    producer.produce(topic, b"a record")
    await asyncio.to_thread(producer.flush, 10)
