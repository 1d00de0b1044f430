"""What counts as blank, the same for columns and for rows: empty, or nothing but what ``str.isspace`` calls space."""

from __future__ import annotations

import numpy as np

from rules.strings import Mask, StringColumn

#: Every character for which ``str.isspace`` is true.
WHITESPACE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
WHITESPACE += "\u2028\u2029\u202f\u205f\u3000"

#: By first byte: true where a string may be blank. Byte 0 is that of an empty string.
_MAY_BE_BLANK = np.zeros(256, np.bool_)
_MAY_BE_BLANK[[0, *(character.encode()[0] for character in WHITESPACE)]] = True


def may_be_blank(column: StringColumn) -> Mask:
    """True for every string that is blank, and for the few others that start with the same byte; true for null."""
    mask = _MAY_BE_BLANK.take(column.first_bytes)
    if column.nulls is not None:
        mask |= column.nulls
    return mask
