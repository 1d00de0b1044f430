"""The sample reporter: sends the messages of the sample province to Kafka, at full speed or at an even rate.

Keys are placed by murmur2, as Java clients do, so that messages about one record reach one partition in their order;
the producer is idempotent and waits for all replicas. Where each message went is in the result.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import polars as pl
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.catalog import Catalog
from schemas.connection import KafkaConnection
from zhida.errors import ExitCode, UserError
from zhida.sample.message import MessageEncoder, SampleMessage

#: Where each message went, in order of seq.
PLACEMENT_SCHEMA = pl.Schema({"seq": pl.Int64(), "topic": pl.String(), "partition": pl.Int32(), "offset": pl.Int64()})
_LOG = logging.getLogger("zhida.sample.kafka")
_LOG.addHandler(logging.NullHandler())
_PROGRESS_EVERY = 0.1
_LONGEST_WAIT = 0.002


class ReportError(UserError):
    """The broker did not take a message."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"样例数据未能送达：{reason}",
            f"the broker did not take a sample message: {reason}",
            "zhida status",
            ExitCode.UNREACHABLE,
        )


class SampleReporter:
    """Sends messages; one instance for one run.

    ``sent`` and ``delivered`` may be read from another thread while :meth:`run` works.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        catalog: Catalog,
        schema_ids: Mapping[str, int],
        *,
        rate: float | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """*schema_ids* are the registered ids of the report topics, *rate* is in messages a second.

        *on_progress* is called with the numbers of messages sent and delivered, ten times a second and at the end.
        """
        self.sent = 0
        self.delivered = 0
        self._encoder = MessageEncoder(catalog, schema_ids)
        self._topics = {dataset.code: dataset.report_topic for dataset in catalog}
        self._topic_numbers = {topic: number for number, topic in enumerate(self._topics.values())}
        self._rate = rate
        self._on_progress = on_progress
        self._clock = clock
        self._sleep = sleep
        self._failure: KafkaError | None = None
        self._places = tuple(array("q") for _ in range(4))
        self._producer = Producer(
            kafka.confluent()
            | {
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                # Waiting would add to the latency that a run at a given rate is there to measure.
                "linger.ms": 0.5 if rate else 20,
                "compression.type": "none" if rate else "lz4",
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 1_000_000,
                "message.max.bytes": max_bytes,
            },
            logger=_LOG,
        )

    def run(self, messages: Iterable[SampleMessage]) -> pl.DataFrame:
        """Send all *messages* and wait until the broker has confirmed each; PLACEMENT_SCHEMA.

        Raises ReportError for the first message that the broker does not take.
        """
        start = self._clock()
        told = start
        producer = self._producer
        for message in messages:
            if self._rate:
                self._wait_until(start + self.sent / self._rate)
            self._send(message)
            if self._failure is not None:
                break
            if self.sent & 0xFF == 0 or self._rate:
                producer.poll(0)
                if (now := self._clock()) - told >= _PROGRESS_EVERY:
                    told = now
                    self._tell()
        while producer.flush(_PROGRESS_EVERY) and self._failure is None:
            self._tell()
        if self._failure is not None:
            producer.purge()
            raise ReportError(self._failure.str())
        self._tell()
        return self._placements()

    def _send(self, message: SampleMessage) -> None:
        value = self._encoder.value(message)
        topic = self._topics[message.dataset]
        confirm = partial(self._confirm, message.seq)
        while True:
            try:
                self._producer.produce(topic, value=value, key=message.key, on_delivery=confirm)
                break
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                raise ReportError(error.args[0].str()) from error
        self.sent += 1

    def _confirm(self, seq: int, error: KafkaError | None, sent: Message) -> None:
        if error is not None:
            self._failure = self._failure or error
            return
        self.delivered += 1
        row: tuple[Any, ...] = (seq, self._topic_numbers[sent.topic()], sent.partition(), sent.offset())
        for column, value in zip(self._places, row, strict=True):
            column.append(value)

    def _wait_until(self, moment: float) -> None:
        while (left := moment - self._clock()) > 0:
            self._producer.poll(0)
            self._sleep(min(left, _LONGEST_WAIT))

    def _tell(self) -> None:
        if self._on_progress:
            self._on_progress(self.sent, self.delivered)

    def _placements(self) -> pl.DataFrame:
        seq, topic, partition, offset = (pl.Series(list(column), dtype=pl.Int64) for column in self._places)
        names = pl.Series(list(self._topic_numbers), dtype=pl.String)
        columns = {"seq": seq, "topic": names.gather(topic), "partition": partition.cast(pl.Int32), "offset": offset}
        return pl.DataFrame(columns, schema=PLACEMENT_SCHEMA).sort("seq")
