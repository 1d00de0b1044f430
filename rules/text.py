"""What counts as blank, the same for columns and for rows: empty, or nothing but what ``str.isspace`` calls space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rules.strings import Bytes, Mask, StringColumn

#: Every character for which ``str.isspace`` is true.
WHITESPACE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
WHITESPACE += "\u2028\u2029\u202f\u205f\u3000"

#: The same in UTF-8, by how many bytes it takes: one, two or three.
_ENCODED = [character.encode() for character in WHITESPACE]
_LONG_LEADS = sorted({encoded[0] for encoded in _ENCODED if len(encoded) > 1})
_PAIRS = 1 << 16


def _first_byte_table() -> Bytes:
    """By first byte: 1 where a string may be blank, 2 where the next bytes tell. Byte 0 is that of an empty string."""
    table = np.zeros(256, np.uint8)
    table[[0, *(encoded[0] for encoded in _ENCODED)]] = 1
    table[_LONG_LEADS] = 2
    return table


def _next_bytes_table() -> Mask:
    """A row for each first byte of ``_LONG_LEADS``: true where the second and third byte complete white space."""
    table = np.zeros((len(_LONG_LEADS), _PAIRS), np.bool_)
    for encoded in _ENCODED:
        if len(encoded) == 2:
            table[_LONG_LEADS.index(encoded[0]), encoded[1] :: 256] = True
        elif len(encoded) == 3:
            table[_LONG_LEADS.index(encoded[0]), encoded[1] | encoded[2] << 8] = True
    rows: Mask = table.ravel()
    return rows


def _row_table() -> npt.NDArray[np.int64]:
    rows = np.zeros(256, np.int64)
    rows[_LONG_LEADS] = np.arange(len(_LONG_LEADS)) * _PAIRS
    return rows


_FIRST_BYTE = _first_byte_table()
_NEXT_BYTES = _next_bytes_table()
_ROW = _row_table()


def may_be_blank(column: StringColumn) -> Mask:
    """True for every string that starts with white space or is empty, for some that start with a NUL, and for null."""
    found = _FIRST_BYTE.take(column.first_bytes)
    mask: Mask = found == 1
    unclear = found == 2
    if unclear.any():  # 《 starts with the same byte as the ideographic space
        first, following = column.first_bytes[unclear], column.next_bytes[unclear]
        mask[unclear] = _NEXT_BYTES.take(_ROW.take(first) + following)
    if column.nulls is not None:
        mask |= column.nulls
    return mask
