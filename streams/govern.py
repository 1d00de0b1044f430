"""The govern agent: judges what units report, and acknowledges a batch when all it led to is confirmed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import structlog

from rules.state.definitions import Distribution, StateSource
from streams.app import MicroBatchApp, batch_topic
from streams.decoding import UnknownIdsError
from streams.governing import Governor, Outcome, Prepared
from streams.learning import Refused, learn_and_decode
from streams.outputs import OutputWriter
from streams.shadow import ShadowTally
from streams.state.errors import StateUnavailable
from streams.stateful import Answers

#: Batches whose outputs may be on their way at once.
_IN_FLIGHT = 32
#: Records up to which the state is asked without a thread: for so few it answers sooner than one could be found.
_AT_ONCE = 100
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Batches that may wait before the state is asked about them, and before what it found is judged: while Redis works on
#: one, the next is decoded and the one before is sent.
_AHEAD = 1

log = structlog.get_logger("govern")


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class GovernAgent:
    """Attaches itself to a Faust app; one agent for all datasets, so that batches of one partition stay in order."""

    def __init__(
        self,
        app: MicroBatchApp,
        governors: Mapping[str, Governor],
        writer: OutputWriter,
        clock: Callable[[], int] = now_ms,
        shadow: ShadowTally | None = None,
        state: StateSource | None = None,
    ) -> None:
        """*governors* by report topic; what their shadow rules find is counted in *shadow*.

        Without *state* rules that ask it break nothing.
        """
        self._app = app
        self._governors = dict(governors)
        self._judging = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._writer = writer
        self._clock = clock
        self._shadow = shadow
        self._state = state
        self._counts: dict[tuple[Distribution, date], Counter[int]] = {}
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._settling: set[asyncio.Task[None]] = set()
        self._prepared: asyncio.Queue[tuple[Any, Governor, Prepared]] = asyncio.Queue(_AHEAD)
        self._answered: asyncio.Queue[tuple[Any, Governor, Prepared, Answers]] = asyncio.Queue(_AHEAD)
        self._ahead = 0
        app.task(self._ask_forever)
        app.task(self._conclude_forever)
        app.agent(batch_topic(app, self._governors), name="govern")(self._run)

    async def use(self, governors: Mapping[str, Governor]) -> None:
        """Judge with *governors* (by report topic, warmed up) from the next batch on, and read their topics.

        Every batch is judged wholly by the old or wholly by the new one. When this returns, no batch is judged by an
        old one any more, and the group has shared out the partitions of the topics. Calls wait for each other.
        """
        async with self._changing:
            async with self._judging:
                # What is still to come of a topic that goes is judged as it was.
                self._governors = {**self._governors, **governors}
            await self._prepared.join()
            await self._answered.join()
            await self._app.change_topics(governors.keys())
            self._governors = dict(governors)

    async def _run(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._slots.acquire()
            try:
                await self._handle(event)
            except Exception as error:
                await self._give_up(event, error)

    async def _handle(self, event: Any) -> None:
        message = event.message
        async with self._judging:
            governor = self._governors.get(message.topic)
            if governor is None:
                # No longer ours. Not acknowledged, so that whoever reads the topic next begins here.
                self._slots.release()
                return
            prepared = await self._prepare(governor, message.topic, message.partition, event.value)
            if not self._ahead and (prepared.request is None or len(prepared.request) <= _AT_ONCE):
                await self._conclude(event, governor, prepared, await self._ask(prepared))
            else:
                self._ahead += 1
                await self._prepared.put((event, governor, prepared))

    async def _ask_forever(self) -> None:
        """Ask the state about batches in the order in which they were prepared, while others are prepared or sent."""
        while not self._app.should_stop:
            event, governor, prepared = await self._prepared.get()
            try:
                await self._answered.put((event, governor, prepared, await self._ask(prepared)))
            except Exception as error:
                await self._give_up(event, error)
                return
            self._prepared.task_done()

    async def _conclude_forever(self) -> None:
        """Conclude batches in that order, while the state is asked about the next one."""
        while not self._app.should_stop:
            event, governor, prepared, answers = await self._answered.get()
            try:
                await self._conclude(event, governor, prepared, answers)
            except Exception as error:
                await self._give_up(event, error)
                return
            self._ahead -= 1
            self._answered.task_done()

    async def _conclude(self, event: Any, governor: Governor, prepared: Prepared, answers: Answers) -> None:
        outcome = governor.conclude(prepared, answers)
        for distribution, day, buckets in outcome.counts:
            self._counts.setdefault((distribution, day), Counter()).update(buckets)
        futures = await self._writer.write(outcome, event.value)
        task = asyncio.create_task(self._settle(event, outcome, futures))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def judge_again(self, topic: str, partition: int, messages: list[Any]) -> bool:
        """Judge messages that have had a verdict; True when the new ones are confirmed, False when nobody may any more.

        Raises what judging and sending raise; nothing is lost by that, the messages keep the verdict that they have.
        """
        async with self._judging:
            governor = self._governors.get(topic)
            if governor is None:
                return False
            prepared = await self._prepare(governor, topic, partition, messages, again=True)
            outcome = governor.conclude(prepared, await self._ask(prepared))
        for future in await self._writer.write(outcome, messages):
            await future
        return True

    def owned(self) -> dict[tuple[str, int], int]:
        """The partitions of ours, each with the offset up to which it is committed; none before the app has begun."""
        if not self._app.zhida_subscribed:
            return {}
        return {(tp.topic, tp.partition): offset for tp, offset in self._app.consumer.committed_offsets().items()}

    def take_counts(self) -> dict[tuple[Distribution, date], Counter[int]]:
        """What the days' histograms have to be told since this was asked last."""
        taken, self._counts = self._counts, {}
        return taken

    async def _prepare(
        self, governor: Governor, topic: str, partition: int, messages: Any, *, again: bool = False
    ) -> Prepared:
        def attempt(refused: Refused) -> Prepared:
            return governor.prepare(topic, partition, messages, self._clock(), refused, again=again)

        try:
            return attempt({})
        except UnknownIdsError:
            return await asyncio.to_thread(learn_and_decode, attempt, governor.codecs, governor.dataset)

    async def _ask(self, prepared: Prepared) -> Answers:
        """Try until the state answers: an outage of it is lag, not loss."""
        state, request = self._state, prepared.request
        if state is None or request is None:
            return Answers()
        attempt = 0
        while True:
            try:
                if len(request) <= _AT_ONCE:
                    return prepared.ask(state)
                return await asyncio.to_thread(prepared.ask, state)
            except StateUnavailable as error:
                if self._app.should_stop:
                    raise
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                attempt += 1
                log.warning("state does not answer, will try again", attempt=attempt, pause=pause, error=str(error))
                self._app.consumer.still_trying()
                await asyncio.sleep(pause)

    async def _settle(self, event: Any, outcome: Outcome, futures: list[asyncio.Future[Any]]) -> None:
        try:
            for future in futures:
                await future
        except Exception as error:
            for future in futures:
                future.cancel()
            await self._give_up(event, error)
            return
        event.ack()
        self._slots.release()
        if outcome.shadow is not None and self._shadow is not None:
            self._shadow.add(outcome, event.value)
        if outcome.quarantined:
            log.warning(
                "messages quarantined",
                dataset=outcome.dataset.code,
                topic=outcome.topic,
                partition=outcome.partition,
                count=len(outcome.quarantined),
                reasons=sorted({broken.reason for broken in outcome.quarantined}),
            )

    async def _give_up(self, event: Any, error: BaseException) -> None:
        """Nothing of the batch is committed; the worker ends and whoever takes over judges it again."""
        message = event.message
        log.error(
            "batch failed, worker stops",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            error=f"{type(error).__name__}: {error}",
            exc_info=error,
        )
        await self._app.crash(error)
