"""A stored record as JSON text and back, one at a time; ``sinks.columns.payload`` writes the same in columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from sinks.models import StoredRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(dataset: str, unit: str, record_id: str, text: str | bytes) -> StoredRecord:
    """The record that the JSON of ``sinks.columns.payload`` describes."""
    raw = orjson.loads(text)
    return StoredRecord(
        dataset=dataset,
        unit=unit,
        record_id=record_id,
        version=raw["v"],
        verdict=raw["s"],
        reported_at=_EPOCH + timedelta(milliseconds=raw["r"]),
        fields=raw["f"],
        source_offset=raw["o"],
    )


def encode(record: StoredRecord) -> str:
    """The reverse of :func:`decode`, in the same layout."""
    reported_at = (record.reported_at - _EPOCH) // timedelta(milliseconds=1)
    raw = {"v": record.version, "s": record.verdict, "r": reported_at, "o": record.source_offset, "f": record.fields}
    return orjson.dumps(raw).decode()
