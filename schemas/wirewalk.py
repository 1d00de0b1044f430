"""A walk over one Avro body that reads no values: are the union branches those that the schema has?

fastavro takes branch -1 for the last one and ORs the bytes of a number that never ends; both are no Avro.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST_VARINT = 10
_FIXED = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_NUMBER, _TEXT = -1, -2


class WireWalk:
    """Walks over records written with one flat schema: each field a primitive, or a union of one and null."""

    def __init__(self, fields: Sequence[Mapping[str, Any]], start: int) -> None:
        """*fields* without logical types; bodies begin at byte *start*. Raises ValueError for other types."""
        self._start = start
        self._steps = tuple(_step(field["type"]) for field in fields)

    def valid(self, value: bytes) -> bool:
        """True where every branch exists and no number is longer than ten bytes."""
        at = self._start
        try:
            for null, size in self._steps:
                if null >= 0:
                    branch = value[at]
                    at += 1
                    if branch == null:
                        continue
                    if branch + null != 2:  # not the other one of 0 and 2, at least not in one byte
                        branch, at = _number(value, at - 1)
                        if branch == null:
                            continue
                        if branch + null != 2:
                            return False
                if size == _TEXT:
                    length = value[at]
                    at += 1
                    if length > 127:
                        length, at = _number(value, at - 1)
                    at += length >> 1
                elif size == _NUMBER:
                    if value[at] > 127:
                        _, at = _number(value, at)
                    else:
                        at += 1
                else:
                    at += size
        except (IndexError, OverflowError):
            return False
        return at == len(value)


def _number(value: bytes, at: int) -> tuple[int, int]:
    """The number at *at*, still in zig-zag, and where the next field begins."""
    number = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 128:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
    raise OverflowError


def _step(avro: Any) -> tuple[int, int]:
    """The byte of the null branch (-1: there is none), and the size of the value."""
    if isinstance(avro, list):
        values = [branch for branch in avro if branch != "null"]
        if len(avro) != 2 or len(values) != 1:
            raise ValueError(f"a union of other than null and one type: {avro!r}")
        return avro.index("null") * 2, _size(values[0])
    return -1, _size(avro)


def _size(avro: Any) -> int:
    if isinstance(avro, Mapping):
        if avro["type"] == "fixed":
            return int(avro["size"])
        avro = avro["type"]
    if avro in ("string", "bytes"):
        return _TEXT
    if avro in ("int", "long"):
        return _NUMBER
    return _FIXED[avro]
