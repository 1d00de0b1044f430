"""The govern agent: judges what units report, and acknowledges a batch when all it led to is confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from streams.app import MicroBatchApp, batch_topic
from streams.decoding import CodecCache, UnknownIdsError
from streams.governing import Governor, Outcome
from streams.outputs import OutputWriter

#: Batches whose outputs may be on their way at once.
_IN_FLIGHT = 32

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
        codecs: CodecCache,
        writer: OutputWriter,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """*governors* by report topic."""
        self._app = app
        self._governors = dict(governors)
        self._codecs = codecs
        self._writer = writer
        self._clock = clock
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._settling: set[asyncio.Task[None]] = set()
        app.agent(batch_topic(app, sorted(self._governors)), name="govern")(self._run)

    async def _run(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._slots.acquire()
            try:
                await self._handle(event)
            except Exception as error:
                await self._give_up(event, error)

    async def _handle(self, event: Any) -> None:
        messages = event.value
        outcome = await self._judge(event.message.topic, event.message.partition, messages)
        futures = await self._writer.write(outcome, messages)
        task = asyncio.create_task(self._settle(event, outcome, futures))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _judge(self, topic: str, partition: int, messages: Any) -> Outcome:
        governor = self._governors[topic]
        refused: dict[int, tuple[str, str]] = {}
        while True:
            try:
                return governor.judge(topic, partition, messages, self._clock(), refused)
            except UnknownIdsError as unknown:
                for schema_id in unknown.ids:
                    reason = await asyncio.to_thread(self._codecs.learn, governor.dataset, schema_id)
                    if reason:
                        refused[schema_id] = reason

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
