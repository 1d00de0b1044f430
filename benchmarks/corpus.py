"""The load: messages of the sample province in a realistic mix, made once, kept in a file, sent to report topics."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from benchmarks.source import LOAD, fingerprint
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.framing import HEADER_SIZE, frame_header
from schemas.units import Regions, Units
from zhida.sample.generate import FaultShares, generate
from zhida.sample.message import MessageEncoder, SampleMessage
from zhida.settings import Settings

#: Shares as a province sees them once its units have learnt the rules; every kind of fault of single records is among
#: them, and nothing that other records decide: ways without a state judge all of it right.
MIX = FaultShares(
    rejected=0.03,
    suspect=0.01,
    quarantined=0.0002,
    duplicates=0.01,
    corrections=0.03,
    out_of_order=0.005,
    deletes=0.01,
    too_large=0,
    linked=0,
    lookalikes=0,
)
SEED = 6
_CHINA = timezone(timedelta(hours=8))
_COLUMNS = pl.Schema(
    {
        "dataset": pl.String(),
        "key": pl.Binary(),
        "value": pl.Binary(),
        "verdict": pl.String(),
        "unit": pl.String(),  # that is told, where the verdict is not accepted
        "identity": pl.String(),  # of a readable record
        "subject": pl.String(),  # uscc of a plain report that stands, for probes
        "hash": pl.UInt32(),
    }
)
#: Schema ids in the file are these; sending replaces them by the registered ones.
_FILE_IDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Expected:
    """How many messages each output must have when all reports are judged."""

    received: int
    accepted: int
    suspect: int
    rejected: int
    quarantined: int
    feedback: int
    #: Distinct (dataset, unit, record_id) among what is accepted.
    identities: int

    @property
    def passed(self) -> int:
        """Messages on the accepted topics."""
        return self.accepted + self.suspect

    @property
    def by_verdict(self) -> tuple[tuple[str, int], ...]:
        """The verdicts that there are, sorted, with their counts."""
        names = ("accepted", "quarantined", "rejected", "suspect")
        return tuple((name, count) for name in names if (count := getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Probe:
    """The last accepted record of a partition: when it is there, everything before it is."""

    identity: str
    subject: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Messages in the order of sending (columns as in ``_COLUMNS``, and ``partition``)."""

    frame: pl.DataFrame
    expected: Expected
    probes: tuple[Probe, ...]

    @property
    def units(self) -> list[str]:
        """The units that are told something."""
        return self.frame.filter(pl.col("unit") != "")["unit"].unique().sort().to_list()

    def head(self, count: int) -> Corpus:
        """The first *count* messages."""
        return _corpus(self.frame.drop("partition"), count, int(self.frame["partition"].max()) + 1)  # type: ignore[arg-type]

    def mix(self) -> dict[str, Any]:
        """For the report."""
        sizes = self.frame["value"].bin.size()
        return {
            "shares": asdict(MIX) | {"oversize": 0},
            "datasets": dict(sorted(self.frame["dataset"].value_counts().iter_rows())),
            "expected": asdict(self.expected),
            "bytes_a_record": round(float(sizes.mean() or 0), 1),  # type: ignore[arg-type]
            "units_told": len(self.units),
        }


def today() -> date:
    """The date in China."""
    return datetime.now(UTC).astimezone(_CHINA).date()


def load_corpus(folder: Path, records: int, partitions: int) -> Corpus:
    """*records* messages; made when there is no file that today's code has made today."""
    path = folder / f"corpus-{records}-{today():%Y%m%d}-{fingerprint(LOAD)}.parquet"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"corpus-{records}-*.parquet"):
            old.unlink()
        made = pl.DataFrame(list(_rows(records)), schema=_COLUMNS, orient="row")
        partial = path.with_suffix(".part")
        made.write_parquet(partial, compression="zstd")
        partial.replace(path)
    return _corpus(pl.read_parquet(path), records, partitions)


