"""Avro one record at a time: the reference decoder, the path of small batches, and the judge of what is broken.

Logical types are converted here and not by fastavro, because fastavro rounds a decimal that is too long without a
word and takes any byte but 0 for true; a walk over what it has read refuses negative union branches, which it counts
from the end. Messages that are plainly right never get there: ``schemas.rowreader`` reads them. The columnar path must
agree with this one on every byte string.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

import fastavro

from schemas.catalog import Dataset
from schemas.framing import HEADER_SIZE, frame_header
from schemas.rowreader import RowReader, compile_reader
from schemas.types import DECIMAL_PRECISION, DECIMAL_SCALE, FIRST_DAY, LAST_DAY
from schemas.wirewalk import WireWalk

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
#: Days since 1970-01-01 that a record may hold; the columnar path and every store hold the same.
DATE_RANGE = (FIRST_DAY.toordinal() - _EPOCH_ORDINAL, LAST_DAY.toordinal() - _EPOCH_ORDINAL)
#: Milliseconds of the same range.
TIMESTAMP_RANGE = (DATE_RANGE[0] * 86_400_000, (DATE_RANGE[1] + 1) * 86_400_000 - 1)
DECIMAL_LIMIT = 10**DECIMAL_PRECISION

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RecordError(Exception):
    """A message cannot be read; ``reason`` is a code of ``schemas.verdict.QUARANTINE_REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SchemaMismatchError(Exception):
    """A registered schema cannot be read as a record of the dataset."""


@lru_cache(maxsize=1 << 16)
def _to_date(days: int) -> date:
    if not DATE_RANGE[0] <= days <= DATE_RANGE[1]:
        raise RecordError("undecodable", f"a date lies outside the years {FIRST_DAY.year} to {LAST_DAY.year}")
    return date.fromordinal(days + _EPOCH_ORDINAL)


def _to_timestamp(milliseconds: int) -> datetime:
    if not TIMESTAMP_RANGE[0] <= milliseconds <= TIMESTAMP_RANGE[1]:
        raise RecordError("undecodable", f"a time lies outside the years {FIRST_DAY.year} to {LAST_DAY.year}")
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _to_decimal(raw: bytes) -> Decimal:
    unscaled = int.from_bytes(raw, "big", signed=True)
    if abs(unscaled) >= DECIMAL_LIMIT:
        raise RecordError("undecodable", f"a number has more than {DECIMAL_PRECISION} digits")
    return Decimal(unscaled).scaleb(-DECIMAL_SCALE)


def _to_boolean(raw: bytes) -> bool:
    if raw == b"\1":
        return True
    if raw == b"\0":
        return False
    raise RecordError("undecodable", "a boolean is neither 0 nor 1")


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": _to_boolean,
    "date": _to_date,
    "timestamp": _to_timestamp,
    "decimal": _to_decimal,
}


def _physical(avro: Any, field: str) -> Any:
    """An Avro type without its logical types; a boolean as the byte that it is."""
    if isinstance(avro, list):
        return [_physical(branch, field) for branch in avro]
    if avro == "boolean":
        return {"type": "fixed", "name": f"zhida_boolean_{field}", "size": 1}
    if isinstance(avro, dict):
        return avro["type"] if "logicalType" in avro else avro
    return avro


def physical_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A record schema with every logical type replaced by what is on the wire; of defaults only null is kept."""
    fields = []
    for field in schema["fields"]:
        kept = {key: value for key, value in field.items() if key != "default" or value is None}
        fields.append(kept | {"type": _physical(field["type"], field["name"])})
    return {**schema, "fields": fields}


def same_shape(writer: Mapping[str, Any], dataset: Dataset) -> bool:
    """True where every catalog field that *writer* has is of the catalog's own type, so columns can be read."""
    catalog = {field["name"]: field["type"] for field in dataset.avro_schema["fields"]}
    return all(
        field["type"] == catalog[field["name"]] for field in writer["fields"] if field["name"] in catalog
    ) and all(_is_flat(field["type"]) for field in writer["fields"])


