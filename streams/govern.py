"""The govern agent: judges what units report, and acknowledges a batch when all it led to is confirmed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import structlog

from rules.state.definitions import Distribution, StateSource
from streams.app import MicroBatchApp, batch_topic
from streams.decoding import UnknownIdsError
from streams.governing import Governor, Outcome, Prepared, ask_together
from streams.learning import Refused, learn_and_decode
from streams.outputs import OutputWriter
from streams.shadow import ShadowTally
from streams.state.errors import StateUnavailable
from streams.stateful import Reply

#: Batches whose outputs may be on their way at once.
_IN_FLIGHT = 32
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Records up to which no thread is taken: what is to be done would be done before one could be found.
_AT_ONCE = 200
#: Records for which the state may still have to be asked when the next batch is prepared: while Redis works on a large
#: batch the next is decoded and the one before is sent; of small ones all that a fetch has brought go together.
_RECORDS_AHEAD = 20_000

_Result = TypeVar("_Result")

log = structlog.get_logger("govern")


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class _Held:
    """A batch on its way through the agent."""

    event: Any
    governor: Governor
    prepared: Prepared


#: A batch and what the state says about it.
_Answered = tuple[_Held, Reply | None]


def _groups(answered: list[_Answered]) -> Iterator[list[_Answered]]:
    """Few records go out together, batch by batch would cost more than the records; of many each batch goes at once."""
    if sum(len(held.event.value) for held, _ in answered) <= _AT_ONCE:
        yield answered
    else:
        yield from ([one] for one in answered)


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
        # A thread for each kind of work: what it works with stays in its caches.
        self._preparing, self._asking, self._answering = (
            ThreadPoolExecutor(1, thread_name_prefix=f"govern-{name}") for name in ("prepare", "ask", "answer")
        )
        self._settling: set[asyncio.Task[None]] = set()
        self._prepared: asyncio.Queue[_Held] = asyncio.Queue()
        self._answered: asyncio.Queue[list[_Answered]] = asyncio.Queue(4)
        self._records_ahead = 0
        self._room = asyncio.Event()
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
            self._prepared.put_nowait(_Held(event, governor, prepared))
        self._records_ahead += len(event.value)
        if self._records_ahead > _RECORDS_AHEAD:
            self._room.clear()
            await self._room.wait()

    async def _ask_forever(self) -> None:
        """Ask the state about batches in the order in which they were prepared, while others are prepared or sent."""
        while not self._app.should_stop:
            held = await self._gathered()
            try:
                replies = await self._ask([one.prepared for one in held])
            except Exception as error:
                await self._give_up(held[0].event, error)
                return
            await self._answered.put(list(zip(held, replies, strict=True)))
            for _ in held:
                self._prepared.task_done()

    async def _gathered(self) -> list[_Held]:
        """All batches that are prepared, as soon as the loop has gone round without another one."""
        held = [await self._prepared.get()]
        while True:
            await asyncio.sleep(0)
            if self._prepared.empty():
                break
            while not self._prepared.empty():
                held.append(self._prepared.get_nowait())
        self._records_ahead = 0
        self._room.set()
        return held

    async def _conclude_forever(self) -> None:
        """Conclude batches in that order, while the state is asked about the next ones."""
        while not self._app.should_stop:
            for group in _groups(await self._answered.get()):
                try:
                    await self._conclude(group)
                except Exception as error:
                    await self._give_up(group[0][0].event, error)
                    return
            self._answered.task_done()

    async def _conclude(self, group: Sequence[_Answered]) -> None:
        """Conclude batches, and send all that they led to together."""
        outcomes: list[tuple[Outcome, Sequence[Any]]] = []
        for held, reply in group:
            event, prepared = held.event, held.prepared
            if reply is not None and len(event.value) > _AT_ONCE:
                answers = await self._beside(self._answering, prepared.answers, reply)
            else:
                answers = prepared.answers(reply)
            outcome = held.governor.conclude(prepared, answers)
            for distribution, day, buckets in outcome.counts:
                self._counts.setdefault((distribution, day), Counter()).update(buckets)
            outcomes.append((outcome, event.value))
        futures = await self._writer.write(outcomes)
        settled = [(held.event, outcome) for (held, _), (outcome, _) in zip(group, outcomes, strict=True)]
        task = asyncio.create_task(self._settle(settled, futures))
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
            (reply,) = await self._ask([prepared])
            outcome = governor.conclude(prepared, prepared.answers(reply))
        for future in await self._writer.write([(outcome, messages)]):
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
            prepared = governor.prepare(topic, partition, messages, self._clock(), refused, again=again)
            if self._state is not None:
                prepared.pack(self._state)
            return prepared

        def learning() -> Prepared:
            return learn_and_decode(attempt, governor.codecs, governor.dataset)

        if len(messages) > _AT_ONCE:
            return await self._beside(self._preparing, learning)
        try:
            return attempt({})
        except UnknownIdsError:
            return await self._beside(self._preparing, learning)

    async def _ask(self, batches: Sequence[Prepared]) -> list[Reply | None]:
        """Try until the state answers: an outage of it is lag, not loss."""
        state = self._state
        if state is None or all(batch.request is None for batch in batches):
            return [None for _ in batches]
        attempt = 0
        while True:
            try:
                if sum(len(batch.messages) for batch in batches) <= _AT_ONCE:
                    return ask_together(batches, state)
                return await self._beside(self._asking, ask_together, batches, state)
            except StateUnavailable as error:
                if self._app.should_stop:
                    raise
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                attempt += 1
                log.warning("state does not answer, will try again", attempt=attempt, pause=pause, error=str(error))
                self._app.consumer.still_trying()
                await asyncio.sleep(pause)

    @staticmethod
    async def _beside(thread: ThreadPoolExecutor, work: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)

    async def _settle(self, concluded: Sequence[tuple[Any, Outcome]], futures: list[asyncio.Future[Any]]) -> None:
        """Acknowledge events when all that they led to is confirmed."""
        try:
            for future in futures:
                await future
        except Exception as error:
            for future in futures:
                future.cancel()
            await self._give_up(concluded[0][0], error)
            return
        for event, outcome in concluded:
            messages = event.value
            event.ack()
            self._slots.release()
            if outcome.shadow is not None and self._shadow is not None:
                self._shadow.add(outcome, messages)
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
