"""Which of two messages about one record is the current one: the higher version, then the earlier in the report topic.

A unit that sends a record twice changes nothing by it, in whatever order messages reach those who keep state. The order
is text of ORDER_WIDTH digits, so that stores and Lua programs compare it as it is.
"""

from __future__ import annotations

import polars as pl

_OFFSET_MAX = 2**63 - 1
_VERSION_BIAS = 2**63
#: Characters of :func:`order_key`.
ORDER_WIDTH = 39


def order_key() -> pl.Expr:
    """ORDER_WIDTH digits of ``version`` and ``source_offset``: the greater ones are the current record's."""
    version = (pl.col("version").cast(pl.Int128) + _VERSION_BIAS).cast(pl.String).str.zfill(20)
    offset = (_OFFSET_MAX - pl.col("source_offset")).cast(pl.String).str.zfill(19)
    return pl.concat_str(version, offset)


def order_text(version: int, source_offset: int) -> str:
    """:func:`order_key` of one record."""
    return f"{version + _VERSION_BIAS:020d}{_OFFSET_MAX - source_offset:019d}"
