"""Texts for the state, from rows as they are written down."""

from __future__ import annotations

import polars as pl

from rules.state.definitions import Texts


def texts_of(*rows: tuple[str, ...], frame: bool = False) -> Texts:
    """The rows as texts; columns that are the same stand once, as where they are made of records."""
    columns = list(zip(*rows, strict=True))
    once = list(dict.fromkeys(columns))
    places = [once.index(column) for column in columns]
    if not frame:
        return Texts(once, places)
    return Texts(pl.DataFrame([pl.Series(str(at), column, pl.String) for at, column in enumerate(once)]), places)
