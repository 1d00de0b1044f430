"""Batches as the sinks write them: one frame a dataset, and records as JSON, all columnar.

Two messages of one record with the same version are ordered by where they stand in the report topic, and the earlier
one stays: a unit that sends a record twice changes nothing by it. :func:`order_key` is that order as text; the
ClickHouse tables have it as a number. So every sink ends in the same state in whatever order messages reach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import polars as pl

from schemas.batch import VERDICT_COLUMNS, GovernedBatch
from schemas.catalog import ENVELOPE_NAMES, Dataset

#: What a stored record has beside its catalog columns; also the names that a business field must not have.
STORED_META = pl.Schema(
    {
        "subject": pl.String(),
        **{
            name: VERDICT_COLUMNS[name]
            for name in (
                "city",
                "verdict",
                "rule_set",
                "schema_id",
                "source_topic",
                "source_partition",
                "source_offset",
                "reported_at",
                "governed_at",
            )
        },
    }
)
_FROM_VERDICTS = [name for name in STORED_META if name != "subject"]

#: Python and the stores hold these years; Avro's integers reach further, and a hostile one must not stop a sink.
_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
_FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)

_OFFSET_MAX = 2**63 - 1
_VERSION_BIAS = 2**63
#: Characters of :func:`order_key`.
ORDER_WIDTH = 39


def storable(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The column with days and moments brought into the years 1 to 9999; other types as they are."""
    if isinstance(dtype, pl.Date):
        return column.clip(pl.lit(_FIRST_DAY), pl.lit(_LAST_DAY))
    if isinstance(dtype, pl.Datetime):
        return column.clip(pl.lit(_FIRST_MOMENT).cast(dtype), pl.lit(_LAST_MOMENT).cast(dtype))
    return column


def records_by_dataset(batches: Sequence[GovernedBatch]) -> list[tuple[Dataset, pl.DataFrame]]:
    """Accepted and suspect records, one frame a dataset in stream order: catalog columns and STORED_META.

    A field that a batch does not have (its schema is older than the catalog) is null.
    """
    frames: dict[str, tuple[Dataset, list[pl.DataFrame]]] = {}
    for batch in batches:
        if batch.dataset is not None and batch.records is not None and batch.records.height:
            frame = _stored(batch.dataset, batch.records, batch.verdicts)
            frames.setdefault(batch.dataset.code, (batch.dataset, []))[1].append(frame)
    return [(dataset, pl.concat(parts)) for dataset, parts in frames.values()]


def _stored(dataset: Dataset, records: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    joined = records.hstack(verdicts.select(_FROM_VERDICTS))
    wanted = {**dataset.polars_schema, **STORED_META}
    present = set(joined.columns)
    return joined.select(
        storable(pl.col(name), dtype).cast(dtype) if name in present else pl.lit(None, dtype).alias(name)
        for name, dtype in wanted.items()
    )


def all_verdicts(batches: Sequence[GovernedBatch]) -> pl.DataFrame:
    """The verdicts of all batches in one frame with VERDICT_COLUMNS."""
    frames = [batch.verdicts.select(VERDICT_COLUMNS.names()) for batch in batches if batch.verdicts.height]
    if not frames:
        return VERDICT_COLUMNS.to_frame()
    return pl.concat(frames).select(
        storable(pl.col(name), dtype).cast(dtype) for name, dtype in VERDICT_COLUMNS.items()
    )


def order_key() -> pl.Expr:
    """ORDER_WIDTH digits: the greater ones are the current record's. Version first, then the earlier source offset."""
    version = (pl.col("version").cast(pl.Int128) + _VERSION_BIAS).cast(pl.String).str.zfill(20)
    offset = (_OFFSET_MAX - pl.col("source_offset")).cast(pl.String).str.zfill(19)
    return pl.concat_str(version, offset)


def order_text(version: int, source_offset: int) -> str:
    """:func:`order_key` of one record."""
    return f"{version + _VERSION_BIAS:020d}{_OFFSET_MAX - source_offset:019d}"


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
    if isinstance(dtype, pl.Decimal):
        return column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return column
