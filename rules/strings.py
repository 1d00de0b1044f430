"""A look at a column of strings without copying it.

Arrow keeps a string as 16 bytes: its length, then the text itself when it has up to 12 bytes, else its first four bytes
and where the rest is. Lengths and first bytes of a whole column can so be read by numpy at the cost of one pass each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
#: From an (n, width) matrix of bytes to a mask of the n rows that fail.
MatrixFails = Callable[[Bytes], Mask]

_VIEW_BYTES = 16
_VIEWS = pl.CompatLevel.newest()


class StringColumn:
    """One column of a batch. What is said about null rows is of no meaning: ask :attr:`nulls`."""

    def __init__(self, series: pl.Series) -> None:
        self.series = series.rechunk() if series.n_chunks() > 1 else series

    def __len__(self) -> int:
        return len(self.series)

    @cached_property
    def _array(self) -> Any:
        return self.series.to_arrow(compat_level=_VIEWS)

    @cached_property
    def _views(self) -> Bytes:
        array = self._array
        start, count = _VIEW_BYTES * array.offset, _VIEW_BYTES * len(array)
        return np.frombuffer(array.buffers()[1], np.uint8, count=count, offset=start).reshape(-1, _VIEW_BYTES)

    @cached_property
    def lengths(self) -> npt.NDArray[np.uint32]:
        """Number of UTF-8 bytes."""
        return self._views.view("<u4")[:, 0]

    @cached_property
    def first_bytes(self) -> Bytes:
        """The first byte; 0 where the string is empty."""
        return self._views[:, 4]

    @cached_property
    def next_bytes(self) -> npt.NDArray[np.uint16]:
        """The second byte and, times 256, the third; 0 for what the string does not have."""
        return np.ndarray(len(self.series), "<u2", self._views, offset=5, strides=(_VIEW_BYTES,))

    @cached_property
    def nulls(self) -> Mask | None:
        """True where there is nothing; None when that is nowhere."""
        return ~_bitmap(self._array, 0) if self.series.null_count() else None

    def matrix(self, width: int) -> tuple[Bytes, Mask | None]:
        """The strings that are *width* bytes long as rows of a matrix, and where they stand (None: everywhere)."""
        sized = self.lengths == width
        if self.nulls is not None:
            sized &= ~self.nulls
        if sized.all():
            return _matrix(self.series, width), None
        return _matrix(self.series.filter(pl.Series(sized)), width), sized

    def where(self, predicate: Callable[[str], bool]) -> Mask:
        """True where *predicate* is true of the string; it is asked once for each distinct one."""
        values, places = self._distinct
        outcomes = np.fromiter(map(predicate, values), np.bool_, len(values))
        mask: Mask = outcomes.take(places, mode="clip") if values else np.zeros(len(self), np.bool_)
        return mask if self.nulls is None else mask & ~self.nulls

    @cached_property
    def _distinct(self) -> tuple[list[str], npt.NDArray[np.int32]]:
        encoded = self._array.dictionary_encode()
        indices = encoded.indices
        places = np.frombuffer(indices.buffers()[1], np.int32, count=len(self), offset=4 * indices.offset)
        return encoded.dictionary.to_pylist(), places

    def failing(self, width: int, matrix_fails: MatrixFails) -> Mask:
        """True where there is a string that is not *width* bytes long or that *matrix_fails* says no to."""
        matrix, sized = self.matrix(width)
        if sized is None:
            return matrix_fails(matrix)
        mask = ~sized
        if self.nulls is not None:
            mask &= ~self.nulls
        if len(matrix):
            mask[sized] = matrix_fails(matrix)
        return mask


def bits(series: pl.Series) -> Mask:
    """A boolean column as a mask in which null counts as false."""
    array = series.to_arrow()
    mask = _bitmap(array, 1)
    return mask & _bitmap(array, 0) if series.null_count() else mask


def _bitmap(array: Any, buffer: int) -> Mask:
    packed = np.frombuffer(array.buffers()[buffer], np.uint8)
    return np.unpackbits(packed, bitorder="little")[array.offset : array.offset + len(array)].view(np.bool_)


def _matrix(series: pl.Series, width: int) -> Bytes:
    if not len(series):
        return np.empty((0, width), np.uint8)
    array = series.to_arrow(compat_level=pl.CompatLevel.oldest())  # offsets and one buffer of text
    _, offsets, text = array.buffers()
    start = int(np.frombuffer(offsets, np.int64, count=1, offset=8 * array.offset)[0])
    return np.frombuffer(text, np.uint8, count=width * len(series), offset=start).reshape(-1, width)
