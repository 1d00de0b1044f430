"""An index that is new, or that Redis has lost, is built from what was accepted before, as far as Kafka still has it.

It is read once before the rules that ask it are used, and once more from there a little later: workers that still use
the rules of before do not know of the index.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from time import monotonic, sleep
from typing import Any

import polars as pl
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from rules.state.definitions import StatePlan, StateSource
from rules.state.texts import TextMaker
from schemas.connection import KafkaConnection
from schemas.topics import VERDICT_HEADER
from schemas.verdict import VerdictPrefix, parse_verdict_prefix
from streams.decoding import BatchDecoder, CodecCache
from streams.learning import learn_and_decode
from streams.state.marks import IndexMarks

_Place = tuple[str, int]
_AT_ONCE = 5_000
_SECONDS = 30.0
_POLL_SECONDS = 0.2
_LOCK, _LOCK_SECONDS = "indexes", 120.0
#: Accepted messages have passed govern's limit.
_NO_LIMIT = 1 << 31

log = structlog.get_logger("govern")
_QUIET = logging.getLogger(f"{__name__}.librdkafka")
_QUIET.setLevel(logging.CRITICAL + 1)


class IndexBuilder:
    """Builds what is missing. Blocking; one instance is used once: :meth:`build`, and later :meth:`catch_up`.

    *owner* names the worker: of several that miss the same one builds, the others wait for it.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        state: StateSource,
        marks: IndexMarks,
        codecs: CodecCache,
        plans: Collection[StatePlan],
        *,
        today: date,
        owner: str,
    ) -> None:
        self._kafka = kafka
        self._state = state
        self._marks = marks
        self._codecs = codecs
        self._today = today
        self._owner = owner
        self._wanted = {index.id: plan for plan in plans for index in plan.indexes}
        self._plans: dict[str, StatePlan] = {}
        self._readers: dict[str, Callable[[int, list[Any]], None]] = {}
        self._ends: dict[_Place, int] = {}

    def build(self) -> None:
        """Return when all indexes are whole; raises KafkaException, and what the state raises."""
        # Of what these rules do not ask nobody is told from now on: rules that ask it again find it not built.
        self._marks.retire(self._wanted.keys())
        while missing := self._marks.not_ready(self._wanted.keys()):
            if not self._locked():
                sleep(_POLL_SECONDS)
                continue
            try:
                self._plans = {plan.dataset.accepted_topic: plan for plan in map(self._wanted.__getitem__, missing)}
                self._read(building=True)
                self._marks.mark_ready(missing)
            finally:
                self._marks.unlock_building(_LOCK, self._owner)

    def catch_up(self) -> None:
        """Read what has been accepted since :meth:`build`, where this was the worker that built."""
        self._read(building=False)

    def _locked(self) -> bool:
        return self._marks.lock_building(_LOCK, self._owner, _LOCK_SECONDS)

    def _read(self, building: bool) -> None:
        places = self._places() if self._plans else {}
        if not places:
            return
        count = 0
        for (topic, partition), messages in _messages(self._kafka, places):
            self._reader(topic)(partition, messages)
            self._ends[topic, partition] = messages[-1].offset() + 1
            if building:
                self._locked()
            count += len(messages)
        log.info("indexes built from accepted records", topics=sorted(self._plans), records=count)

    def _places(self) -> dict[_Place, int]:
        """Where there is something to read, and from where."""
        admin = AdminClient(self._kafka.confluent(), logger=_QUIET)
        known = admin.list_topics(timeout=_SECONDS).topics
        partitions = [(topic, number) for topic in self._plans if topic in known for number in known[topic].partitions]
        if not partitions:
            return {}
        asked = {TopicPartition(*place): OffsetSpec.latest() for place in partitions}
        listed = admin.list_offsets(asked, request_timeout=_SECONDS)
        # The embedded broker answers with where its last batch begins, plus one: that there is something is enough.
        filled = [(place.topic, place.partition) for place, end in listed.items() if end.result(_SECONDS).offset > 0]
        return {place: self._ends.get(place, OFFSET_BEGINNING) for place in filled}

    def _reader(self, topic: str) -> Callable[[int, list[Any]], None]:
        if topic not in self._readers:
            self._readers[topic] = _Reader(self._plans[topic], self._state, self._codecs, self._today).read
        return self._readers[topic]


class _Reader:
    """Tells the state of accepted messages of one dataset."""

    def __init__(self, plan: StatePlan, state: StateSource, codecs: CodecCache, today: date) -> None:
        self._plan = plan.index_only
        self._state = state
        self._codecs = codecs
        self._today = today
        self._maker = TextMaker(self._plan)
        self._decoder = BatchDecoder(plan.dataset, codecs, max_record_bytes=_NO_LIMIT)

    def read(self, partition: int, messages: Sequence[Any]) -> None:
        """Tell of *messages*, which came from that partition of the accepted topic, as of the report topic."""
        messages = [message for message in messages if message.headers() and message.headers()[0][0] == VERDICT_HEADER]
        values = [message.value() for message in messages]
        dataset = self._plan.dataset
        decoded = learn_and_decode(lambda refused: self._decoder.decode(values, refused), self._codecs, dataset)
        if not decoded.positions:
            return
        frame = decoded.as_columns(dataset)
        prefixes: dict[bytes, VerdictPrefix] = {}
        offsets, taken_back = [], []
        for position in decoded.positions:
            prefix, _, offset = messages[position].headers()[0][1].rpartition(b"=")
            if prefix not in prefixes:
                prefixes[prefix] = parse_verdict_prefix(prefix + b"=")
            offsets.append(int(offset))
            taken_back.append(prefixes[prefix].verdict == "rejected")
        if any(taken_back):
            frame = frame.with_columns(deleted=pl.col("deleted") | pl.Series(taken_back))
        texts = self._maker.columns(frame, offsets, self._today)
        self._state.ask(self._plan, dataset.report_topic, partition, texts)


def _messages(kafka: KafkaConnection, places: Mapping[_Place, int]) -> Iterator[tuple[_Place, list[Any]]]:
    """Everything from the given offsets to the ends, some thousand messages of one partition at a time."""
    consumer = Consumer(
        kafka.confluent()
        | {
            "group.id": "zhida-build",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        },
        logger=_QUIET,
    )
    try:
        consumer.assign([TopicPartition(*place, start) for place, start in places.items()])
        waiting = set(places)
        deadline = monotonic() + _SECONDS
        while waiting:
            batches: dict[_Place, list[Any]] = {}
            read = consumer.consume(_AT_ONCE, _POLL_SECONDS)
            deadline = monotonic() + _SECONDS if read else deadline
            if monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing was read within {_SECONDS:.0f} s"))
            for message in read:
                place = (message.topic() or "", message.partition() or 0)
                error = message.error()
                if error is None:
                    batches.setdefault(place, []).append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(place)
                else:
                    raise KafkaException(error)
            yield from batches.items()
    finally:
        consumer.close()
