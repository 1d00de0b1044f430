"""The micro-batch transport: one fetched partition batch is one Faust message.

Stock Faust spends 60-170 µs of asyncio work on every record whatever the agent does. Here a message's value is the
list of consumer records that one fetch brought from one partition and its offset is the offset of the last of them, so
that cost is paid once a batch, and agents see columns' worth of records at a time.

What of ``faust.transport.drivers.aiokafka.Consumer`` is replaced, and why that is safe:

``getmany``
    yields a message a partition batch. The stock one yields a message a record, round-robin over topics; order inside a
    partition is the same.
``_wait_next_records``
    looks again after 10 ms while back-pressure holds partitions back. Stock waits a second when all of them are, and
    else until one of the others has records, up to a second, though those that were held back may go on by then.
``wait_first``
    hands a message over without a task where that does not have to wait. Stock makes four tasks a message, and lets
    agents begin with the first batch of a fetch before they are given the second.
``ack``, ``_new_offset``, ``_filter_tps_with_pending_acks``, ``_add_gap``
    commits follow the messages themselves: the end of the longest prefix of delivered batches that are acknowledged.
    Stock bookkeeping counts offsets one by one, takes the inside of a batch for a gap and falls behind for ever.
``on_partitions_revoked``
    first lets the batches that agents have begun finish and commits them (stock forgets their acknowledgements first
    and commits afterwards), then does what stock does.
``on_partitions_assigned``
    forgets what was delivered before: everything is read again from the committed offsets.
``verify_all_partitions_active``
    a partition with records to read, or never fetched from, and neither progress nor acknowledgement for
    ``stall_timeout`` seconds crashes the worker, so that its supervisor starts it anew. Stock writes a log line.
``_commit``
    commits nothing where the consumer's thread has ended (``streams.consumer_thread``): nobody may commit then.
``_update_tp_index``, ``_update_indices`` (of the conductor)
    agents are given every partition that the group assigns, and the topics to subscribe to are the app's, so that they
    can change while it runs (stock: each agent has the topics that it was declared with, and a change sleeps 45 s).

``tests/streams/test_transport_contract.py`` fails when a Faust upgrade changes one of these.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Coroutine, Generator, Iterable, Mapping
from time import monotonic
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.services import WaitResults
from mode.utils.futures import notify

from streams.consumer_thread import ConsumerThread, ConsumerThreadEndedError

_PAUSED_SLEEP = 0.01


class StalledPartitionError(Exception):
    """A partition has records to read, and nothing has moved for longer than the stall timeout."""


class _Begun:
    """The rest of a coroutine that has been begun and waits for *future*."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], future: Any) -> None:
        self._coroutine = coroutine
        self._future = future

    def __await__(self) -> Generator[Any, Any, Any]:
        """Go on where it stopped."""
        future = self._future
        while True:
            try:
                try:
                    sent = yield future
                except BaseException as error:
                    future = self._coroutine.throw(error)
                else:
                    future = self._coroutine.send(sent)
            except StopIteration as end:
                return end.value


