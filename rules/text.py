"""What counts as blank, the same for columns and for rows.

Polars (Rust) and Python disagree on four control characters (U+001C to U+001F), so both are given this list.
"""

from __future__ import annotations

import polars as pl

#: Every character for which ``str.isspace`` is true.
WHITESPACE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
WHITESPACE += "\u2028\u2029\u202f\u205f\u3000"

#: UTF-8 order puts every blank string below ``!`` or from U+0080 up to the ideographic space (U+3000).
_FIRST_VISIBLE = "!"
_FIRST_BEYOND_ASCII = "\x80"
_AFTER_IDEOGRAPHIC_SPACE = "\u3001"


def blank(column: pl.Expr) -> pl.Expr:
    """True where the string is empty or only white space; null where it is null."""
    return column.str.strip_chars(WHITESPACE) == ""


def may_be_blank(column: pl.Expr) -> pl.Expr:
    """True wherever :func:`blank` is, and for few others; three comparisons instead of looking at every character."""
    return (column < _FIRST_VISIBLE) | column.is_between(
        pl.lit(_FIRST_BEYOND_ASCII), pl.lit(_AFTER_IDEOGRAPHIC_SPACE), closed="left"
    )
