"""For tests on Faust apps that run in the test's own loop: a steady load, and waiting that fails with a reason."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Producer

from schemas.connection import KafkaConnection
from streams.app import MicroBatchApp, Tuning, run_app

#: The embedded broker takes half of the session timeout for every join.
TUNING = Tuning(session_timeout=2.0, heartbeat_interval=0.3, commit_interval=0.3)
PARTITIONS = 3
#: Seconds that something may take on a busy machine before the test gives up.
PATIENCE = 40.0

Place = tuple[str, int, int]


async def until(condition: Callable[[], bool], what: str, *tasks: asyncio.Task[None]) -> None:
    """Wait for *condition*; fail with *what* when it takes too long, or with the error of a task that has ended."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.01)


class Load:
    """Sends a record a millisecond, to its topics in turn, on a thread of its own."""

    def __init__(self, kafka: KafkaConnection, topics: Iterable[str], message: Callable[[int], dict[str, Any]]) -> None:
        self.confirmed: dict[Place, int] = {}
        self._message = message
        self._producer = Producer(kafka.confluent() | {"linger.ms": 1, "log_level": 3})
        self._topics = tuple(topics)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def switch(self, *topics: str) -> None:
        """Send to *topics* from now on."""
        self._topics = topics

    def stop(self) -> None:
        """Send no more, and return when all is confirmed."""
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(30) == 0

    def count(self, topic: str) -> int:
        """How many were confirmed so far."""
        return sum(place[0] == topic for place in list(self.confirmed))

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            for topic in self._topics:
                number += 1
                self._producer.produce(topic, on_delivery=self._delivered, **self._message(number))
            self._producer.poll(0.001 * len(self._topics))

    def _delivered(self, error: Any, message: Any) -> None:
        assert error is None
        self.confirmed[message.topic(), message.partition(), message.offset()] = 1


@asynccontextmanager
async def running(*apps: MicroBatchApp) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs *apps* in this loop for as long as the block runs."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(run_app(app, stopping)) for app in apps]
    try:
        yield tasks
    finally:
        stopping.set()
        await asyncio.gather(*tasks)