def _is_flat(avro: Any) -> bool:
    branches = avro if isinstance(avro, list) else [avro]
    plain = {"null", "string", "boolean", "long", "int", "double", "float", "bytes"}
    return len(branches) <= 2 and all(
        branch in plain if isinstance(branch, str) else "logicalType" in branch for branch in branches
    )


class RowCodec:
    """Reads and writes single records of one dataset with one registered schema."""

    def __init__(self, dataset: Dataset, schema_id: int, writer_schema: Mapping[str, Any]) -> None:
        """Raise SchemaMismatchError where *writer_schema* can't be read as *dataset*."""
        self.dataset = dataset
        self.schema_id = schema_id
        self.header = frame_header(schema_id)
        self._convert = {field.name: _CONVERTERS[field.type] for field in dataset.fields if field.type in _CONVERTERS}
        self._names = tuple(field.name for field in dataset.fields)
        self._blank = dict.fromkeys(self._names)
        # A registry can hold unions, bare types and other languages than Avro.
        if not isinstance(writer_schema, Mapping) or writer_schema.get("type") != "record":
            raise SchemaMismatchError(f"schema {schema_id} is not a record")
        try:
            self._writer = fastavro.parse_schema(physical_schema(writer_schema))
            self._full_writer = fastavro.parse_schema(dict(writer_schema))
            flat = same_shape(writer_schema, dataset)
            self._reader = None if flat else self._reader_for(writer_schema)
            fields = self._writer["fields"]
            self._walk = WireWalk(fields, HEADER_SIZE) if flat else None
            self._plain: RowReader | None = None
            if flat:
                self._plain = compile_reader(fields, self._names, HEADER_SIZE, self._convert, RecordError)
        except Exception as error:
            raise SchemaMismatchError(f"schema {schema_id} of {dataset.code} cannot be used: {error}") from error

    def _reader_for(self, writer_schema: Mapping[str, Any]) -> Any:
        reader = physical_schema({**self.dataset.avro_schema, "name": writer_schema["name"]})
        if "namespace" in writer_schema:
            reader["namespace"] = writer_schema["namespace"]
        return fastavro.parse_schema(reader)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """A framed message; raises whatever fastavro raises for a record that does not fit."""
        buffer = io.BytesIO()
        buffer.write(self.header)
        fastavro.schemaless_writer(buffer, self._full_writer, record, strict_allow_default=True)
        return buffer.getvalue()

    def decode(self, value: bytes) -> dict[str, Any]:
        """The record in a framed message, in catalog order; raises RecordError with the quarantine reason."""
        record = self._plain(value) if self._plain else None
        return self.decode_carefully(value) if record is None else record

    def decode_carefully(self, value: bytes) -> dict[str, Any]:
        """The same by fastavro, which knows what is wrong with a message."""
        buffer = io.BytesIO(value)
        buffer.seek(HEADER_SIZE)
        try:
            raw = cast("dict[str, Any]", fastavro.schemaless_reader(buffer, self._writer, self._reader))
        except EOFError as error:
            raise RecordError("truncated", "the record ends before its last field") from error
        except UnicodeDecodeError as error:
            raise RecordError("undecodable", f"invalid UTF-8 at byte {error.start} of a string") from error
        except IndexError as error:
            # fastavro raises this where the bytes end inside a number, and also for a branch that a union doesn't have.
            if buffer.tell() == len(value):
                raise RecordError("truncated", "the record ends inside a number") from error
            raise RecordError("undecodable", "IndexError while reading the record") from error
        except Exception as error:
            raise RecordError("undecodable", f"{type(error).__name__} while reading the record") from error
        rest = len(value) - buffer.tell()
        if rest:
            raise RecordError("trailing_bytes", f"{rest} bytes after the record")
        if self._walk and not self._walk.valid(value):
            raise RecordError("undecodable", "a union has no such branch, or a number is longer than ten bytes")
        for name, convert in self._convert.items():
            physical = raw.get(name)
            if physical is not None:
                raw[name] = convert(physical)
        return self._blank | {name: raw[name] for name in self._names if name in raw}
