"""Batches as the sinks write them: one frame a dataset, and records as JSON, all columnar.

Records are ordered as ``schemas.ordering`` says; the ClickHouse tables have that order as a number. So every sink ends
in the same state in whatever order messages reach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import polars as pl

from schemas.batch import STORED_VERDICT_COLUMNS, VERDICT_COLUMNS, GovernedBatch
from schemas.catalog import ENVELOPE_NAMES, Dataset

#: What a stored record has beside its catalog columns; also the names that a business field must not have.
STORED_META = pl.Schema({"subject": pl.String(), **{name: VERDICT_COLUMNS[name] for name in STORED_VERDICT_COLUMNS}})
_FROM_VERDICTS = [name for name in STORED_META if name != "subject"]

_MOMENT = pl.Datetime("ms", "UTC")
#: Days and milliseconds since 1970 of the years 1900 to 2299, the range of ClickHouse (Date32, DateTime64);
#: beyond it a whole insert fails. Integers of Avro and Kafka reach further, and a hostile one must not stop a sink.
_DAYS = (-25_567, 120_529)
_MOMENTS = (_DAYS[0] * 86_400_000, (_DAYS[1] + 1) * 86_400_000 - 1)


def storable(column: pl.Series) -> pl.Series:
    """A column of days or moments brought into the years 1900 to 2299; of any other type as it is.

    Looks first: the clipping is hardly ever needed and costs far more than the look.
    """
    if column.dtype == pl.Date:
        low, high = _DAYS
    elif column.dtype == _MOMENT:
        low, high = _MOMENTS
    else:
        return column
    plain = column.to_physical()
    least, most = plain.min(), plain.max()
    if least is None or (cast("int", least) >= low and cast("int", most) <= high):
        return column
    return plain.clip(low, high).cast(column.dtype)


def records_by_dataset(batches: Sequence[GovernedBatch]) -> list[tuple[Dataset, pl.DataFrame]]:
    """Accepted and suspect records, one frame a dataset in stream order: catalog columns and STORED_META.

    A field that a batch does not have (its schema is older than the catalog) is null.
    """
    frames: dict[str, tuple[Dataset, list[pl.DataFrame]]] = {}
    for batch in batches:
        if batch.dataset is not None and batch.records is not None and batch.records.height:
            frame = _stored(batch.dataset, batch.records, batch.verdicts)
            frames.setdefault(batch.dataset.code, (batch.dataset, []))[1].append(frame)
    return [(dataset, _storable(parts)) for dataset, parts in frames.values()]


def _stored(dataset: Dataset, records: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    joined = records.hstack(verdicts.select(_FROM_VERDICTS))
    return _conformed(joined, pl.Schema({**dataset.polars_schema, **STORED_META}))


def _conformed(frame: pl.DataFrame, wanted: pl.Schema) -> pl.DataFrame:
    """The frame with exactly the *wanted* columns; as it is when it has them (on few rows every expression counts)."""
    if frame.schema == wanted:
        return frame
    present = set(frame.columns)
    return frame.select(
        pl.col(name).cast(dtype) if name in present else pl.lit(None, dtype).alias(name)
        for name, dtype in wanted.items()
    )


def _storable(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.DataFrame([storable(column) for column in pl.concat(frames).iter_columns()])


def all_verdicts(batches: Sequence[GovernedBatch]) -> pl.DataFrame:
    """The verdicts of all batches in one frame with VERDICT_COLUMNS."""
    frames = [_conformed(batch.verdicts, VERDICT_COLUMNS) for batch in batches if batch.verdicts.height]
    if not frames:
        return VERDICT_COLUMNS.to_frame()
    return _storable(frames)


def identity(dataset: str) -> pl.Expr:
    """``<dataset>|<unit>|<record_id>``; a bar in the unit is written %7C, so that no two records share one."""
    unit = pl.col("unit").str.replace_all("%", "%25", literal=True).str.replace_all("|", "%7C", literal=True)
    return pl.concat_str(pl.lit(f"{dataset}|"), unit, pl.lit("|"), pl.col("record_id"))


def join_identity(dataset: str, unit: str, record_id: str) -> str:
    """:func:`identity` of one record."""
    return f"{dataset}|{unit.replace('%', '%25').replace('|', '%7C')}|{record_id}"


def split_identity(text: str) -> tuple[str, str, str]:
    """Dataset, unit and record id of an :func:`identity`."""
    dataset, unit, record_id = text.split("|", 2)
    return dataset, unit.replace("%7C", "|").replace("%25", "%"), record_id


def payload(dataset: Dataset) -> pl.Expr:
    """A record as JSON: ``{"v": version, "s": verdict, "r": reported_at in ms, "o": source offset, "f": {…}}``."""
    fields = [
        _json_value(field.name, dataset.polars_schema[field.name])
        for field in dataset.fields
        if field.name not in ENVELOPE_NAMES
    ]
    return pl.struct(
        v="version",
        s="verdict",
        r=pl.col("reported_at").dt.epoch("ms"),
        o="source_offset",
        f=pl.struct(fields),
    ).struct.json_encode()


def _json_value(name: str, dtype: pl.DataType) -> pl.Expr:
    """Decimals as text without trailing zeros (JSON numbers are not exact everywhere), the rest as Polars does it."""
    column = pl.col(name)
    if dtype == pl.Decimal:
        return column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return column
