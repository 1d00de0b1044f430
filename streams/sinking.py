"""A sink's agent: turns judged messages into columns, hands them to the sink, acknowledges what the sink has made
durable.

One agent a sink, with the sink's own consumer group: each can lag, fail and be rebuilt alone. While the sink writes,
the next messages gather, so that batches grow with the load and stay small without it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Coroutine
from typing import Any

import structlog

from schemas.batch import GovernedBatch, Sink
from streams.app import MicroBatchApp, batch_topic
from streams.judged import JudgedReader

_MAX_RECORDS_WAITING = 40_000
_MAX_RECORDS_A_WRITE = 20_000
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Quarters of the stall timeout that a write may hang before it counts as stalled.
_BEATS = 8

log = structlog.get_logger("sink")


class SinkAgent:
    """Attaches a sink to a Faust app."""

    def __init__(
        self, app: MicroBatchApp, sink: Sink, reader: JudgedReader, topics: Collection[str], *, linger: float
    ) -> None:
        """*linger*: seconds that a write waits for more records while there are few.

        The sink must have been set up for the reader's catalog.
        """
        self._app = app
        self._sink = sink
        self._readers = dict.fromkeys(topics, reader)
        self._changing = asyncio.Lock()
        #: A sink is used by one thread at a time.
        self._using_sink = asyncio.Lock()
        self._linger = linger
        self._waiting: deque[Any] = deque()
        self._records_waiting = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        app.agent(batch_topic(app, topics), name=f"sink-{sink.name}")(self._collect)
        app.task(self._write_forever)

    async def use(self, reader: JudgedReader, topics: Collection[str]) -> None:
        """Set the sink up for the reader's catalog, read with *reader* from the next write on, and read *topics*.

        Returns when the group has shared out the partitions of *topics*. Raises what the sink's ``setup`` raises (it is
        called between two writes): nothing has changed then, what comes is written as before, and the call can be
        repeated. Calls wait for each other.
        """
        async with self._changing:
            async with self._using_sink:
                await asyncio.to_thread(self._sink.setup, reader.catalog)
            # What is still to come of a topic that goes is read as it was.
            self._readers = {**self._readers, **dict.fromkeys(topics, reader)}
            await self._app.change_topics(topics)
            self._readers = dict.fromkeys(topics, reader)

    async def _collect(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._room.wait()
            self._waiting.append(event)
            self._records_waiting += len(event.value)
            if self._records_waiting >= _MAX_RECORDS_WAITING:
                self._room.clear()
            self._wake.set()

    async def _write_forever(self) -> None:
        while not self._app.should_stop:
            await self._wake.wait()
            if self._records_waiting < _MAX_RECORDS_A_WRITE:
                await asyncio.sleep(self._linger)
                await self._gather()
            # A topic that is no longer ours is not acknowledged: whoever reads it next begins there.
            events = [event for event in self._take() if event.message.topic in self._readers]
            try:
                await self._write(events)
            except Exception as error:
                log.exception("sink stops", sink=self._sink.name, error=f"{type(error).__name__}: {error}")
                await self._app.crash(error)
                return
            for event in events:
                event.ack()

    async def _gather(self) -> None:
        """Return when the loop has gone round without another batch: what one fetch has brought is written at once."""
        before = -1
        while before != len(self._waiting) and self._records_waiting < _MAX_RECORDS_A_WRITE:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _take(self) -> list[Any]:
        taken: list[Any] = []
        count = 0
        while self._waiting and count < _MAX_RECORDS_A_WRITE:
            event = self._waiting.popleft()
            count += len(event.value)
            taken.append(event)
        self._records_waiting -= count
        if self._records_waiting < _MAX_RECORDS_WAITING:
            self._room.set()
        if not self._waiting:
            self._wake.clear()
        return taken

    async def _write(self, events: list[Any]) -> None:
        """Try until the sink takes it: an outage of the store is lag, not loss."""
        readers = self._readers
        by_reader: dict[int, tuple[JudgedReader, list[tuple[str, Any]]]] = {}
        for event in events:
            reader = readers[event.message.topic]
            by_reader.setdefault(id(reader), (reader, []))[1].append((event.message.topic, event.value))
        batches: list[GovernedBatch] = []
        for reader, pairs in by_reader.values():
            batches += await asyncio.to_thread(reader.read, pairs)
        await self._write_batches(batches)

    async def _write_batches(self, batches: list[GovernedBatch]) -> None:
        attempt = 0
        while True:
            try:
                async with self._using_sink:
                    await self._patiently(asyncio.to_thread(self._sink.write, batches))
                return
            except Exception as error:
                if self._app.should_stop:
                    raise
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                attempt += 1
                log.warning(
                    "sink cannot write, will try again",
                    sink=self._sink.name,
                    records=_count(batches),
                    attempt=attempt,
                    pause=pause,
                    error=f"{type(error).__name__}: {error}"[:500],
                )
                self._app.consumer.still_trying()
                await asyncio.sleep(pause)

    async def _patiently(self, write: Coroutine[Any, Any, None]) -> None:
        """Wait for a write; for a while, one that hangs is no stall: drivers give up after a time of their own."""
        writing = asyncio.ensure_future(write)
        beat = self._app.zhida_tuning.stall_timeout / 4
        for _ in range(_BEATS):
            if (await asyncio.wait({writing}, timeout=beat))[0]:
                break
            self._app.consumer.still_trying()
        await writing


def _count(batches: list[GovernedBatch]) -> int:
    return sum(batch.verdicts.height for batch in batches)
