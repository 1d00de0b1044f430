"""What the transport commits is what has been done, and a partition that does not move is noticed."""

from __future__ import annotations

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas.connection import KafkaConnection
from streams.app import MicroBatchApp, Tuning, build_app
from streams.transport import BatchSchema, StalledPartitionError

TP0, TP1 = TP("reports", 0), TP("reports", 1)


class Bench:
    """A consumer without a broker: batches are handed to it as if they had been fetched."""

    def __init__(self) -> None:
        app = build_app("group", KafkaConnection("127.0.0.1:1"), Tuning(), client_id="test")
        app.finalize()
        self.app: MicroBatchApp = app
        app.consumer_generation_id = 1
        self.consumer = app.consumer
        self.fetched: dict[TP, list[Any]] = {}
        self.crashes: list[BaseException] = []
        self.committed: list[dict[TP, int]] = []
        #: Partitions that were asked for, and how long at most.
        self.waits: list[tuple[set[TP], float]] = []

    async def __aenter__(self) -> Bench:
        async def fetched(active_partitions: Any, timeout: float) -> Any:
            self.waits.append((set(active_partitions), timeout))
            return self.fetched

        async def commit(offsets: Any) -> bool:
            self.committed.append(dict(offsets))
            return True

        async def crash(error: BaseException) -> None:
            self.crashes.append(error)

        self.consumer._getmany = fetched
        self.consumer._commit = commit
        self.consumer.crash = crash
        self.consumer.assignment = lambda: {TP0, TP1}
        self.consumer._set_active_tps({TP0, TP1})
        self.app.flow_control.resume()
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def deliver(self, **offsets: range) -> list[Any]:
        """What the agent would be given of a fetch with these offsets, by partition: ``p0=range(3)``."""
        self.fetched = {
            TP("reports", int(name[1:])): [_record(int(name[1:]), offset) for offset in found]
            for name, found in offsets.items()
        }
        messages = []
        async for tp, message in self.consumer.getmany(1.0):
            assert message.tp == tp
            messages.append(message)
            self.consumer._read_offset[tp] = message.offset
            self.consumer.track_message(message)
        return messages

    def stand(self, highwater: int | None, position: int | None) -> None:
        """The first partition, alone, ends at *highwater* and is to be fetched from *position*."""
        self.consumer.assignment = lambda: {TP0}
        self.consumer.highwater = lambda tp: highwater
        self.consumer.fetch_position = lambda tp: position

    async def commit(self) -> dict[TP, int]:
        """The offsets that a commit sends; none where it sends nothing."""
        self.committed.clear()
        await self.consumer.commit()
        return self.committed[0] if self.committed else {}


def _record(partition: int, offset: int) -> Any:
    return SimpleNamespace(topic="reports", partition=partition, offset=offset, timestamp=1_000, timestamp_type=0)


@pytest.fixture(autouse=True)
def _no_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit flushes Faust's own producer first, which Zhida never sends anything with."""

    async def flush(_: Any) -> None:
        return

    monkeypatch.setattr(driver.Producer, "flush", flush)


def test_a_fetched_partition_batch_is_one_message_with_the_offset_of_its_last_record() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            first, second = await bench.deliver(p0=range(5, 9), p1=range(100, 101))
            assert [record.offset for record in first.value] == [5, 6, 7, 8]
            assert (first.offset, second.offset) == (8, 100)
            assert first.generation_id == 1
            assert await BatchSchema().decode(bench.app, first) is not None
            assert BatchSchema().loads_value(bench.app, first) is first.value

    asyncio.run(scene())


def test_what_is_committed_is_the_end_of_the_longest_acknowledged_prefix() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            batches = [(await bench.deliver(p0=range(i * 10, i * 10 + 10)))[0] for i in range(4)]
            assert await bench.commit() == {}
            bench.consumer.ack(batches[1])
            bench.consumer.ack(batches[2])
            assert await bench.commit() == {}
            bench.consumer.ack(batches[0])
            assert await bench.commit() == {TP0: 30}
            assert await bench.commit() == {}
            bench.consumer.ack(batches[3])
            assert await bench.commit() == {TP0: 40}

    asyncio.run(scene())


