"""The Confluent wire format: one zero byte, the schema id as four big-endian bytes, then the Avro body."""

from __future__ import annotations

HEADER_SIZE = 5


def frame_header(schema_id: int) -> bytes:
    """The five bytes in front of every body written with *schema_id*."""
    return b"\0" + schema_id.to_bytes(4, "big")


def schema_id_of(value: bytes) -> int | None:
    """The schema id of a framed message; None where the magic byte or the header is wrong.

    Ids are signed numbers of 32 bits, and no registry gives out negative ones.
    """
    if len(value) < HEADER_SIZE or value[0] != 0 or value[1] > 0x7F:
        return None
    return int.from_bytes(value[1:HEADER_SIZE], "big")


def zigzag(number: int) -> bytes:
    """*number* as an Avro long (variable-length zig-zag; Avro 1.12 specification, binary encoding)."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number & ~0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
