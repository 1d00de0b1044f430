"""Avro a batch at a time: framed messages joined into one object container in memory and read as columns by Polars.

Before anything is read, a walk over all bodies at once (``schemas.wirelayout``) sets apart the messages that may not be
one record each. The others stay as they came: the container's record schema starts with a guard, a ``fixed`` that
covers a random nonce of the batch and the message's own five header bytes, and a known-good record stands at the end;
were any body read beyond its end after all, a guard would not match. The nonce is unknown to whoever wrote the
messages. What rows would not take (bytes of booleans, ranges) is looked at afterwards. Any doubt about the whole
returns None, and the caller reads smaller pieces or single records.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.framing import zigzag
from schemas.rowcodec import DATE_RANGE, DECIMAL_LIMIT, TIMESTAMP_RANGE, RowCodec, same_shape
from schemas.types import DECIMAL_PRECISION, DECIMAL_SCALE, TYPES
from schemas.wirelayout import Places, WireLayout, values_of, view_lengths

NONCE_SIZE = 8
_GUARD = "zhida_guard"
_TRUE, _FALSE = pl.Series([b"\1"]), pl.Series([b"\0"])
_DECIMAL_BYTES = 8
_VIEWS = pl.CompatLevel.newest()
_NEVER_SWALLOW = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)


@dataclass(frozen=True, slots=True)
class Columns:
    """What a batch holds: ``frame`` of all messages but the ``doubtful`` ones, which are positions in order."""

    frame: pl.DataFrame
    doubtful: list[int]


class ColumnarDecoder:
    """Reads batches of framed messages of one dataset that were all written with one registered schema."""

    def __init__(self, rows: RowCodec, writer_schema: Mapping[str, Any]) -> None:
        """*rows* reads the same messages one at a time; :attr:`usable` is False where only it can read them."""
        dataset = rows.dataset
        self.dataset = dataset
        self.usable = False
        if not same_shape(writer_schema, dataset):
            return
        fields = [{"name": field["name"], "type": _on_the_wire(field)} for field in writer_schema["fields"]]
        texts = {field.name for field in dataset.fields if TYPES[field.type].polars == pl.String()}
        try:
            self._layout = WireLayout(fields)
        except ValueError:
            return
        guard = {"name": _GUARD, "type": {"type": "fixed", "name": _GUARD, "size": NONCE_SIZE + len(rows.header)}}
        self._head = _container_head({"type": "record", "name": "zhida_batch", "fields": [guard, *fields]})
        self._header = rows.header
        self._good = rows.encode(_good_record(writer_schema))
        places = {field["name"]: place for place, field in enumerate(fields)}
        self._texts = [field["name"] for field in fields if field["name"] in texts]
        self._columns = [(field.name, places.get(field.name), TYPES[field.type].polars) for field in dataset.fields]
        self.usable = True

    def decode(self, values: Sequence[bytes | None], nonce: bytes, *, longest: int) -> Columns | None:
        """Columns of *values* in catalog order, or None where they cannot be had for all that look right.

        *nonce* holds NONCE_SIZE random bytes, new for each call. Messages longer than *longest* bytes are doubtful.
        """
        if not self.usable:
            return None
        given = [value or b"" for value in values]
        given.append(self._good)
        lengths = np.fromiter(map(len, given), dtype=np.int64, count=len(given))
        # One join for all: the nonce stands in front of every message.
        body = nonce.join((b"", *given))
        doubtful = self._doubtful(body, lengths, longest)
        count = len(given) - len(doubtful)
        if doubtful:
            for position in reversed(doubtful):
                del given[position]
            body = nonce.join((b"", *given))
        if count == 1:
            return Columns(pl.DataFrame(schema=self.dataset.polars_schema), doubtful)
        frame = self._read(body, count, nonce)
        if frame is None:
            return None
        texts = _texts(frame, self._texts)
        if isinstance(texts, list):
            left = np.delete(np.arange(len(values)), doubtful)
            doubtful = sorted([*doubtful, *left[texts].tolist()])
            frame = frame[np.delete(np.arange(count), texts)]
            texts = frame.select(pl.col(self._texts).cast(pl.String))
        columns = self._as_in_catalog(frame, texts)
        return None if columns is None else Columns(columns, doubtful)

    def _doubtful(self, body: bytes, lengths: Places, longest: int) -> list[int]:
        ends = np.cumsum(lengths + NONCE_SIZE)
        starts = ends - lengths
        return self._layout.doubtful(body, starts, lengths, self._header, longest)

    def _read(self, body: bytes, count: int, nonce: bytes) -> pl.DataFrame | None:
        sync = nonce + nonce
        block = b"".join((self._head, sync, zigzag(count), zigzag(len(body)), body, sync))
        try:
            frame = pl.read_avro(io.BytesIO(block))
        except BaseException as error:  # Polars answers hostile bytes with a Rust panic, which is no Exception
            if isinstance(error, _NEVER_SWALLOW):
                raise
            return None
        if frame.height != count or not (frame.drop_in_place(_GUARD) == pl.Series([nonce + self._header])).all():
            return None
        return frame.rechunk()

    def _as_in_catalog(self, frame: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame | None:
        """The columns that the catalog wants, without the known-good row; None where rows would not take a value."""
        table: Any = frame.to_arrow(compat_level=_VIEWS)
        frame = frame.with_columns(texts)
        columns: list[pl.Series] = []
        for name, place, kind in self._columns:
            if place is None:
                column: pl.Series | None = pl.Series(name, [None], dtype=kind).new_from_index(0, frame.height)
            else:
                column = frame.to_series(place)
                convert = _CONVERTERS.get(type(kind))
                if convert is not None:
                    column = convert(column, table.column(place).chunk(0))
            if column is None:
                return None
            columns.append(column)
        return pl.DataFrame(columns).head(frame.height - 1)


def _texts(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame | list[int]:
    """The columns *names* of bytes as text; or else the rows that are no UTF-8."""
    try:
        return frame.select(pl.col(names).cast(pl.String))
    except pl.exceptions.PolarsError:
        return sorted({row for name in names for row in _garbled(frame.get_column(name))})


def _garbled(column: pl.Series) -> list[int]:
    try:
        column.cast(pl.String)
        return []
    except pl.exceptions.PolarsError:
        return [row for row, value in enumerate(column) if value is not None and not _is_utf8(value)]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
        return True
    except UnicodeDecodeError:
        return False


def _on_the_wire(field: Mapping[str, Any]) -> Any:
    """The field's type as it is read here: without logical types, and so that no bit of a value gets lost."""

    def physical(avro: Any) -> Any:
        if isinstance(avro, Mapping):
            avro = avro["type"]
        if avro == "boolean":
            return {"type": "fixed", "name": f"zhida_boolean_{field['name']}", "size": 1}
        # Text is read as bytes, which is quicker, and tells afterwards which rows are no UTF-8.
        return {"int": "long", "string": "bytes"}.get(avro, avro)

    kind = field["type"]
    return [physical(branch) for branch in kind] if isinstance(kind, list) else physical(kind)