def test_acknowledgements_may_come_in_any_order_and_offsets_may_have_gaps() -> None:
    async def scene(seed: int) -> None:
        random = Random(seed)
        async with Bench() as bench:
            ends: dict[TP, list[int]] = {TP0: [], TP1: []}
            done: dict[TP, list[bool]] = {TP0: [], TP1: []}
            waiting: list[tuple[TP, int, Any]] = []
            position = {TP0: 0, TP1: 1000}
            committed: dict[TP, int] = {}
            for _ in range(60):
                for tp in (TP0, TP1):
                    begin = position[tp] + random.choice((0, 0, 1, 50))  # compaction takes some away
                    position[tp] = begin + random.randrange(1, 30)
                    (message,) = await bench.deliver(**{f"p{tp.partition}": range(begin, position[tp])})
                    waiting.append((tp, len(done[tp]), message))
                    ends[tp].append(position[tp])
                    done[tp].append(False)
                random.shuffle(waiting)
                for tp, number, message in waiting[random.randrange(len(waiting)) :]:
                    assert bench.consumer.ack(message)
                    assert not bench.consumer.ack(message)
                    done[tp][number] = True
                waiting = [item for item in waiting if not done[item[0]][item[1]]]
                committed |= await bench.commit()
                for tp in (TP0, TP1):
                    prefix = done[tp].index(False) if False in done[tp] else len(done[tp])
                    assert committed.get(tp) == (ends[tp][prefix - 1] if prefix else None)
            assert not bench.consumer._acked
            assert len(bench.consumer._unacked_messages) == len(waiting)

    for seed in range(20):
        asyncio.run(scene(seed))


def test_an_acknowledged_batch_lets_its_records_go() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            (message,) = await bench.deliver(p0=range(3))
            bench.consumer.ack(message)
            assert message.value is None

    asyncio.run(scene())


def test_a_batch_that_was_read_before_is_not_delivered_and_holds_up_no_commit() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            (first,) = await bench.deliver(p0=range(10))
            assert await bench.deliver(p0=range(5)) == []
            (second,) = await bench.deliver(p0=range(10, 20))
            bench.consumer.ack(first)
            bench.consumer.ack(second)
            assert await bench.commit() == {TP0: 20}

    asyncio.run(scene())


def test_a_revoked_partition_is_forgotten_after_what_was_begun_is_committed() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            done, begun, kept = (
                (await bench.deliver(p0=range(10)))[0],
                (await bench.deliver(p0=range(10, 20)))[0],
                (await bench.deliver(p1=range(7)))[0],
            )
            bench.consumer.ack(done)
            finishing = asyncio.create_task(bench.consumer.on_partitions_revoked({TP0}))
            await asyncio.sleep(0.05)
            assert not finishing.done()
            assert not bench.consumer.flow_active
            bench.consumer.ack(begun)
            bench.consumer.ack(kept)
            await finishing
            assert bench.committed[0] == {TP0: 20, TP1: 7}
            assert TP0 not in bench.consumer._delivered
            # Late acknowledgements of what now belongs to somebody else change nothing.
            assert await bench.commit() == {}

    asyncio.run(scene())


def test_a_commit_under_way_does_not_keep_the_last_one_of_a_leaving_worker_from_being_sent() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            first, second = (await bench.deliver(p0=range(10)))[0], (await bench.deliver(p0=range(10, 20)))[0]
            bench.consumer.ack(first)
            go = asyncio.Event()

            async def slow(offsets: Any) -> bool:
                bench.committed.append(dict(offsets))
                await go.wait()
                return True

            bench.consumer._commit = slow
            regular = asyncio.create_task(bench.consumer.commit())
            await asyncio.sleep(0)
            while not bench.committed:
                await asyncio.sleep(0)
            bench.consumer.ack(second)
            leaving = asyncio.create_task(bench.consumer.finish(1.0))
            await asyncio.sleep(0.02)
            go.set()
            await asyncio.gather(regular, leaving)
            assert bench.committed == [{TP0: 10}, {TP0: 20}]

    asyncio.run(scene())


def test_a_worker_does_not_wait_for_ever_for_what_was_begun() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            first, _hanging = (await bench.deliver(p0=range(10)))[0], (await bench.deliver(p0=range(10, 20)))[0]
            bench.consumer.ack(first)
            await bench.consumer.finish(0.05)
            assert bench.committed == [{TP0: 10}]

    asyncio.run(scene())


def test_a_new_assignment_forgets_what_was_delivered_before() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            (before,) = await bench.deliver(p0=range(10))
            bench.consumer._delivered.clear()  # as on_partitions_assigned does
            bench.consumer._read_offset.clear()
            (after,) = await bench.deliver(p0=range(10))
            bench.consumer.ack(before)
            assert await bench.commit() == {}
            bench.consumer.ack(after)
            assert await bench.commit() == {TP0: 10}

    asyncio.run(scene())


def test_a_fetch_that_a_rebalance_overtook_is_dropped() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            bench.fetched = {TP0: [_record(0, 1)], TP1: [_record(1, 1)]}
            found = []
            async for tp, _ in bench.consumer.getmany(1.0):
                found.append(tp)
                bench.app.consumer_generation_id = 2
            assert found == [TP0]

    asyncio.run(scene())


def test_partitions_that_back_pressure_holds_back_are_looked_at_again_at_once() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            await bench.deliver()
            bench.consumer.on_buffer_full(TP1)
            await bench.deliver()
            bench.consumer.on_buffer_drop(TP1)
            await bench.deliver()
            assert bench.waits == [({TP0, TP1}, 1.0), ({TP0}, 0.01), ({TP0, TP1}, 1.0)]

    asyncio.run(scene())


