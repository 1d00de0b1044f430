"""Record batches that a client in C could send, and that no Python client can make."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder

#: What is put in place of a header's name, byte by byte: 部门 in GBK, which is no UTF-8.
PLACEHOLDER, GBK = "XXXX", "部门".encode("gbk")
_CRC_AT, _CRC_FROM = 17, 21
_CONTROL = 0x20

Record = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]


def batch_bytes(records: Sequence[Record], codec: int = 0, base_offset: int = 0) -> bytes:
    """A record batch; header names that are PLACEHOLDER become bytes that are no UTF-8."""
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1_700_000_000_000, key, value, list(headers))
    if not codec:
        return with_odd_names(bytes(builder.build()), base_offset)
    # Compressed: the names have to be changed before.
    plain = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    for offset, (key, value, headers) in enumerate(records):
        plain.append(offset, 1_700_000_000_000, key, value, list(headers))
    body = bytes(plain.build())[61:].replace(PLACEHOLDER.encode(), GBK)
    return _sealed(bytes(builder.build())[:61] + _compressed(body, codec), base_offset)


def transactional(records: Sequence[Record], producer: int, base_offset: int, *, mark: bool = False) -> bytes:
    """A batch of a transaction; with *mark* the broker's own batch that ends it."""
    builder = DefaultRecordBatchBuilder(2, 0, True, producer, 0, 0, 1 << 20)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1_700_000_000_000, key, value, list(headers))
    batch = bytearray(builder.build())
    if mark:
        batch[_CRC_FROM + 1] |= _CONTROL
    return with_odd_names(bytes(batch), base_offset)


def with_odd_names(batch: bytes, base_offset: int = 0) -> bytes:
    """*batch*, not compressed, with other names and the checksum that goes with them."""
    return _sealed(batch.replace(PLACEHOLDER.encode(), GBK), base_offset)


def _compressed(body: bytes, codec: int) -> bytes:
    from aiokafka import codec as codecs

    encode: Any = {1: codecs.gzip_encode, 2: codecs.snappy_encode, 3: codecs.lz4_encode, 4: codecs.zstd_encode}[codec]
    return bytes(encode(body))


def _sealed(batch: bytes, base_offset: int) -> bytes:
    sealed = bytearray(batch)
    struct.pack_into(">qi", sealed, 0, base_offset, len(sealed) - 12)
    struct.pack_into(">I", sealed, _CRC_AT, crc32c(bytes(sealed[_CRC_FROM:])))
    return bytes(sealed)