def _dates(column: pl.Series, _: Any) -> pl.Series | None:
    return column.cast(pl.Int32).cast(pl.Date) if _within(column, DATE_RANGE) else None


def _timestamps(column: pl.Series, _: Any) -> pl.Series | None:
    return column.cast(pl.Datetime("ms", "UTC")) if _within(column, TIMESTAMP_RANGE) else None


def _within(column: pl.Series, limits: tuple[int, int]) -> bool:
    least, most = cast("int | None", column.min()), cast("int | None", column.max())
    return least is None or most is None or (least >= limits[0] and most <= limits[1])


def _booleans(column: pl.Series, _: Any) -> pl.Series | None:
    true = column == _TRUE
    return true if (true | (column == _FALSE)).all() else None


def _decimals(column: pl.Series, array: Any) -> pl.Series | None:
    """Big-endian bytes of any length up to 8 (longer ones have leading zeros), read where Arrow keeps short values."""
    lengths = view_lengths(array)
    if lengths.max(initial=0) > _DECIMAL_BYTES:
        return None
    # Behind its length a view holds up to 12 bytes. The first 8 as a number end in as many bytes as the value is short.
    numbers = values_of(array, np.uint8, 16)[:, 4:12].copy().view(">i8")[:, 0].astype(np.int64)
    numbers >>= np.minimum(8 * (_DECIMAL_BYTES - lengths), 63)
    numbers[lengths == 0] = 0
    if not _within(pl.Series(numbers), (1 - DECIMAL_LIMIT, DECIMAL_LIMIT - 1)):
        return None
    words = np.stack((numbers, numbers >> 63), axis=1)
    validity = array.buffers()[0] if array.null_count else None
    decimal = pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)
    made = pa.Array.from_buffers(decimal, len(array), [validity, pa.py_buffer(words)], offset=0)
    return pl.Series(column.name, made)


_CONVERTERS: Mapping[type[pl.DataType], Callable[[pl.Series, Any], pl.Series | None]] = {
    pl.Date: _dates,
    pl.Datetime: _timestamps,
    pl.Boolean: _booleans,
    pl.Decimal: _decimals,
}


def _container_head(schema: Mapping[str, Any]) -> bytes:
    metadata = {"avro.schema": json.dumps(schema, ensure_ascii=False).encode(), "avro.codec": b"null"}
    parts = [b"Obj\x01", zigzag(len(metadata))]
    for key, value in metadata.items():
        parts += [zigzag(len(key)), key.encode(), zigzag(len(value)), value]
    parts.append(zigzag(0))
    return b"".join(parts)


_ZEROS: Mapping[str, Any] = {
    "string": "", "bytes": b"", "boolean": False, "int": 0, "long": 0, "float": 0.0, "double": 0.0
}  # fmt: skip


def _good_record(writer_schema: Mapping[str, Any]) -> dict[str, Any]:
    """A record that can be written with *writer_schema*, whatever fields beyond the catalog's it demands."""
    record: dict[str, Any] = {}
    for field in writer_schema["fields"]:
        kind = field["type"]
        if isinstance(kind, list) and "null" in kind:
            record[field["name"]] = None
        else:
            only = kind[0] if isinstance(kind, list) else kind
            record[field["name"]] = _ZEROS[only if isinstance(only, str) else only["type"]]
    return record
