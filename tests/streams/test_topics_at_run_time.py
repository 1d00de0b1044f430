"""Workers that run are given other topics: nothing is lost or done twice, and commits are those of the work done."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from running_apps import PARTITIONS, TUNING, Load, Place, running, until

from schemas.connection import KafkaConnection
from streams.app import batch_topic, build_app
from zhida.lag import committed_and_end
from zhida.stack import RunningStack
from zhida.stack.testing import create_topic, unique_name


class Worker:
    """Notes what it is given, and is done with it a moment later."""

    def __init__(self, kafka: KafkaConnection, group: str, topics: list[str], name: str) -> None:
        self.seen: Counter[Place] = Counter()
        self.app = build_app(group, kafka, TUNING, client_id=name)
        self.app.agent(batch_topic(self.app, topics), name="noting")(self._note)

    async def _note(self, stream: Any) -> None:
        loop = asyncio.get_running_loop()
        async for event in stream.noack().events():
            place = event.message.topic, event.message.partition
            self.seen.update((*place, record.offset) for record in event.value)
            loop.call_later(0.03, event.ack)


def test_topics_come_and_go_under_load_while_nothing_is_lost_or_done_twice(stack: RunningStack) -> None:
    kafka = stack.settings.kafka()
    stays, goes, comes = (create_topic(kafka, unique_name(name), PARTITIONS) for name in ("stays", "goes", "comes"))
    group = unique_name("group")

    async def scene() -> None:
        first, second = (Worker(kafka, group, [stays, goes], name) for name in ("first", "second"))
        load = Load(kafka, [stays, goes], lambda number: {"value": b"%d" % number})

        def seen() -> Counter[Place]:
            return first.seen + second.seen

        async with running(first.app, second.app) as tasks:
            await until(lambda: bool(first.seen) and bool(second.seen), "both workers have partitions", *tasks)
            load.switch(stays, goes, comes)
            await asyncio.gather(*(worker.app.change_topics([comes, goes, stays]) for worker in (first, second)))
            await until(lambda: {place[0] for place in seen()} == {stays, goes, comes}, "the new one is read", *tasks)

            # One is told long before the other: until then they differ in what they read.
            await first.app.change_topics([stays, comes])
            before = set(first.seen)
            await until(
                lambda: {place[0] for place in set(first.seen) - before} == {stays, comes}, "it goes on", *tasks
            )
            await second.app.change_topics({stays, comes})
            left = set(seen())
            load.stop()
            await until(lambda: not _missing(load, seen(), stays, comes), "all is read", *tasks)

        doubles = {place: (first.seen[place], second.seen[place]) for place, times in seen().items() if times > 1}
        assert not doubles, f"{len(doubles)} by (first, second): {sorted(doubles.items())[:3]}"
        committed = committed_and_end(kafka, group, [stays, goes, comes])
        for (topic, partition), (done, end) in committed.items():
            if topic == goes:
                offsets = {place[2] for place in seen() if place[:2] == (topic, partition)}
                assert offsets == set(range(done)), "what was not done is not committed, and the reverse"
                assert offsets == {place[2] for place in left if place[:2] == (topic, partition)}
            else:
                assert done == end

    asyncio.run(scene())


def _missing(load: Load, seen: Counter[Place], *topics: str) -> set[Place]:
    return {place for place in load.confirmed if place[0] in topics} - seen.keys()
