"""Records whose header names are not UTF-8, read all the same.

Brokers take any bytes for the name of a header; aiokafka refuses to read such a record, and with it every record behind
it, for ever: one client that writes names in GBK would stop a partition. Here such names are escaped (``\\xb5\\xa5``)
and everything else of the record stays what it is. The batches in question are read by aiokafka's slower Python parser;
all others are not touched.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import MemoryRecords

_LOG_OVERHEAD = 12  # base offset and length, in front of what the length counts
_MAGIC = 16


class _LenientBytes(bytearray):
    """Bytes that always decode."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found: Any = super().__getitem__(index)
        return _LenientBytes(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class KeptRecords:
    """aiokafka's record batches of one fetch, and the bytes that they were read from."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        records = MemoryRecords(raw)
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes


class LenientPartitionRecords(fetcher.PartitionRecords):
    """The records of one fetched partition; where a header name is refused, the rest is read by the lenient way."""

    _records_iterator: Any
    next_fetch_offset: int

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator)
        except StopIteration:
            self._records_iterator = None
            raise
        except UnicodeDecodeError:
            self._records_iterator = self._unpack_leniently()
            return next(self._records_iterator)

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        """The parser's own record, which has all that is read here; a copy of eleven fields costs as much as decoding.

        It does not name its topic and partition: those are the batch's.
        """
        return record

    def _unpack_leniently(self) -> Iterator[Any]:
        """What has not been read yet of all batches."""
        for batch in _batches(self._records.raw):
            if batch.next_offset <= self.next_fetch_offset:
                continue
            if not self._aborted(batch) and not batch.is_control_batch:
                for record in batch:
                    if record.offset >= self.next_fetch_offset:
                        self.next_fetch_offset = record.offset + 1
                        yield self._consumer_record(self._tp, record)
            self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)

    def _aborted(self, batch: Any) -> bool:
        """True for a batch of a transaction that was given up; control batches say which one ends here."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch:
            if self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            return False
        return batch.is_transactional and batch.producer_id in self._aborted_producers


def _batches(raw: bytes) -> Iterator[Any]:
    start = 0
    while start + _LOG_OVERHEAD <= len(raw):
        end = start + _LOG_OVERHEAD + struct.unpack_from(">i", raw, start + 8)[0]
        if end > len(raw):  # the broker cut the last one off
            return
        piece = memoryview(raw)[start:end]
        start = end
        if piece[_MAGIC] < 2:
            yield LegacyRecordBatch(piece, piece[_MAGIC])
        else:
            batch = default_records._DefaultRecordBatchPy(piece)
            batch._maybe_uncompress()
            batch._buffer = _LenientBytes(batch._buffer)
            yield batch


def install() -> None:
    """Have every aiokafka consumer of this process read leniently; again changes nothing."""
    fetcher.MemoryRecords = KeptRecords
    fetcher.PartitionRecords = LenientPartitionRecords
