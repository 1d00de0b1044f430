"""A Faust app with the micro-batch transport, run inside an asyncio loop that other roles may share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import faust
from yarl import URL

from schemas.connection import KafkaConnection
from streams.transport import BatchSchema, MicroBatchConsumer, MicroBatchTransport

#: Faust's own buffer of batches a stream; more only costs memory and time to rebalance.
_BUFFERED_BATCHES = 16
#: A topic that the answering broker did not know yet, when its partitions were shared out, is found within this time.
_METADATA_MAX_AGE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times in seconds, sizes in bytes."""

    session_timeout: float = 6.0
    heartbeat_interval: float = 1.0
    commit_interval: float = 1.0
    #: The broker holds a fetch for so long, or until there are so many bytes.
    linger: float = 0.03
    fetch_min_bytes: int = 65_536
    stall_timeout: float = 60.0
    max_partition_fetch_bytes: int = 4 * 1024 * 1024
    max_poll_records: int = 5000
    max_message_bytes: int = 64 * 1024 * 1024


class WorkerStoppedError(Exception):
    """A Faust app ended by itself: the process must end too, so that its supervisor starts it anew."""


class MicroBatchApp(faust.App):
    """``faust.App`` whose consumer hands over partition batches, and whose topics can change while it runs."""

    zhida_tuning = Tuning()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: What the app is subscribed to, or will be when it starts.
        self.zhida_topics: frozenset[str] = frozenset()
        #: Set by the conductor when it subscribes for the first time.
        self.zhida_subscribed = False
        self._topics_lock = asyncio.Lock()
        self._topic_changes: set[asyncio.Task[None]] = set()

    async def change_topics(self, names: Collection[str]) -> None:
        """Subscribe to exactly *names*, which must exist; every agent of the app is given the records of all of them.

        Returns when the group has shared out the partitions anew; what was begun before is finished and committed
        first, and offsets of topics that stay are kept. Before the app is started, *names* are only remembered.
        Calls wait for each other; one that is cancelled is carried out all the same. Raises ValueError for no names.
        """
        wanted = frozenset(names)
        if not wanted:
            raise ValueError("an app without topics has nothing to do: stop it instead")
        change = asyncio.create_task(self._change_topics(wanted), name="change-topics")
        self._topic_changes.add(change)
        change.add_done_callback(self._topic_changes.discard)
        # Half a change would leave the worker idle.
        await asyncio.shield(change)

    async def _change_topics(self, wanted: frozenset[str]) -> None:
        async with self._topics_lock:
            if wanted == self.zhida_topics:
                return
            self.zhida_topics = wanted
            if not self.zhida_subscribed or self.should_stop:
                return
            try:
                await self.consumer.change_topics(wanted)
            except Exception as error:
                await self.crash(error)
                raise

    def _create_directories(self) -> None:
        """Nothing: these apps keep no tables, and Faust would leave a folder for each in the working directory."""

    def _new_transport(self) -> Any:
        return MicroBatchTransport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> Any:
        consumer = super()._new_consumer()
        assert isinstance(consumer, MicroBatchConsumer)
        consumer.linger = self.zhida_tuning.linger
        consumer.fetch_min_bytes = self.zhida_tuning.fetch_min_bytes
        consumer.stall_timeout = self.zhida_tuning.stall_timeout
        return consumer


def build_app(group: str, kafka: KafkaConnection, tuning: Tuning, *, client_id: str) -> MicroBatchApp:
    """An app whose consumer group is *group*; nothing is connected yet."""
    app = MicroBatchApp(
        group,
        broker=[URL(f"kafka://{server.strip()}") for server in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        broker_client_id=client_id,
        broker_session_timeout=tuning.session_timeout,
        broker_heartbeat_interval=tuning.heartbeat_interval,
        broker_commit_interval=tuning.commit_interval,
        broker_max_poll_records=tuning.max_poll_records,
        broker_max_poll_interval=300.0,
        broker_request_timeout=max(30.0, tuning.session_timeout * 2),
        broker_check_crcs=True,
        consumer_max_fetch_size=tuning.max_partition_fetch_bytes,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=_METADATA_MAX_AGE_MS,
        producer_max_request_size=tuning.max_message_bytes,
        stream_buffer_maxsize=_BUFFERED_BATCHES,
        stream_wait_empty=False,
        stream_publish_on_commit=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        autodiscover=False,
    )
    app.zhida_tuning = tuning
    # Faust reports a rebalance, a normal event, with a table of partitions at INFO and "flight recorder" noise.
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    return app


def batch_topic(app: MicroBatchApp, names: Collection[str]) -> Any:
    """A Faust topic over *names* whose events are lists of consumer records; adds them to what the app reads."""
    app.zhida_topics |= frozenset(names)
    return app.topic(*sorted(names), schema=BatchSchema(), internal=False)


async def run_app(app: MicroBatchApp, stopping: asyncio.Event) -> None:
    """Run *app* until *stopping* is set; raise WorkerStoppedError when it ends by itself or crashes."""
    app.finalize()
    try:
        if not await _started(app, stopping):
            return
        await _until_stopped(app, stopping)
        # Who takes over goes on exactly where this worker ends.
        await app.consumer.finish(app.zhida_tuning.session_timeout / 2)
    finally:
        await app.stop()


async def _started(app: MicroBatchApp, stopping: asyncio.Event) -> bool:
    """Start *app*; False when *stopping* was set before that was done: Faust waits for its partitions for ever."""
    starting, asked = asyncio.create_task(app.start()), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
        return starting.done()
    finally:
        for task in (starting, asked):
            task.cancel()
        await asyncio.gather(starting, asked, return_exceptions=True)


async def _until_stopped(app: MicroBatchApp, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        if app.should_stop or app.crashed:
            reason = app.crash_reason
            raise WorkerStoppedError(f"{app.conf.id} stopped: {reason!r}") from reason
        try:
            await asyncio.wait_for(stopping.wait(), 0.2)
        except TimeoutError:
            continue


def _credentials(kafka: KafkaConnection) -> Any:
    context = kafka.ssl_context()
    if kafka.uses_sasl:
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.password,
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
