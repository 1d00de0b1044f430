"""Where every byte of a batch must be, given what was read from it: the last doubt about columns that look right.

Polars takes any union branch but 0 for "there is a value", where Avro knows only 0 and 1: a message with branch 7 would
become a record here and stop the next reader in the chain. The sizes of all values say where each branch byte stands,
so that all of them are looked at in a few operations for the whole batch, on numbers and text as Arrow keeps them.

Nothing can hide there: a value can be written longer than need be (a number with leading zeros, a branch of two
bytes) but never shorter, so where the sizes add up to the length of the body, every value stands where it is looked
for. Longer encodings raise doubt as well; whoever reads record by record then has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Text longer than these needs one more byte for its length.
_LENGTH_STEPS = (1 << 6) - 1, (1 << 13) - 1, (1 << 20) - 1, (1 << 27) - 1

Numbers = npt.NDArray[np.int64]
Sizes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Slot:
    """One field on the wire: how the size of its value is known, and the branch bytes where it may be null."""

    kind: str  # text, varint or fixed
    size: int = 0  # of the value, where it is fixed
    null: int | None = None
    value: int = 0


class WireLayout:
    """The layout of records written with one flat schema."""

    def __init__(self, fields: Sequence[Mapping[str, Any]]) -> None:
        """*fields* of an Avro record; raises ValueError where a type has no layout known here."""
        self._slots = [_slot(field["name"], field["type"]) for field in fields]
        nullable = [(row, slot) for row, slot in enumerate(self._slots) if slot.null is not None]
        self._checked = _rows([row for row, _ in nullable])
        self._null = np.array([[slot.null] for _, slot in nullable], dtype=np.uint8)
        self._step = np.array([[slot.value] for _, slot in nullable], dtype=np.uint8) - self._null
        # The branch byte where there is one, and the length byte; what has no length byte counts one less.
        self._extra = np.array([[1 if slot.null is None else 2] for slot in self._slots], dtype=np.int32)

    def holds(self, table: Any, block: bytes, starts: Numbers, lengths: Numbers) -> bool:
        """True where every body is laid out as its row of *table* says.

        *table* is Arrow's (text and bytes as views), with the fields in wire order; row i was read from the
        ``lengths[i]`` bytes of *block* from ``starts[i]`` on.
        """
        values = np.empty((len(self._slots), len(lengths)), dtype=np.int32)
        for row, slot, column in zip(values, self._slots, table.columns, strict=True):
            _payload(slot, column.chunk(0), row)
        places = np.empty((len(self._slots) + 1, len(lengths)), dtype=np.int64)
        sizes = np.add(values, self._extra, out=places[1:])
        largest = values.max()
        for step in _LENGTH_STEPS:
            if largest > step:
                sizes += values > step
        places[0] = starts
        np.cumsum(places, axis=0, out=places)
        if not np.array_equal(places[-1], starts + lengths):
            return False
        branches = np.frombuffer(block, dtype=np.uint8).take(places[:-1][self._checked])
        expected = (values[self._checked] >= 0).view(np.uint8) * self._step + self._null
        return bool((branches == expected).all())


def _rows(numbers: list[int]) -> Any:
    """An index of these rows: a slice, which copies nothing, where one can say it."""
    whole = range(numbers[0], numbers[-1] + 1) if numbers else range(0)
    return slice(whole.start, whole.stop) if numbers == list(whole) else numbers


def _payload(slot: _Slot, array: Any, sizes: Sizes) -> None:
    """Bytes of each value without its branch and length bytes (-1: null) into *sizes*."""
    if slot.kind == "fixed":
        sizes[:] = slot.size - 1
    elif slot.kind == "text":
        sizes[:] = view_lengths(array)
    else:
        numbers = values_of(array, np.int64, 1)
        magnitude = numbers ^ (numbers >> 63)
        largest, power = int(magnitude.max(initial=0)), 6
        sizes[:] = 0
        while largest >> power:
            sizes += magnitude >= 1 << power
            power += 7
    if array.null_count:
        bits = np.unpackbits(np.frombuffer(array.buffers()[0], np.uint8), bitorder="little")
        sizes[bits[array.offset : array.offset + len(array)] == 0] = -1


def view_lengths(array: Any) -> Sizes:
    """Bytes of each text or binary value of an Arrow array of views."""
    lengths: Sizes = values_of(array, np.int32, 4)[:, 0]
    return lengths


def values_of(array: Any, kind: type[Any] | str, width: int) -> npt.NDArray[Any]:
    """The numbers of an Arrow array, *width* of them a row."""
    itemsize = np.dtype(kind).itemsize
    flat = np.frombuffer(array.buffers()[1], kind, count=len(array) * width, offset=array.offset * width * itemsize)
    return flat.reshape(-1, width) if width > 1 else flat


def _slot(name: str, avro: Any) -> _Slot:
    if not isinstance(avro, list):
        return _Slot(*_kind(avro))
    branches = [branch for branch in avro if branch != "null"]
    if len(avro) != 2 or len(branches) != 1:
        raise ValueError(f"field {name}: a union of other than null and one type")
    null = avro.index("null") * 2
    return _Slot(*_kind(branches[0]), null=null, value=2 - null)


def _kind(avro: Any) -> tuple[str, int]:
    if isinstance(avro, Mapping):
        if avro["type"] == "fixed":
            return "fixed", avro["size"]
        avro = avro["type"]
    kinds = {"string": ("text", 0), "bytes": ("text", 0), "int": ("varint", 0), "long": ("varint", 0)}
    kinds |= {"float": ("fixed", 4), "double": ("fixed", 8)}
    if avro not in kinds:
        raise ValueError(f"no layout for type {avro!r}")
    return kinds[avro]