def _rows(records: int) -> Iterator[tuple[Any, ...]]:
    catalog, units, regions = Catalog.load(), Units.load(), Regions.load()
    assignments = Assignments.load(catalog, units, regions)
    ids = {dataset.code: _FILE_IDS + number for number, dataset in enumerate(catalog)}
    encoder = MessageEncoder(catalog, ids)
    for message in generate(SEED, records, catalog, units, regions, assignments, today(), MIX):
        yield _row(message, encoder.value(message))


def _row(message: SampleMessage, value: bytes | None) -> tuple[Any, ...]:
    record, verdict = message.record, message.expected.verdict
    identity = f"{message.dataset}|{record['unit']}|{record['record_id']}" if record else ""
    plain = message.trait == "report" and message.standing and verdict == "accepted"
    subject = message.subject[1] if plain and message.subject and message.subject[0] == "uscc" else ""
    told = (message.unit or "") if verdict != "accepted" else ""
    place = murmur2(message.key) & 0x7FFFFFFF if message.key is not None else 0
    return message.dataset, message.key, value, verdict, told, identity, subject, place


def _corpus(frame: pl.DataFrame, count: int, partitions: int) -> Corpus:
    """The first *count* messages, a plain one of each partition put last, so that its arrival means everything's."""
    frame = frame.head(count).with_columns((pl.col("hash") % partitions).cast(pl.Int32).alias("partition"))
    frame = frame.with_row_index("row")
    once = frame.filter(pl.col("identity") != "").group_by("identity").len().filter(pl.col("len") == 1)
    plain = frame.filter(pl.col("subject") != "").join(once, on="identity", how="semi")
    last = plain.group_by("dataset", "partition").agg(pl.col("row").max())["row"]
    is_probe = frame["row"].is_in(last.implode())
    probes = frame.filter(is_probe).sort("dataset", "partition")
    ordered = pl.concat([frame.filter(~is_probe), probes]).drop("row")
    counts = dict(ordered["verdict"].value_counts().iter_rows())
    accepted = ordered.filter(pl.col("verdict").is_in(["accepted", "suspect"]))
    expected = Expected(
        received=ordered.height,
        accepted=counts.get("accepted", 0),
        suspect=counts.get("suspect", 0),
        rejected=counts.get("rejected", 0),
        quarantined=counts.get("quarantined", 0),
        feedback=ordered.filter(pl.col("unit") != "").height,
        identities=accepted["identity"].n_unique(),
    )
    return Corpus(ordered, expected, tuple(Probe(*row) for row in probes.select("identity", "subject").iter_rows()))


class Framing:
    """Replaces the schema ids of the file by the registered ones."""

    def __init__(self, catalog: Catalog, schema_ids: Mapping[str, int]) -> None:
        self._headers = {
            frame_header(_FILE_IDS + number): frame_header(schema_ids[dataset.code])
            for number, dataset in enumerate(catalog)
        }

    def __call__(self, value: bytes | None) -> bytes | None:
        """The value as it goes to Kafka."""
        if value is None:
            return None
        header = self._headers.get(value[:HEADER_SIZE])
        return value if header is None else header + value[HEADER_SIZE:]


def preload(settings: Settings, corpus: Corpus, topics: Mapping[str, str], schema_ids: Mapping[str, int]) -> float:
    """Send everything to *topics* (report topic by dataset), uncompressed; returns the seconds it took."""
    framing = Framing(Catalog.load(), schema_ids)
    producer = Producer(
        settings.kafka().confluent()
        | {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 50,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 1_048_576,
            "log_level": 3,
        }
    )
    failures: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error.str())

    began = time.monotonic()
    now = time.time_ns() // 1_000_000
    for dataset, key, value, partition in corpus.frame.select("dataset", "key", "value", "partition").iter_rows():
        while True:
            try:
                producer.produce(
                    topics[dataset],
                    value=framing(value),
                    key=key,
                    partition=partition,
                    timestamp=now,
                    on_delivery=delivered,
                )
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(120)
    if failures:
        raise RuntimeError(f"preloading failed: {failures[0]}")
    return time.monotonic() - began
