"""One measured run: a worker process reads what is preloaded, and an observer sees its outputs arrive.

The span is the same for every way: from the moment when a twentieth of the accepted records is visible on the broker
(start-up, joining the group and the first fetches are over) to the moment when every output is. The rate is what
arrived between, the CPU time is what the worker processes (user and system, all threads) used between.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psutil
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.kafka import Trouble, new_consumer, watermarks
from schemas.connection import KafkaConnection

_LOG = logging.getLogger("zhida.bench.kafka")
_LOG.addHandler(logging.NullHandler())

#: Share of the accepted records whose arrival begins the span.
WARM = 0.05
#: Between two looks at the outputs; while much is missing, half the time that it should still take, for looking often
#: takes CPU away from what is measured.
_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.5
#: Seconds; less CPU time than that cannot be told from none.
_CLOCK_TICK = 0.01
_PATIENCE = 90.0

_NOT_YET = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)

Place = tuple[str, int]


class BenchError(Exception):
    """A run did not do what it was to do."""


class Broker:
    """What the harness asks of the broker, on Apache Kafka and on the embedded one."""

    def __init__(self, kafka: KafkaConnection, *, exact_list: bool) -> None:
        """*exact_list*: ListOffsets is exact (the embedded broker answers it with the start of the last batch)."""
        self.kafka = kafka
        self._exact = exact_list
        self._admin = AdminClient(kafka.confluent() | {"log_level": 3})
        self._watcher = None if exact_list else new_consumer(kafka, Trouble(), "zhida-bench-watch")

    def places(self, topics: Iterable[str]) -> list[Place]:
        """Every partition of *topics*, which have been created; waits until the broker shows them all."""
        topics = list(topics)
        deadline = time.monotonic() + 30
        while missing := set(topics) - (known := self._admin.list_topics(timeout=30).topics).keys():
            if time.monotonic() > deadline:
                raise BenchError(f"{len(missing)} topics are not there, such as {min(missing)}")
            time.sleep(0.2)
        return [(topic, partition) for topic in topics for partition in sorted(known[topic].partitions)]

    def warm(self, topics: Iterable[str]) -> None:
        """Send one message to every partition of *topics*.

        A broker makes files and more at the first one: without this, whatever is measured first would pay for all.
        """
        producer = Producer(self.kafka.confluent() | {"acks": "all", "linger.ms": 50}, logger=_LOG)
        for topic, partition in self.places(topics):
            producer.produce(topic, b"", partition=partition)
        if producer.flush(60):
            raise BenchError("the topics cannot be written to")

    def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """The offset after the last message of each."""
        if self._watcher is not None:
            return {place: end for place, (_, end) in watermarks(self._watcher, list(places), 30.0).items()}
        found: dict[Place, int] = {}
        deadline = time.monotonic() + 30
        while left := [place for place in places if place not in found]:
            futures = self._admin.list_offsets({TopicPartition(*place): OffsetSpec.latest() for place in left})
            for asked, future in futures.items():
                try:
                    found[asked.topic, asked.partition] = future.result(30).offset
                except KafkaException as error:
                    # A topic that has just been created may not have its leader yet.
                    if error.args[0].code() not in _NOT_YET or time.monotonic() > deadline:
                        raise
            if len(found) < len(places):
                time.sleep(0.1)
        return found

    def total(self, places: Sequence[Place]) -> int:
        """The sum of :meth:`ends`."""
        return sum(self.ends(places).values())

    def delete_groups(self, groups: Sequence[str]) -> None:
        """Forget what *groups* have committed; a group that is not there is no error."""
        for future in self._admin.delete_consumer_groups(list(groups)).values():
            try:
                future.result(30)
            except Exception as error:
                if "GROUP_ID_NOT_FOUND" not in str(error) and "not exist" not in str(error):
                    raise

    def commit(self, group: str, offsets: dict[Place, int]) -> None:
        """Make *offsets* the committed ones of *group*, which has no members."""
        consumer = Consumer(self.kafka.confluent() | {"group.id": group, "enable.auto.commit": False}, logger=_LOG)
        try:
            consumer.commit(
                offsets=[TopicPartition(*place, offset) for place, offset in offsets.items()], asynchronous=False
            )
        finally:
            consumer.close()

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """The committed offsets of *group*; 0 where there is none."""
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
        found = self._admin.list_consumer_group_offsets([wanted])[group].result(30).topic_partitions
        return {(tp.topic, tp.partition): max(0, tp.offset) for tp in found}


class CpuMeter:
    """Seconds of CPU that processes and, unless told otherwise, their children have used."""

    def __init__(self, pids: Iterable[int], *, children: bool = True) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._children = children

    def seconds(self) -> float:
        """User and system, all threads, so far."""
        total = 0.0
        for root in self._roots:
            for process in (root, *(root.children(recursive=True) if self._children else ())):
                times = process.cpu_times()
                total += times.user + times.system
        return total


class ForeignMeter:
    """Seconds of CPU that programs other than the harness and what it has started have used since it was made."""

    def __init__(self) -> None:
        self._own = CpuMeter([os.getpid()])
        self._began = self._now()

    def seconds(self) -> float:
        """So far; on a quiet machine about none."""
        return max(0.0, self._now() - self._began)

    def _now(self) -> float:
        times = psutil.cpu_times()
        return float(times.user + times.nice + times.system + times.irq + times.softirq) - self._own.seconds()


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured span; ``foreign`` is the CPU time of programs that have nothing to do with the benchmark."""

    records: float
    wall: float
    cpu: float
    foreign: float = 0.0

    @property
    def per_second(self) -> float:
        """Records a second by wall clock."""
        return self.records / self.wall

    @property
    def per_cpu_second(self) -> float:
        """Records a second of CPU."""
        return self.records / max(self.cpu, _CLOCK_TICK)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a way writes, and how much of each there must be."""

    accepted: Sequence[Place]
    others: Sequence[Place]  # rejected, quarantine
    feedback: Sequence[Place]
    want_accepted: int
    want_others: int
    want_feedback: int
    received: int


class Observer:
    """Watches one run's outputs."""

    def __init__(self, broker: Broker, outputs: Outputs, alive: Callable[[], None]) -> None:
        """Note where the outputs end now; *alive* raises when a worker has died."""
        self._broker = broker
        self._outputs = outputs
        self._alive = alive
        self._accepted = broker.total(outputs.accepted)
        self._others = broker.total(outputs.others) if outputs.others else 0
        self._feedback = broker.total(outputs.feedback) if outputs.feedback else 0

    def watch(self, meter: CpuMeter, finished: Callable[[], bool] = lambda: True) -> Reading:
        """Return when all outputs are there and *finished*; raises BenchError when nothing moves."""
        out = self._outputs
        self._until(lambda: out.want_accepted * WARM - self._new_accepted(), "the first outputs")
        foreign = ForeignMeter()
        seen, began, cpu = self._new_accepted(), time.perf_counter(), meter.seconds()
        self._until(lambda: out.want_accepted - self._new_accepted(), "all accepted records")
        self._until(lambda: not self._rest_there(), "feedback, rejected and quarantined messages")
        self._until(lambda: not finished(), "the stores")
        wall, used = time.perf_counter() - began, meter.seconds() - cpu
        share = 1 - seen / out.want_accepted
        return Reading(records=out.received * share, wall=wall, cpu=used, foreign=foreign.seconds())

    def check(self) -> None:
        """Raise BenchError unless the outputs are exactly as many as they must be."""
        out = self._outputs
        got = (
            self._new_accepted(),
            self._broker.total(out.others) - self._others if out.others else 0,
            self._broker.total(out.feedback) - self._feedback if out.feedback else 0,
        )
        want = (out.want_accepted, out.want_others, out.want_feedback)
        if got != want:
            raise BenchError(f"outputs differ: accepted, rejected+quarantined, feedback are {got}, not {want}")

    def _new_accepted(self) -> int:
        return self._broker.total(self._outputs.accepted) - self._accepted

    def _rest_there(self) -> bool:
        out = self._outputs
        if out.others and self._broker.total(out.others) - self._others < out.want_others:
            return False
        return not out.feedback or self._broker.total(out.feedback) - self._feedback >= out.want_feedback

    def _until(self, missing: Callable[[], float], what: str) -> None:
        """Return when nothing is missing any more."""
        deadline = time.monotonic() + _PATIENCE
        state = self._broker.total(self._outputs.accepted)
        began, first = time.monotonic(), missing()
        left = first
        while left > 0:
            self._alive()
            now = time.monotonic()
            if now > deadline:
                total = self._broker.total(self._outputs.accepted)
                if total == state:
                    raise BenchError(f"nothing has moved for {_PATIENCE:.0f} s while waiting for {what}")
                state, deadline = total, now + _PATIENCE
            due = left * (now - began) / (first - left) if left < first else 0.0
            time.sleep(min(max(due / 2, _LOOK_SECONDS), _LONGEST_LOOK_SECONDS))
            left = missing()
