"""The oracle: the right verdict of every message and the right final state of every subject.

It is filled while the messages are made and knows the answers from how each was made. Nothing here calls ``rules/`` or
compares versions: which message stands at the end is written in the table of lives.

The answers hold at the end, when nothing is left to be judged again. One thing nobody can know before: which of two
records that must not both be there is judged first (``Expected.group``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from schemas.catalog import Catalog, Dataset
from schemas.protect import mask, stored_masked
from zhida.sample.message import SampleMessage

#: One row a message. ``told`` is the unit whose feedback topic must have it, "" where none; ``rules`` are sorted ids
#: joined by a space, the reason where the message is quarantined; the envelope is empty where nobody can read it.
#: The two messages of a ``group`` may have each other's ``verdict`` and ``rules``.
VERDICT_SCHEMA = pl.Schema(
    {
        "seq": pl.Int64(),
        "dataset": pl.String(),
        "unit": pl.String(),
        "record_id": pl.String(),
        "version": pl.Int64(),
        "verdict": pl.String(),
        "rules": pl.String(),
        "told": pl.String(),
        "subject": pl.String(),
        "trait": pl.String(),
        "group": pl.Int64(),
    }
)
VERDICTS_FILE = "oracle-verdicts.parquet"
SUBJECTS_FILE = "oracle-subjects.parquet"
_CHUNK = 8192


def subject_key(subject: tuple[str, str] | None, pii_key: bytes) -> str:
    """The key that a subject in clear is found under: ``reg:…``, ``p:…`` (16 bytes of keyed BLAKE2b), or the USCC."""
    if subject is None:
        return ""
    kind, value = subject
    if kind == "id":
        return "p:" + blake2b(value.upper().encode(), key=pii_key[:64], digest_size=16).hexdigest()
    return f"reg:{value}" if kind == "reg" else value


class _Rows:
    """Rows of one table, kept as columns: a hundred thousand dicts would take half a gigabyte."""

    def __init__(self, schema: pl.Schema) -> None:
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._frames: list[pl.DataFrame] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) == _CHUNK:
            self._pack()

    def frame(self) -> pl.DataFrame:
        self._pack()
        return pl.concat(self._frames) if self._frames else pl.DataFrame(schema=self._schema)

    def _pack(self) -> None:
        if self._rows:
            columns = zip(self._schema.items(), zip(*self._rows, strict=True), strict=True)
            series = [pl.Series(name, values, dtype=kind) for (name, kind), values in columns]
            self._frames.append(pl.DataFrame(series))
            self._rows.clear()


@dataclass(frozen=True, slots=True)
class Answers:
    """The right outcome of a whole sample.

    ``verdicts`` has VERDICT_SCHEMA and is in order of seq; ``records`` says for each dataset what its store must hold
    (``standing_schema``, personal fields masked); ``subjects`` are all that ever had an accepted record, also those
    that have none at the end.
    """

    catalog: Catalog
    verdicts: pl.DataFrame
    records: Mapping[str, pl.DataFrame]
    subjects: list[str]

    def settled(self, found: pl.DataFrame) -> Answers:
        """The same with each group's answers as they came out, where *found* (seq, verdict) is one of the two ways.

        What is neither is left as it is.
        """
        grouped = self.verdicts.filter(pl.col("group") > 0).sort("group", "seq")
        as_found = grouped.join(found.select("seq", now="verdict"), on="seq", how="left").with_columns(
            other=pl.col("verdict").sort_by("seq").reverse().over("group"),
        )
        turned = as_found.filter((pl.col("now").eq_missing(pl.col("other"))).all().over("group"))
        swapped = turned.select(
            "seq",
            *(pl.col(name).sort_by("seq").reverse().over("group") for name in ("verdict", "rules")),
        ).with_columns(told=pl.when(pl.col("verdict") == "accepted").then(pl.lit("")).otherwise(turned["unit"]))
        return replace(
            self,
            verdicts=self.verdicts.update(swapped, on="seq"),
            records={
                code: frame.update(swapped.select("seq", "verdict"), on="seq") for code, frame in self.records.items()
            },
        )

    def write(self, folder: Path) -> None:
        """Write ``oracle-verdicts.parquet``, ``oracle-subjects.parquet`` and the final records, a file a dataset."""
        self.verdicts.write_parquet(folder / VERDICTS_FILE)
        identity = ("subject", "unit", "record_id", "version", "verdict", "seq")
        standing = [
            frame.select(pl.lit(dataset).alias("dataset"), *identity) for dataset, frame in sorted(self.records.items())
        ]
        ever = pl.DataFrame({"subject": self.subjects}, schema={"subject": pl.String})
        by_subject = ever.join(pl.concat(standing), on="subject", how="left")
        by_subject.sort("subject", "dataset", "unit", "record_id").write_parquet(folder / SUBJECTS_FILE)
        for dataset, frame in self.records.items():
            frame.write_parquet(folder / records_file(dataset))

    @classmethod
    def read(cls, folder: Path, catalog: Catalog) -> Answers:
        """The reverse of :meth:`write`; raises FileNotFoundError."""
        return cls(
            catalog=catalog,
            verdicts=pl.read_parquet(folder / VERDICTS_FILE),
            records={dataset.code: pl.read_parquet(folder / records_file(dataset.code)) for dataset in catalog},
            subjects=pl.read_parquet(folder / SUBJECTS_FILE)["subject"].unique().sort().to_list(),
        )


def records_file(dataset: str) -> str:
    """The file with the final records of *dataset*."""
    return f"oracle-{dataset}.parquet"


class Oracle:
    """Collects the answers while the messages are made."""

    def __init__(self, catalog: Catalog, pii_key: bytes) -> None:
        """*pii_key* is the secret of the platform's hashes of identity numbers."""
        self.catalog = catalog
        self._pii_key = pii_key
        self._verdicts = _Rows(VERDICT_SCHEMA)
        self._standing = {dataset.code: _Rows(standing_schema(dataset)) for dataset in catalog}
        self._masked = {
            dataset.code: tuple((field.name, field.pii) for field in dataset.business_fields if stored_masked(field))
            for dataset in catalog
        }
        self._keys: dict[tuple[str, str] | None, str] = {}

    def watch(self, messages: Iterable[SampleMessage]) -> Iterator[SampleMessage]:
        """Pass *messages* on and note the answers on the way."""
        for message in messages:
            self.add(message)
            yield message

    def add(self, message: SampleMessage) -> None:
        """Note the answers to one message."""
        record, expected = message.record, message.expected
        subject = self._key(message.subject)
        told = message.unit if message.unit and expected.verdict != "accepted" else ""
        self._verdicts.add(
            (
                message.seq,
                message.dataset,
                record["unit"] if record else "",
                record["record_id"] if record else "",
                record["version"] if record else 0,
                expected.verdict,
                expected.reason or " ".join(sorted(expected.rules)),
                told,
                subject,
                message.trait,
                expected.group,
            )
        )
        if message.standing and record is not None:
            fields = [record[field.name] for field in self.catalog[message.dataset].fields]
            self._standing[message.dataset].add((message.seq, subject, expected.verdict, *fields))

    def answers(self) -> Answers:
        """All answers so far."""
        return Answers(
            catalog=self.catalog,
            verdicts=self._verdicts.frame(),
            records={dataset: self._mask(dataset, rows.frame()) for dataset, rows in self._standing.items()},
            subjects=sorted(key for key in self._keys.values() if key),
        )

    def _key(self, subject: tuple[str, str] | None) -> str:
        key = self._keys.get(subject)
        if key is None:
            self._keys[subject] = key = subject_key(subject, self._pii_key)
        return key

    def _mask(self, dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            pl.Series(name, [None if value is None else mask(value, pii) for value in frame[name]], dtype=pl.String)
            for name, pii in self._masked[dataset]
        )


def standing_schema(dataset: Dataset) -> pl.Schema:
    """Columns of what stands at the end."""
    head: dict[str, pl.DataType] = {"seq": pl.Int64(), "subject": pl.String(), "verdict": pl.String()}
    return pl.Schema(head | dict(dataset.polars_schema))
