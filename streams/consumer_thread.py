"""The thread in which aiokafka works for a consumer of ``streams.transport``.

What of ``faust.transport.drivers.aiokafka.AIOKafkaConsumerThread`` is replaced, and why that is safe:

``_create_worker_consumer``
    asks the broker to hold a fetch for up to ``linger`` seconds until ``fetch_min_bytes`` are there (stock: every
    record is sent at once), so that a quiet stream costs broker and worker little; leaves out what a unit's transaction
    gave up again; has aiokafka read header names that are not UTF-8 (``streams.lenient``); and shares partitions in a
    way that bears members whose topics differ (``streams.sharing``).
``on_start``
    has quiet partitions left out of most fetches, and fetches held for longer where nothing comes (``streams.quiet``).
``highwater``
    is the end of what may be read: what is behind an unfinished transaction may not yet.
``seek_to_committed``
    does nothing while no partition is assigned, as between a change of topics and the new assignment; aiokafka fails
    an assertion then. The new assignment starts from the committed offsets anyway.
``on_thread_stop``
    gives up after a few seconds: aiokafka asks a broker that it has already left for committed offsets for ever when it
    is stopped at that moment. The group hears of the leave when the session expires then.
``call_thread``, ``_start_thread``
    what is asked of a thread that ends meanwhile, or has ended, fails with ConsumerThreadEndedError. Stock waits for
    the answer for ever: a crash ends the thread by itself, so that a worker that had crashed could hang on its last
    commit instead of ending, and nobody started it again. And a thread that has ended says so in every case; stock
    does not when it is cancelled, and whoever stops it waits a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams import lenient, quiet, sharing

#: Seconds in which the consumer has said to the broker that it leaves, or will not.
_CLOSE_SECONDS = 5.0

log = structlog.get_logger("streams")


class ConsumerThreadEndedError(RuntimeError):
    """The consumer's thread has ended: the worker is ending, and whoever takes over goes on from the last commit."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with fetches that the broker holds, and an end that everybody hears of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: What the main thread waits for; both are touched by the main thread only.
        self._asked: set[asyncio.Future[Any]] = set()
        self._over = False
        super().__init__(*args, **kwargs)

    async def call_thread(self, fun: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """What *fun* returns in the thread; raises ConsumerThreadEndedError where it does not answer any more."""
        promise = self.parent_loop.create_future()
        self._asked.add(promise)
        try:
            if self._over:
                raise ConsumerThreadEndedError("the consumer's thread has ended")
            try:
                await self.method_queue.call(promise, fun, *args, **kwargs)
            except RuntimeError as error:  # the loop is closed; that the thread is over will be said in a moment
                raise ConsumerThreadEndedError("the consumer's thread is ending") from error
            return await promise
        finally:
            self._asked.discard(promise)

    async def on_start(self) -> None:
        """Begin to fetch."""
        await super().on_start()
        if self.consumer.linger:
            quiet.amend(self._ensure_consumer()._fetcher)

    async def on_thread_stop(self) -> None:
        """Close the consumer, as far as the broker lets it."""
        try:
            await asyncio.wait_for(super().on_thread_stop(), _CLOSE_SECONDS)
        except TimeoutError:
            log.warning("the consumer does not close and is given up", seconds=_CLOSE_SECONDS)
            await self._ensure_consumer()._client.close()

    def _start_thread(self) -> None:
        try:
            # A fetch that fails while aiokafka closes raises this, and is nothing that anybody has to hear of.
            with suppress(asyncio.CancelledError):
                super()._start_thread()
        finally:
            with suppress(RuntimeError):  # the main loop is closed, and nobody waits
                self.parent_loop.call_soon_threadsafe(self._end_calls)
                self.set_shutdown()

    def _end_calls(self) -> None:
        self._over = True
        for promise in self._asked:
            if not promise.done():
                promise.set_exception(ConsumerThreadEndedError("the consumer's thread has ended"))

    def _create_worker_consumer(self, transport: Any) -> Any:
        lenient.install()
        consumer = super()._create_worker_consumer(transport)
        linger = self.consumer.linger
        if linger:
            consumer._fetch_min_bytes = self.consumer.fetch_min_bytes
            consumer._fetch_max_wait_ms = max(1, int(linger * 1000))
        # Read when the consumer starts. The embedded broker does not say which transactions were given up.
        consumer._isolation_level = "read_committed"
        sharing.amend(consumer)
        return consumer

    def highwater(self, tp: TP) -> int:
        """The end of what may be read: what is behind an unfinished transaction may not yet."""
        consumer = self._ensure_consumer()
        stable = consumer.last_stable_offset(tp)
        end: int = consumer.highwater(tp) if stable is None or stable < 0 else stable
        return end

    def fetch_position(self, tp: TP) -> int | None:
        """The next offset to fetch, behind the marks of transactions, which nobody is handed; None while unknown."""
        state = self._ensure_consumer()._subscription._assigned_state(tp)
        position: int | None = state.position if state.has_valid_position else None
        return position

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek assigned partitions to their committed offsets; none where the topics are just changing."""
        found: Mapping[TP, int] = await self.call_thread(self._seek_assigned)
        return found

    async def _seek_assigned(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        if not consumer.assignment():
            return {}
        try:
            found: Mapping[TP, int] = await consumer.seek_to_committed()
        except (AssertionError, IllegalStateError):
            if consumer.assignment():
                raise
            return {}
        return found
