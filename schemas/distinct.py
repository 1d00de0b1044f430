"""A function of single texts applied to a column."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

#: Rows up to which Python is done sooner than Polars has begun.
_FEW = 500


def by_distinct(series: pl.Series, convert: Callable[[str], str | None]) -> pl.Series:
    """*convert* applied once to each distinct text of *series*, nulls left as they are; the series keeps its name."""
    if series.null_count() == series.len():
        return series
    if series.len() <= _FEW:
        texts = series.to_list()
        converted = {text: None if text is None else convert(text) for text in set(texts)}
        return pl.Series(series.name, [converted[text] for text in texts], dtype=pl.String())
    distinct = series.drop_nulls().unique()
    replacement = pl.Series([convert(text) for text in distinct], dtype=pl.String())
    return series.replace_strict(distinct, replacement, default=None)
