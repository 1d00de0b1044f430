"""Latency at a given rate: from a unit's ``produce`` to its feedback, and to the record's being there in Redis.

The load is the same mix, taken so that every dataset and partition gets as much. Feedback is read from the topics of
the units that are told most (a client that fetched all 600 topics would measure itself); Redis is asked for one record
in twenty until it is there. All times are those of the machine's clock; feedback carries the time of producing.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import polars as pl
import redis
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from benchmarks.corpus import Corpus, Framing
from benchmarks.measure import BenchError, CpuMeter, ForeignMeter
from benchmarks.prefill import prefill
from schemas.catalog import Catalog
from schemas.topics import feedback_topic
from schemas.verdict import decode_feedback
from sinks.redis.client import SUBJECT_KEY, key
from zhida.platform import Platform
from zhida.preparation import register_schemas
from zhida.settings import Settings
from zhida.stack import StartInterrupted
from zhida.stack.children import describe_exit, log_tail

#: Units whose feedback is read: about half of all feedback.
LISTENING_UNITS = 64
#: One record in so many is looked for in Redis.
PROBE_EVERY = 20
_TICK = 0.001
_PROBE_PAUSE = 0.01
_LATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the load; ``probe`` is (Redis key, hash field) of a record that is looked for."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    probe: tuple[bytes, bytes] | None


@dataclass(slots=True)
class Timings:
    """Milliseconds from producing to feedback and to Redis, of messages produced after the warm-up."""

    feedback: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)
    produced: int = 0
    late_ticks: int = 0
    cpu_share: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    foreign_cores: float = 0.0


def even_load(corpus: Corpus, schema_ids: dict[str, int], count: int) -> list[Message]:
    """*count* messages that go round the (dataset, partition) pairs in turn, each pair's in their order."""
    catalog = Catalog.load()
    framing = Framing(catalog, schema_ids)
    once = corpus.frame.group_by("identity").len().filter(pl.col("len") == 1)
    frame = corpus.frame.with_columns(pl.col("identity").is_in(once["identity"].implode()).alias("once"))
    lanes: dict[tuple[str, int], list[Message]] = {}
    columns = ("dataset", "partition", "key", "value", "subject", "identity", "once")
    for dataset, partition, message_key, value, subject, identity, alone in frame.select(columns).iter_rows():
        probe = (key(SUBJECT_KEY, subject), identity.encode()) if subject and alone else None
        message = Message(catalog[dataset].report_topic, partition, message_key, framing(value), probe)
        lanes.setdefault((dataset, partition), []).append(message)
    shortest = min(map(len, lanes.values()))
    if shortest * len(lanes) < count:
        raise BenchError(f"{count} messages need a larger corpus: the smallest of {len(lanes)} lanes has {shortest}")
    turns = [lane for _, lane in sorted(lanes.items())]
    return [lane[number] for number in range(count // len(turns)) for lane in turns]


class Latency:
    """Produces at an even rate and times what comes out."""

    def __init__(
        self, platform: Platform, rate: float, warm_up: float, seconds: float, stop_asked: Callable[[], bool]
    ) -> None:
        self._platform = platform
        self._settings: Settings = platform.settings
        self._rate = rate
        self._warm_up = warm_up
        self._seconds = seconds
        self._stop_asked = stop_asked
        self._timings = Timings()
        self._count_from = float("inf")  # wall clock, seconds: messages produced later count
        self._stopping = threading.Event()
        self._probes: deque[tuple[float, bytes, bytes]] = deque()
        self._failures: list[str] = []

    def run(self, corpus: Corpus) -> Timings:
        """The timings of *seconds* at the rate, after a warm-up at the same rate."""
        ids = register_schemas(self._settings)
        # The workers have no index to build: nothing has been accepted yet.
        prefill(self._settings, corpus, ids)
        load = even_load(corpus, ids, int(self._rate * (self._seconds + self._warm_up)))
        told = corpus.frame.filter(pl.col("unit") != "")["unit"].value_counts().sort("count", descending=True)
        threads = [
            threading.Thread(target=self._guarded, args=(work, *arguments), daemon=True)
            for work, *arguments in ((self._listen, told["unit"].head(LISTENING_UNITS).to_list()), (self._probe,))
        ]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        self._check_workers()
        self._produce(load)
        self._wait_for_probes()
        self._stopping.set()
        for thread in threads:
            thread.join(10)
        # A worker that has died explains whatever else went wrong.
        self._check_workers()
        if self._failures:
            raise BenchError(self._failures[0])
        return self._timings

    def _check_workers(self) -> None:
        """Nothing restarts workers here: figures of a run in which one has died would mean nothing."""
        for name, worker in self._platform.workers.items():
            if worker.child.exit_code is not None:
                raise BenchError(f"{name} {describe_exit(worker.child.exit_code)}\n{log_tail(worker.child.log, 15)}")

    def _produce(self, load: Sequence[Message]) -> None:
        producer = Producer(
            self._settings.kafka().confluent() | {"acks": "all", "enable.idempotence": True, "log_level": 3}
        )
        every = cycle(range(PROBE_EVERY))
        warm = int(self._rate * self._warm_up)
        meters: dict[str, tuple[CpuMeter, float]] = {}
        foreign = ForeignMeter()
        began = measured = time.perf_counter()
        sent = 0
        while sent < len(load):
            due = min(len(load), int((time.perf_counter() - began) * self._rate) + 1)
            if due - sent > self._rate * 0.05:
                self._timings.late_ticks += 1
            for message in load[sent:due]:
                if sent == warm:
                    self._count_from, measured = time.time(), time.perf_counter()
                    meters, foreign = self._meters(), ForeignMeter()
                self._send(producer, message, next(every) == 0)
                sent += 1
            producer.poll(0)
            if self._stop_asked():
                raise StartInterrupted("stopped while measuring; nothing is left running")
            if self._failures:
                return
            time.sleep(_TICK)
        span = time.perf_counter() - measured
        self._timings.seconds = span
        self._timings.foreign_cores = foreign.seconds() / span
        self._timings.produced = len(load) - warm
        self._timings.cpu_share = {name: (meter.seconds() - before) / span for name, (meter, before) in meters.items()}
        producer.flush(30)

    def _send(self, producer: Any, message: Message, look: bool) -> None:
        now = time.time()
        producer.produce(
            message.topic,
            value=message.value,
            key=message.key,
            partition=message.partition,
            timestamp=int(now * 1000),
            on_delivery=self._delivered,
        )
        if look and message.probe and now >= self._count_from:
            self._probes.append((now, *message.probe))

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failures.append(f"producing failed: {error.str()}")

    def _meters(self) -> dict[str, tuple[CpuMeter, float]]:
        pids = {name: worker.child.pid for name, worker in self._platform.workers.items()}
        for service in self._platform.stack.services:
            if service.pid is not None:
                pids[f"engine {service.name}"] = service.pid
        made = {name: CpuMeter([pid]) for name, pid in pids.items()}
        made["harness"] = CpuMeter([os.getpid()], children=False)
        return {name: (meter, meter.seconds()) for name, meter in made.items()}

    def _listen(self, units: Sequence[str]) -> None:
        """What a unit's subscriber does, for many units."""
        consumer = Consumer(
            self._settings.kafka().confluent()
            | {"group.id": "zhida-bench-latency", "enable.auto.commit": False, "log_level": 3}
        )
        consumer.assign([TopicPartition(feedback_topic(unit), 0, OFFSET_END) for unit in units])
        try:
            while not self._stopping.is_set():
                message = consumer.poll(0.1)
                if message is None or message.error() is not None:
                    continue
                arrived = time.time() * 1000
                reported = decode_feedback(message.value()).reported_at
                if reported >= self._count_from * 1000:
                    self._timings.feedback.append(arrived - reported)
        finally:
            consumer.close()

    def _probe(self) -> None:
        """Ask Redis for the records that are on their way, all at once, again and again."""
        client = redis.Redis.from_url(self._settings.redis().url)
        waiting: list[tuple[float, bytes, bytes]] = []
        while not self._stopping.is_set():
            while self._probes:
                waiting.append(self._probes.popleft())
            if waiting:
                pipeline = client.pipeline(transaction=False)
                for _, subject, identity in waiting:
                    pipeline.hexists(subject, identity)  # type: ignore[arg-type]
                there = pipeline.execute()
                now = time.time()
                self._timings.redis += [
                    (now - sent) * 1000 for (sent, *_), found in zip(waiting, there, strict=True) if found
                ]
                waiting = [probe for probe, found in zip(waiting, there, strict=True) if not found]
                if waiting and now - waiting[0][0] > _LATE_SECONDS:
                    raise BenchError(f"a record is not in Redis after {_LATE_SECONDS:.0f} s")
            self._outstanding = len(waiting)
            time.sleep(_PROBE_PAUSE)
        client.close()

    _outstanding = 0

    def _wait_for_probes(self) -> None:
        deadline = time.monotonic() + _LATE_SECONDS
        time.sleep(1.0)  # the last feedback
        while (self._probes or self._outstanding) and time.monotonic() < deadline and not self._failures:
            time.sleep(0.05)

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self._failures.append(f"{type(error).__name__}: {error}")
