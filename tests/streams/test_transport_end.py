"""A consumer whose thread has ended, as after a crash, keeps nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest
from faust.types import TP
from running_apps import TUNING, until

from schemas.connection import KafkaConnection
from streams.app import MicroBatchApp, WorkerStoppedError, batch_topic, build_app, run_app
from streams.consumer_thread import ConsumerThread, ConsumerThreadEndedError
from zhida.stack import RunningStack
from zhida.stack.testing import create_topic, unique_name

_SECONDS = 10.0


class Window:
    """Holds the consumer's thread at its very end, where it answers nobody any more and is not closed yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.left = threading.Event(), threading.Event()
        window, original = self, ConsumerThread._gather_remaining_tasks

        async def lingering(self: Any) -> None:
            await original(self)
            window.reached.set()
            while not window.left.is_set():
                await asyncio.sleep(0.01)

        monkeypatch.setattr(ConsumerThread, "_gather_remaining_tasks", lingering)


def _app(kafka: KafkaConnection) -> tuple[MicroBatchApp, TP]:
    topic = create_topic(kafka, unique_name("reports"), 1)
    app = build_app(unique_name("group"), kafka, TUNING, client_id="test")

    async def nothing(stream: Any) -> None:
        async for _ in stream.noack().events():
            pass

    app.agent(batch_topic(app, [topic]), name="nothing")(nothing)
    return app, TP(topic, 0)


def test_what_is_asked_of_a_thread_that_is_ending_or_has_ended_fails_and_does_not_wait(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window(monkeypatch)

    async def scene() -> None:
        app, tp = _app(stack.settings.kafka())
        stopping = asyncio.Event()
        run = asyncio.create_task(run_app(app, stopping))
        await until(lambda: app.zhida_subscribed and bool(app.consumer.assignment()), "it has its partition", run)
        thread = app.consumer._thread
        thread._stopped_set()
        await until(window.reached.is_set, "the thread is at its end")
        asked = asyncio.create_task(app.consumer.position(tp))
        committed = asyncio.create_task(app.consumer._commit({tp: 1}))
        await asyncio.sleep(0.1)
        window.left.set()
        with pytest.raises(ConsumerThreadEndedError):
            await asyncio.wait_for(asked, _SECONDS)
        assert await asyncio.wait_for(committed, _SECONDS) is False
        with pytest.raises(ConsumerThreadEndedError):
            await asyncio.wait_for(app.consumer.position(tp), _SECONDS)
        assert not thread._asked
        stopping.set()
        ended, _ = await asyncio.wait({run}, timeout=_SECONDS)
        assert ended, "it hangs"
        # Faust may have been about to ask something itself, and ends with that then.
        with suppress(ConsumerThreadEndedError):
            await run

    asyncio.run(scene())


def test_a_worker_that_is_asked_to_stop_while_it_starts_stops(stack: RunningStack) -> None:
    async def scene() -> None:
        for seconds in (0.0, 0.05, 0.3, 1.0):
            app, _ = _app(stack.settings.kafka())
            # The broker answers, but the app's turn never comes.
            app.tables.recovery.completed.set = lambda: None
            stopping = asyncio.Event()
            run = asyncio.create_task(run_app(app, stopping))
            await asyncio.sleep(seconds)
            stopping.set()
            ended, _ = await asyncio.wait({run}, timeout=_SECONDS)
            assert ended, f"it hangs when it is stopped after {seconds} s"
            await run

    asyncio.run(scene())


def test_a_worker_that_crashes_ends_though_its_last_commit_is_never_answered(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window(monkeypatch)

    async def scene() -> None:
        app, tp = _app(stack.settings.kafka())
        run = asyncio.create_task(run_app(app, asyncio.Event()))
        await until(lambda: app.zhida_subscribed and bool(app.consumer.assignment()), "it has its partition", run)
        app.consumer._thread._stopped_set()
        await until(window.reached.is_set, "the thread is at its end")

        async def commit(*_: Any, **__: Any) -> bool:
            committed: bool = await app.consumer._commit({tp: 1})
            return committed

        monkeypatch.setattr(app.consumer, "commit", commit)
        await app.crash(ValueError("on purpose"))
        await asyncio.sleep(0.5)
        window.left.set()
        ended, _ = await asyncio.wait({run}, timeout=_SECONDS)
        assert ended, "it hangs"
        with pytest.raises(WorkerStoppedError, match="on purpose"):
            await run

    asyncio.run(scene())