class MicroBatchConsumer(driver.Consumer):
    """Faust's aiokafka consumer, a partition batch at a time."""

    #: Seconds that the broker may hold a fetch to gather more records.
    linger: float = 0.0
    #: Bytes that end a held fetch before its time.
    fetch_min_bytes: int = 1
    #: Seconds without progress after which a partition with lag counts as stalled.
    stall_timeout: float = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._delivered: dict[TP, deque[ConsumerMessage]] = {}
        self._progress: dict[TP, tuple[int, int, float]] = {}
        self._settled = asyncio.Event()
        self._tried = 0.0
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> Any:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield ``(tp, message)`` a partition batch; ``message.value`` is the list of consumer records."""
        records, _ = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        for tp, batch in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                break
            read = self._read_offset[tp]
            last = batch[-1].offset
            if read is not None and last < read:
                continue  # Faust would drop it as already read, and it would never be acknowledged
            message = self._batch_message(tp, batch)
            self._delivered.setdefault(tp, deque()).append(message)
            yield tp, message

    def _batch_message(self, tp: TP, batch: list[Any]) -> ConsumerMessage:
        last = batch[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            (last.timestamp or 0) / 1000.0,
            last.timestamp_type,
            (),
            None,
            batch,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _wait_next_records(self, timeout: float) -> tuple[Mapping[TP, list[Any]] | None, set[TP] | None]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        self.not_waiting_next_records.set()
        active = self._get_active_partitions()
        if not active:
            await self.sleep(_PAUSED_SLEEP)
            return {}, active
        if self._buffered_partitions:
            timeout = min(timeout, _PAUSED_SLEEP)
        return await self._getmany(active_partitions=active, timeout=timeout), active

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Begin with the first of *coros* at once; only where it has to wait, wait for whichever ends first."""
        first, *others = coros
        if not asyncio.iscoroutine(first):
            return await super().wait_first(*coros, timeout=timeout)
        try:
            future = first.send(None)
        except BaseException as error:
            for other in others:
                other.close()
            if not isinstance(error, StopIteration):
                raise
            return WaitResults([first], [error.value], False)
        return await super().wait_first(_Begun(first, future), *others, timeout=timeout)

    def ack(self, message: ConsumerMessage) -> bool:
        """Mark a batch as done; its records are released at once."""
        if message.acked:
            return False
        message.acked = True
        message.value = None
        self._unacked_messages.discard(message)
        self._n_acked += 1
        notify(self._waiting_for_ack)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:
        return [tp for tp in self._delivered if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        delivered = self._delivered.get(tp)
        offset = None
        while delivered and delivered[0].acked:
            offset = delivered.popleft().offset + 1
        return offset

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            committed: bool = await super()._commit(offsets)
        except ConsumerThreadEndedError as error:
            self.log.warning("Nothing is committed any more: %s", error)
            return False
        return committed

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets inside a batch, and those that compaction took away, are no gap."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what agents have begun, then give the partitions back."""
        # After a change of topics nothing is assigned, so that nothing could be committed: that was done before.
        await self.finish(self._patience if self.assignment() else 0)
        for tp in revoked:
            self._delivered.pop(tp, None)
            self._progress.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    @property
    def _patience(self) -> float:
        """Seconds that agents are given to finish what they have begun."""
        return float(self.app.conf.broker_session_timeout) / 2

    async def change_topics(self, topics: Collection[str]) -> None:
        """Finish and commit what agents have begun, subscribe to exactly *topics*, wait for the new assignment.

        aiokafka drops its assignment the moment that the subscription changes, and with it the right to commit.
        """
        await self.finish(self._patience)
        self._settled.clear()
        await self.subscribe(topics)
        await self.wait(self._settled)

    async def finish(self, timeout: float) -> None:
        """Give agents nothing more, wait for what they have begun (at most *timeout* seconds), and commit it."""
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        deadline = monotonic() + timeout
        while any(not message.acked for message in self._unacked_messages) and monotonic() < deadline:
            await asyncio.sleep(0.005)
        # A commit that is under way may have begun before the last acknowledgement.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start afresh from the committed offsets."""
        self._delivered.clear()
        self._progress.clear()
        await super().on_partitions_assigned(assigned, generation_id)
        # Else the topics have changed meanwhile, and another assignment is to come.
        if assigned == self.assignment():
            self._settled.set()

    def fetch_position(self, tp: TP) -> int | None:
        """The next offset that will be fetched of *tp*; None while unknown."""
        position: int | None = self._thread.fetch_position(tp)
        return position

    def committed_offsets(self) -> dict[TP, int]:
        """Of each partition that is ours, the offset up to which it is committed, where something is."""
        committed = ((tp, self._committed_offset.get(tp)) for tp in self.assignment())
        return {tp: offset for tp, offset in committed if offset}

    def still_trying(self) -> None:
        """Say that an agent is at work on what it holds, though it gets nowhere: lag is no stall then."""
        self._tried = monotonic()

    def _is_idle(self, tp: TP, highwater: int | None, position: int | None) -> bool:
        if highwater is None:  # an empty partition has an end too: one without was never fetched from
            return False
        committed, read = self._committed_offset.get(tp), self._read_offset.get(tp)
        if (committed or 0) >= highwater:
            return True
        # What is fetched last may be the mark of a transaction, which nobody is handed and nobody commits.
        all_done = read is None or (committed is not None and committed >= read)
        return all_done and position is not None and position >= highwater

    async def verify_all_partitions_active(self) -> None:
        """Crash the worker when a partition with lag has not moved for ``stall_timeout`` seconds."""
        now = monotonic()
        for tp in self.assignment():
            try:
                highwater, position = self.highwater(tp), self.fetch_position(tp)
            except (AssertionError, IllegalStateError):  # revoked meanwhile, in the consumer's thread
                continue
            read = self._read_offset.get(tp)
            committed = self._committed_offset.get(tp)
            state = (read or 0, committed or 0)
            before = self._progress.get(tp)
            if before is None or before[:2] != state or self._is_idle(tp, highwater, position):
                self._progress[tp] = (*state, now)
            elif now - max(before[2], self._tried) > self.stall_timeout:
                message = (
                    f"{tp.topic}[{tp.partition}] at {state[1]} of {highwater} has not moved for {self.stall_timeout} s"
                )
                await self.crash(StalledPartitionError(message))
                return


class MicroBatchConductor(Conductor):
    """Hands every batch to the app's agents, whatever its topic."""

    async def _update_indices(self) -> Collection[str]:
        """The topics to subscribe to."""
        await super()._update_indices()
        self.app.zhida_subscribed = True
        topics: Collection[str] = self.app.zhida_topics
        return topics

    def _update_tp_index(self, assigned: set[TP]) -> None:
        for tp in assigned:
            self._tp_index[tp].update(self._topics)
            # Streams hold this very set, and only of these topics do they say what agents have begun.
            self._acking_topics.add(tp.topic)


class MicroBatchTransport(driver.Transport):
    """Faust's Kafka transport with micro-batch consumers."""

    Consumer = MicroBatchConsumer
    Conductor = MicroBatchConductor
    driver_version = f"zhida-microbatch/{driver.Transport.driver_version}"


class BatchSchema(faust.Schema):
    """Hands the list of consumer records on as the event's value, untouched."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> None:
        """Batches have no key."""
        return

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        """The consumer records."""
        return message.value
