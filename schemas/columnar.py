"""Avro a batch at a time: framed messages joined into one object container in memory and read as columns by Polars.

Every message stays as it came: the container's record schema starts with a guard, a ``fixed`` that covers a random
nonce of the batch and the message's own five header bytes. A body that is too short, too long or forged shifts what
follows, so that some guard no longer matches; a known-good record at the end does the same for the last body. The nonce
is unknown to whoever wrote the messages. Any doubt returns None, and the caller reads smaller pieces or single records.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from schemas.catalog import Dataset
from schemas.framing import zigzag
from schemas.rowcodec import DATE_RANGE, DECIMAL_LIMIT, TIMESTAMP_RANGE, RowCodec, same_shape
from schemas.types import DECIMAL_PRECISION, DECIMAL_SCALE

NONCE_SIZE = 8
_GUARD = "zhida_guard"
_NEVER_SWALLOW = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)


class ColumnarDecoder:
    """Reads batches of framed messages of one dataset that were all written with one registered schema."""

    def __init__(self, rows: RowCodec, writer_schema: Mapping[str, Any]) -> None:
        """*rows* reads the same messages one at a time; :attr:`usable` is False where only it can read them."""
        dataset = rows.dataset
        self.dataset = dataset
        self.usable = same_shape(writer_schema, dataset)
        if not self.usable:
            return
        guard = {"name": _GUARD, "type": {"type": "fixed", "name": _GUARD, "size": NONCE_SIZE + len(rows.header)}}
        schema = {**writer_schema, "fields": [guard, *writer_schema["fields"]]}
        self._head = _container_head(schema)
        self._header = rows.header
        written = {field["name"] for field in writer_schema["fields"]}
        self._good = rows.encode({name: value for name, value in _good_record(dataset).items() if name in written})
        self._missing = [field.name for field in dataset.fields if field.name not in written]
        self._names = [field.name for field in dataset.fields]
        self._bounds = _bounds_of(dataset, written)

    def decode(self, values: Sequence[bytes | None], nonce: bytes) -> pl.DataFrame | None:
        """Columns of all *values* in catalog order, or None where any of them may be broken.

        *nonce* holds NONCE_SIZE random bytes, new for each call.
        """
        if not self.usable:
            return None
        try:
            joined = nonce.join(values)  # type: ignore[arg-type]
        except TypeError:  # a message without a value
            return None
        count = len(values) + 1
        size = len(joined) + 2 * NONCE_SIZE + len(self._good)
        sync = nonce + nonce
        parts = (self._head, sync, zigzag(count), zigzag(size), nonce, joined, nonce, self._good, sync)
        try:
            frame = pl.read_avro(io.BytesIO(b"".join(parts)))
        except BaseException as error:  # Polars answers hostile bytes with a Rust panic, which is no Exception
            if isinstance(error, _NEVER_SWALLOW):
                raise
            return None
        if frame.height != count or not self._intact(frame, nonce):
            return None
        frame = frame.head(count - 1)
        if self._missing:
            types = self.dataset.polars_schema
            frame = frame.with_columns(pl.lit(None, dtype=types[name]).alias(name) for name in self._missing)
        return frame.select(self._names)

    def _intact(self, frame: pl.DataFrame, nonce: bytes) -> bool:
        guards = (pl.col(_GUARD) == pl.lit(nonce + self._header)).all()
        return bool(frame.select(pl.all_horizontal(guards, *self._bounds)).item())


def _container_head(schema: Mapping[str, Any]) -> bytes:
    metadata = {"avro.schema": json.dumps(schema, ensure_ascii=False).encode(), "avro.codec": b"null"}
    parts = [b"Obj\x01", zigzag(len(metadata))]
    for key, value in metadata.items():
        parts += [zigzag(len(key)), key.encode(), zigzag(len(value)), value]
    parts.append(zigzag(0))
    return b"".join(parts)


def _good_record(dataset: Dataset) -> dict[str, Any]:
    return {field.name: None for field in dataset.business_fields} | {
        "unit": "zhida",
        "record_id": "known-good",
        "version": 0,
        "deleted": False,
    }


def _bounds_of(dataset: Dataset, written: set[str]) -> list[pl.Expr]:
    """Expressions that are true where every date, time and number of a frame is one the row path accepts too."""
    largest = pl.lit(
        Decimal(DECIMAL_LIMIT - 1).scaleb(-DECIMAL_SCALE), dtype=pl.Decimal(DECIMAL_PRECISION, DECIMAL_SCALE)
    )
    checks: list[pl.Expr] = []
    for field in dataset.fields:
        if field.name not in written:
            continue
        column = pl.col(field.name)
        if field.type == "date":
            checks.append(column.cast(pl.Int32).is_between(*DATE_RANGE).all())
        elif field.type == "timestamp":
            checks.append(column.cast(pl.Int64).is_between(*TIMESTAMP_RANGE).all())
        elif field.type == "decimal":
            checks.append((column.abs() <= largest).all())
    return checks
