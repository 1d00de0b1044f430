"""Announcements on the real broker: nothing doubled, nothing lost, in order, and through an outage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.announcements import Announced, AnnouncementError, Announcements, Follower
from schemas.compacted import MAX_RECORD, FencedWriter, LostLead
from schemas.connection import KafkaConnection
from zhida.stack import RunningStack
from zhida.stack.testing import running_stack, unique_name

pytestmark = pytest.mark.real
NewTopic = Callable[..., str]


@pytest.fixture
def board(stack: RunningStack, new_name: Callable[[str], str]) -> Announcements:
    made = Announcements(stack.settings.kafka(), new_name("board"))
    made.ensure()
    return made


class Heard:
    """What a follower was told."""

    def __init__(self) -> None:
        self.all: list[Announced] = []
        self._more = threading.Condition()

    def __call__(self, announced: Announced) -> None:
        with self._more:
            self.all.append(announced)
            self._more.notify_all()

    def wait(self, count: int, seconds: float = 20) -> list[bytes]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.all) >= count, seconds), self.all
            return [one.key for one in self.all]


def say(*pairs: tuple[bytes, bytes | None]) -> Callable[[Mapping[bytes, bytes]], list[tuple[bytes, bytes | None]]]:
    return lambda _: list(pairs)


def test_two_publishers_at_once_never_become_the_same_number(stack: RunningStack, board: Announcements) -> None:
    def become_next(name: bytes) -> bytes:
        taken: list[bytes] = []

        def decide(found: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes | None]]:
            taken[:] = [b"%d" % (len(found) + 1)]
            return [(taken[0], name)]

        Announcements(stack.settings.kafka(), board.topic, timeout=60).publish(decide)
        return taken[0]

    names = [b"publisher-%d" % number for number in range(2)]
    with ThreadPoolExecutor(len(names)) as pool:
        numbers = list(pool.map(become_next, names))
    assert sorted(numbers) == [b"%d" % number for number in range(1, 3)]
    assert board.read() == dict(sorted(zip(numbers, names, strict=True)))


def test_a_publisher_that_was_overtaken_cannot_write_any_more(stack: RunningStack, board: Announcements) -> None:
    slow = FencedWriter(stack.settings.kafka(), board.topic, 10, transactional_id=f"zhida-announcements-{board.topic}")
    slow.take_over()
    board.publish(say((b"1", b"quick")))
    with pytest.raises(LostLead):
        slow.transact([(b"1", b"slow")], b"tag")
    assert board.read() == {b"1": b"quick"}


def test_what_a_decision_refuses_changes_nothing(board: Announcements) -> None:
    board.publish(say((b"1", b"one")))

    def refuse(found: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes | None]]:
        assert found == {b"1": b"one"}
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        board.publish(refuse)
    board.publish(lambda _: [])
    assert board.read() == {b"1": b"one"}


def test_a_follower_is_told_everything_in_order_and_soon(stack: RunningStack, board: Announcements) -> None:
    board.publish(say((b"1", b"a"), (b"2", b"b")))
    board.publish(say((b"1", None)))
    heard = Heard()
    follower = Follower(stack.settings.kafka(), [board.topic], heard)
    follower.start()
    try:
        follower.wait_until_read(20)
        assert [(one.key, one.value) for one in heard.all] == [(b"1", b"a"), (b"2", b"b"), (b"1", None)]
        producer = Producer(stack.settings.kafka().confluent())
        waited = []
        for number in range(4, 9):
            began = time.monotonic()
            producer.produce(board.topic, b"c", b"%d" % number)
            producer.flush(10)
            heard.wait(number)
            waited.append(time.monotonic() - began)
        print(f"noticed after {', '.join(f'{1000 * seconds:.0f}' for seconds in waited)} ms")
        assert [one.offset for one in heard.all] == sorted(one.offset for one in heard.all)
    finally:
        follower.stop()
    board.publish(say((b"9", b"nobody listens")))
    assert len(heard.all) == 8


def test_a_follower_goes_on_when_what_it_tells_somebody_is_not_taken(stack: RunningStack, board: Announcements) -> None:
    heard = Heard()

    def told(announced: Announced) -> None:
        heard(announced)
        raise RuntimeError("a broken reader")

    board.publish(say((b"1", b"a"), (b"2", b"b")))
    follower = Follower(stack.settings.kafka(), [board.topic], told)
    follower.start()
    try:
        assert heard.wait(2) == [b"1", b"2"]
    finally:
        follower.stop()


@pytest.mark.real_only
def test_a_follower_survives_a_restart_of_the_broker(tmp_path: Path) -> None:
    # Not on the embedded broker, which has forgotten everything: without it the platform stops.
    with running_stack(tmp_path / "var", real=True) as own:
        broker = next(one.name for one in own.services if "Kafka" in one.kind)
        board = Announcements(own.settings.kafka(), unique_name("board"), timeout=30)
        board.ensure()
        board.publish(say((b"1", b"before")))
        heard = Heard()
        follower = Follower(own.settings.kafka(), [board.topic], heard)
        follower.start()
        try:
            follower.wait_until_read(20)
            own.kill(broker)
            own.restart(broker)
            board.publish(say((b"2", b"after")))
            assert heard.wait(2, 40)[-1] == b"2"
        finally:
            follower.stop()
        assert board.read() == {b"1": b"before", b"2": b"after"}


def test_a_broker_that_does_not_answer_and_a_topic_that_is_unfit_are_told(
    stack: RunningStack, new_topic: NewTopic
) -> None:
    nobody = KafkaConnection(bootstrap="127.0.0.1:1")
    with pytest.raises(AnnouncementError):
        Announcements(nobody, "board", timeout=0.3).ensure()
    with pytest.raises(AnnouncementError):
        Announcements(nobody, "board", timeout=0.3).read()
    with pytest.raises(AnnouncementError):
        Announcements(nobody, "board", timeout=0.3).publish(say((b"1", b"a")))
    with pytest.raises(AnnouncementError, match="exactly 1"):
        Announcements(stack.settings.kafka(), new_topic("wide", partitions=3)).ensure()


def test_a_large_announcement_arrives_whole(stack: RunningStack, board: Announcements) -> None:
    large = bytes(range(256)) * ((MAX_RECORD - 20_000) // 256)
    board.publish(say((b"1", large)))
    assert board.read() == {b"1": large}
