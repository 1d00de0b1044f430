"""A walk over all Avro bodies of a batch at once: field by field, with one step for all messages.

It reads no values, only what says how long they are, and knows afterwards for each message whether it is one record of
its schema from its first byte to its last. What Polars takes more lightly than Avro allows is seen here too: it takes
any union branch but 0 for "there is a value" where Avro knows only 0 and 1, so that a message with branch 7 would
become a record and stop the next reader in the chain.

A message in doubt need not be broken: a branch may be written in two bytes. Whoever reads records one by one has the
last word on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_LENGTH_BYTES = 5
_NUMBER_BYTES = 10

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


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

    def doubtful(self, block: bytes, starts: Places, lengths: Places, header: bytes, longest: int) -> list[int]:
        """The messages that may not be *header* and one record each, or are longer than *longest* bytes: their numbers.

        Message i is the ``lengths[i]`` bytes of *block* from ``starts[i]`` on.
        """
        walk = _Walk(np.frombuffer(block, dtype=np.uint8), starts.copy())
        for byte in header:
            walk.expect(byte)
        for slot in self._slots:
            walk.step(slot)
        return np.flatnonzero(walk.wrong | (walk.at != starts + lengths) | (lengths > longest)).tolist()


class _Walk:
    """Where each message's next byte stands. Places never go back, so who is once beyond its end never ends well."""

    def __init__(self, block: Bytes, at: Places) -> None:
        self._block = block
        self.at = at
        self.wrong: Flags = np.zeros(len(at), dtype=np.bool_)

    def expect(self, byte: int) -> None:
        """Go past one byte that must be this one."""
        self.wrong |= self._look(self.at) != byte
        self.at += 1

    def step(self, slot: _Slot) -> None:
        """Go past one field."""
        present: Flags | None = None
        if slot.null is not None:
            branch = self._look(self.at)
            self.at += 1
            present = branch == slot.value
            if not present.all():
                self.wrong |= ~present & (branch != slot.null)
                if not present.any():
                    return
            else:
                present = None
        if slot.kind == "fixed":
            self.at += slot.size if present is None else present * np.int64(slot.size)
        elif slot.kind == "text":
            self._text(present)
        else:
            self._number(present)

    def _look(self, at: Places) -> Bytes:
        # A forged length may lead beyond the block: whatever is read there, the place will not be the message's end.
        return self._block.take(at, mode="clip")

    def _text(self, present: Flags | None) -> None:
        first = self._look(self.at)
        if present is None:
            self.at += 1
        else:
            first *= present
            self.at += present
        self.wrong |= (first & 1).view(np.bool_)  # a length below zero
        long = np.flatnonzero(first > 127)
        if len(long):
            size = self._long_text(long, first[long])
            self.at += first >> 1
            self.at[long] = size
        else:
            self.at += first >> 1

    def _long_text(self, rows: Places, first: Bytes) -> Places:
        """Where texts end whose length takes more than one byte; *first* are its first bytes, which have been read."""
        at = self.at[rows]
        size = ((first & 0x7F) >> 1).astype(np.int64)
        more = np.ones(len(rows), dtype=np.bool_)
        for place in range(1, _LENGTH_BYTES):
            byte = self._look(at)
            size += ((byte & 0x7F) * more).astype(np.int64) << (7 * place - 1)
            at += more
            more &= byte > 127
            if not more.any():
                return at + size
        self.wrong[rows[more]] = True
        return at + size

    def _number(self, present: Flags | None) -> None:
        more = np.ones(len(self.at), dtype=np.bool_) if present is None else present.copy()
        for _ in range(_NUMBER_BYTES):
            more_bytes = self._look(self.at) > 127
            self.at += more
            more &= more_bytes
            if not more.any():
                return
        self.wrong |= more


def view_lengths(array: Any) -> npt.NDArray[np.int32]:
    """Bytes of each text or binary value of an Arrow array of views."""
    lengths: npt.NDArray[np.int32] = values_of(array, np.int32, 4)[:, 0]
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
