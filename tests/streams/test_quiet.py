"""Quiet partitions and streams: asked about less often or held for longer, and what comes is handed on all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer
from running_apps import TUNING, until

from streams.app import batch_topic, build_app, run_app
from streams.quiet import QUIET_AFTER, QUIET_WAIT_MS, amend
from zhida.stack import RunningStack


@dataclass
class _Request:
    """A fetch request: topic -> (partition, offset, bytes)."""

    topics: list[tuple[str, list[tuple[int, int, int]]]]


class _Fetcher:
    """As much of aiokafka's as is amended: it fetches all that it is shown; ``coming`` is what has records next."""

    def __init__(self, wait_ms: int = 20) -> None:
        self._fetch_max_wait_ms = wait_ms
        self._fetch_min_bytes = 65_536
        self._records: dict[TopicPartition, object] = {}
        self.coming: set[TopicPartition] = set()

    def _get_actions_per_node(self, assignment: Any) -> Any:
        return [(1, _Request([(tp.topic, [(tp.partition, 0, 1)]) for tp in assignment.tps]))], {}, 1.0, False, []

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        self._records = dict.fromkeys(self.coming, object())
        return bool(self._records)


class _Stream:
    """Fetches at moments that the test says."""

    def __init__(self, fetcher: _Fetcher, partitions: int = 4) -> None:
        self.fetcher = fetcher
        self.places = [TopicPartition("t", number) for number in range(partitions)]
        self.states = {place: SimpleNamespace(paused=False, has_valid_position=True) for place in self.places}
        self._now = 0.0
        amend(fetcher, lambda: self._now)

    def ask(self, moment: float) -> set[int]:
        """The partitions that a fetch at *moment* is about."""
        self._now = moment
        ((_, request),), *_ = self.fetcher._get_actions_per_node(
            SimpleNamespace(tps=self.places, state_value=self.states.__getitem__)
        )
        return {partition for _, partitions in request.topics for partition, *_ in partitions}

    def answer(self, moment: float, *numbers: int) -> tuple[int, int]:
        """Records of these partitions come at *moment*; how the next fetch would be held."""
        self._now, self.fetcher.coming = moment, {self.places[number] for number in numbers}
        assert asyncio.run(self.fetcher._proc_fetch_request(None, 1, None)) is bool(numbers)
        self.fetcher._records = {}
        return self.fetcher._fetch_max_wait_ms, self.fetcher._fetch_min_bytes


def test_a_stream_is_quiet_some_time_after_the_last_record_and_busy_again_with_the_first() -> None:
    stream = _Stream(_Fetcher())
    busy, quiet = (20, 65_536), (QUIET_WAIT_MS, 1)
    assert stream.answer(0.5 * QUIET_AFTER) == busy
    assert stream.answer(1.1 * QUIET_AFTER) == quiet
    assert stream.answer(2.0 * QUIET_AFTER, 0) == busy
    assert stream.answer(2.9 * QUIET_AFTER) == busy
    assert stream.answer(3.1 * QUIET_AFTER) == quiet


def test_who_waits_for_longer_anyway_does_not_wait_for_less_when_it_is_quiet() -> None:
    assert _Stream(_Fetcher(2 * QUIET_WAIT_MS)).answer(9.0) == (2 * QUIET_WAIT_MS, 1)


def test_a_quiet_partition_beside_busy_ones_is_asked_about_only_now_and_then() -> None:
    stream = _Stream(_Fetcher())
    assert stream.ask(10.0) == {0, 1, 2, 3}
    stream.answer(10.0, 0, 2)
    asked = [stream.ask(10.0 + 0.03 * number) for number in range(1, 9)]
    assert [len(one) for one in asked] == [2, 2, 2, 4, 2, 2, 2, 4]
    assert asked[0] == {0, 2}


def test_a_partition_is_busy_from_its_first_record_on_until_it_has_been_quiet() -> None:
    stream = _Stream(_Fetcher())
    stream.ask(10.0)
    stream.answer(10.0, 0)
    stream.answer(10.01, 3)
    assert stream.ask(10.02) == {0, 3}
    stream.answer(10.9, 0)
    assert stream.ask(11.05) == {0, 1, 2, 3}
    assert stream.ask(11.06) == {0}


def test_where_all_partitions_are_quiet_each_fetch_is_about_all_of_them() -> None:
    stream = _Stream(_Fetcher())
    stream.answer(0.0, 1)
    assert [stream.ask(moment) for moment in (5.0, 5.01, 5.02)] == [{0, 1, 2, 3}] * 3


def test_a_partition_that_has_no_position_yet_or_may_go_on_is_never_left_out() -> None:
    stream = _Stream(_Fetcher())
    stream.ask(10.0)
    stream.answer(10.0, 0)
    stream.states[stream.places[1]].has_valid_position = False
    stream.states[stream.places[2]].paused = True
    stream.fetcher._records = {stream.places[3]: object()}
    assert stream.ask(10.02) == {0, 1, 2, 3}


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