def test_a_message_is_handed_over_at_once_where_nothing_holds_it_up() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            tasks = len(asyncio.all_tasks())
            handed: list[int] = []

            async def hand_over(number: int) -> int:
                handed.append(number)
                return number

            found = bench.consumer.wait_first(hand_over(1), bench.consumer.suspend_flow.wait())
            with pytest.raises(StopIteration) as end:
                found.send(None)
            assert (end.value.value.results, handed) == ([1], [1])
            assert len(asyncio.all_tasks()) == tasks

    asyncio.run(scene())


def test_a_message_that_has_to_wait_is_handed_over_when_it_may_or_given_up_when_the_flow_stops() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            may = asyncio.Event()
            steps: list[str] = []

            async def hand_over() -> str:
                steps.append("begun")
                try:
                    await may.wait()
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    steps.append("given up")
                    raise
                steps.append("handed over")
                return "done"

            asyncio.get_running_loop().call_later(0.01, may.set)
            found = await bench.consumer.wait_first(hand_over(), bench.consumer.suspend_flow.wait())
            assert (found.results, steps) == (["done"], ["begun", "handed over"])
            may.clear()
            asyncio.get_running_loop().call_later(0.01, bench.consumer.suspend_flow.set)
            await bench.consumer.wait_first(hand_over(), bench.consumer.suspend_flow.wait())
            await asyncio.sleep(0)
            assert steps[2:] == ["begun", "given up"]

    asyncio.run(scene())


def test_what_goes_wrong_with_a_message_is_raised_before_and_after_it_had_to_wait() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            for pause in (False, True):

                async def fail(pause: bool = pause) -> None:
                    if pause:
                        await asyncio.sleep(0)
                    raise ValueError("no")

                with pytest.raises(ValueError, match="no"):
                    await bench.consumer.wait_first(fail(), bench.consumer.suspend_flow.wait())

    asyncio.run(scene())


# -- stalls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("highwater", "position", "read", "committed", "stalls"),
    [
        (10, 10, 9, 10, False),
        (0, 0, None, None, False),
        (10, 10, 8, 9, False),
        (10, 10, None, None, False),
        (10, 10, 9, 4, True),
        (10, 10, 0, None, True),
        (10, 4, 3, 4, True),
        (10, None, None, None, True),
        (None, None, None, None, True),
    ],
    ids=[
        "nothing to read",
        "empty",
        "ends with the mark of a transaction",
        "everything is deleted",
        "lag",
        "never committed",
        "not fetched any more",
        "no position",
        "never fetched",
    ],
)
def test_a_partition_that_should_move_and_does_not_ends_the_worker(
    highwater: int | None, position: int | None, read: int | None, committed: int | None, stalls: bool
) -> None:
    async def scene() -> None:
        async with Bench() as bench:
            bench.stand(highwater, position)
            bench.consumer._read_offset[TP0] = read
            bench.consumer._committed_offset[TP0] = committed
            bench.consumer.stall_timeout = 0.05
            await bench.consumer.verify_all_partitions_active()
            assert not bench.crashes
            await asyncio.sleep(0.1)
            await bench.consumer.verify_all_partitions_active()
            assert [type(error) for error in bench.crashes] == [StalledPartitionError] * stalls

    asyncio.run(scene())


def test_a_partition_whose_agent_still_tries_is_no_stall_until_it_gives_no_sign_any_more() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            bench.stand(1000, 100)
            bench.consumer.stall_timeout = 0.05
            for _ in range(6):
                bench.consumer.still_trying()
                await bench.consumer.verify_all_partitions_active()
                await asyncio.sleep(0.03)
            assert not bench.crashes
            await asyncio.sleep(0.05)
            await bench.consumer.verify_all_partitions_active()
            assert [type(error) for error in bench.crashes] == [StalledPartitionError]

    asyncio.run(scene())


def test_a_partition_that_moves_however_slowly_is_no_stall() -> None:
    async def scene() -> None:
        async with Bench() as bench:
            bench.stand(1000, 100)
            bench.consumer.stall_timeout = 0.05
            for offset in range(1, 8):
                bench.consumer._read_offset[TP0] = offset
                await bench.consumer.verify_all_partitions_active()
                await asyncio.sleep(0.03)
            assert not bench.crashes

    asyncio.run(scene())


def test_a_partition_revoked_in_the_middle_of_the_look_is_passed_over() -> None:
    async def scene() -> None:
        async with Bench() as bench:

            def gone(tp: TP) -> int:
                raise AssertionError("Partition is not assigned")

            bench.consumer.highwater = gone
            await bench.consumer.verify_all_partitions_active()
            assert not bench.crashes

    asyncio.run(scene())
