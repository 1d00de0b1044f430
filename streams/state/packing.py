"""A batch's texts as the arguments of ``apply.lua``: a column is one argument, so that Python touches no single record.

Few records come as tuples instead; both ways give the same bytes. What holds a key is found by the key's keyed hash:
keys are numbers of companies, documents and people, and whoever reads Redis or its backups is to learn none.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from binascii import hexlify
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import orjson
import polars as pl
import polars_hash  # noqa: F401 (adds Expr.chash)

from rules.state.definitions import Asked, StatePlan, Texts
from rules.state.normal import LONGEST

#: Characters of a hashed key; as many spaces say that there is none.
KEY_WIDTH = 32
_NO_KEY = b" " * KEY_WIDTH
_LENGTH = np.dtype(">u2")
_IDENTITY, _ORDER, _FIRST_PAIR = 0, 1, 3


class _Batch(Protocol):
    """The columns of a batch by number."""

    @property
    def width(self) -> int:
        """How many there are."""
        ...

    def blank(self, column: int) -> bool:
        """Whether every row of the column is empty."""
        ...

    def plain(self, column: int, start: int, size: int) -> bytes:
        """The texts of some rows, one after the other."""
        ...

    def texts(self, column: int, start: int, size: int) -> tuple[bytes, bytes]:
        """Lengths, and texts; raises ValueError when one is longer than LONGEST bytes."""
        ...

    def keys(self, column: int, start: int, size: int) -> bytes:
        """The hashes of keys."""
        ...


class Packer:
    """Packs batches; *secret* keys the hashes."""

    def __init__(self, secret: bytes) -> None:
        # A key of its own: what is hashed here cannot be compared with what is hashed elsewhere.
        self._key = hmac.new(secret, b"zhida keys of the state", hashlib.sha256).hexdigest()
        self._keyed = _Keyed(self._key.encode())

    def pack(
        self,
        plan: StatePlan,
        place: tuple[str, int],
        texts: Texts,
        size: int,
        *,
        write: bool,
        wait: int,
    ) -> Iterator[tuple[int, tuple[bytes, ...]]]:
        """For each *size* rows the number of the first one and the arguments, all but the epoch."""
        columns = texts.columns
        batch: _Batch = _Frame(columns, self._key) if isinstance(columns, pl.DataFrame) else _Rows(columns, self._keyed)
        there = tuple(not batch.blank(column) for column in range(batch.width))
        head, keys, values = _layout(plan.index_ids, plan.asked, tuple(texts.places), there, place, write, wait)
        for start in range(0, len(texts), size):
            arguments = [head, batch.plain(_ORDER, start, size), *batch.texts(_IDENTITY, start, size)]
            arguments += [batch.keys(column, start, size) for column in keys]
            for column in values:
                arguments += batch.texts(column, start, size)
            yield start, tuple(arguments)


@lru_cache(maxsize=4096)
def topic_code(topic: str) -> str:
    """A topic's name in eight characters, for entries that are kept by the million."""
    return hashlib.sha256(topic.encode()).hexdigest()[:8]


@lru_cache(maxsize=4096)
def _layout(
    told: tuple[str, ...],
    asked: tuple[Asked, ...],
    places: tuple[int, ...],
    there: tuple[bool, ...],
    place: tuple[str, int],
    write: bool,
    wait: int,
) -> tuple[bytes, tuple[int, ...], tuple[int, ...]]:
    """What ``apply.lua`` is told of the columns, and the columns of keys and of values to send: each only once.

    *told* and *asked* are the plan's; *there* says which columns hold anything.
    """
    keys: dict[int, int] = {}
    values: dict[int, int] = {}
    lookups: dict[tuple[str, int], int] = {}

    def number(sent: dict[int, int], column: int) -> int:
        return sent.setdefault(column, len(sent) + 1) if there[column] else 0

    def lookup(index: str, column: int) -> int:
        return lookups.setdefault((index, number(keys, column)), len(lookups) + 1)

    pairs = list(zip(places[_FIRST_PAIR::2], places[_FIRST_PAIR + 1 :: 2], strict=True))
    indexes = [
        [lookup(index, key), number(values, value)]
        for index, (key, value) in zip(told, pairs[: len(told)], strict=True)
    ]
    questions = [
        [lookup(index, key), number(values, value), mode, own, event or ""]
        for (index, mode, own, event), (key, value) in zip(asked, pairs[len(told) :], strict=True)
    ]
    topic = topic_code(place[0])
    spec = {
        "lookups": list(lookups),
        "indexes": indexes,
        "questions": questions,
        "keys": len(keys),
        "values": len(values),
        "write": write,
        "wait": wait,
        "topic": topic,
        "place": f"{topic}:{place[1]}",
    }
    return orjson.dumps(spec), tuple(keys), tuple(values)


def _too_long(length: int) -> ValueError:
    return ValueError(f"a text of {length} bytes; the state keeps up to {LONGEST} (rules.state.normal.bounded)")


class _Column:
    """A column of texts as they lie in memory: one after the other, and where each begins."""

    def __init__(self, series: pl.Series) -> None:
        array: Any = series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        _, begins, data = array.buffers()
        self._begins = np.frombuffer(begins, np.int64)[array.offset : array.offset + len(array) + 1]
        self._data = memoryview(data or b"")
        self.lengths = np.diff(self._begins)

    def slice(self, start: int, size: int) -> bytes:
        """The texts of *size* rows from *start*, joined."""
        last = min(start + size, len(self.lengths))
        return bytes(self._data[self._begins[start] : self._begins[last]])


class _Frame:
    def __init__(self, frame: pl.DataFrame, key: str) -> None:
        self._frame = frame
        self._columns = [_Column(column) for column in frame.iter_columns()]
        self._key = key
        self._hashed: dict[int, _Column] = {}

    @property
    def width(self) -> int:
        return len(self._columns)

    def blank(self, column: int) -> bool:
        return not self._columns[column].lengths.any()

    def plain(self, column: int, start: int, size: int) -> bytes:
        return self._columns[column].slice(start, size)

    def texts(self, column: int, start: int, size: int) -> tuple[bytes, bytes]:
        texts = self._columns[column]
        lengths = texts.lengths[start : start + size]
        if (longest := int(lengths.max())) > LONGEST:
            raise _too_long(longest)
        return lengths.astype(_LENGTH).tobytes(), texts.slice(start, size)

    def keys(self, column: int, start: int, size: int) -> bytes:
        hashed = self._hashed.get(column)
        if hashed is None:
            text: Any = pl.col("key")
            digest = text.chash.hmac_sha256(key=self._key).str.slice(0, KEY_WIDTH)
            chosen = pl.when(text == "").then(pl.lit(_NO_KEY.decode())).otherwise(digest)
            keys = self._frame.to_series(column).alias("key").to_frame()
            self._hashed[column] = hashed = _Column(keys.select(chosen).to_series())
        return hashed.slice(start, size)


class _Rows:
    def __init__(self, columns: Sequence[tuple[str, ...]], keyed: _Keyed) -> None:
        self._columns = columns
        self._keyed = keyed

    @property
    def width(self) -> int:
        return len(self._columns)

    def blank(self, column: int) -> bool:
        return not any(self._columns[column])

    def plain(self, column: int, start: int, size: int) -> bytes:
        return _encoded("".join(self._columns[column][start : start + size]))

    def texts(self, column: int, start: int, size: int) -> tuple[bytes, bytes]:
        texts = self._columns[column][start : start + size]
        together = "".join(texts)
        joined = _encoded(together)
        lengths = list(map(len, texts if together.isascii() else map(_encoded, texts)))
        if (longest := max(lengths)) > LONGEST:
            raise _too_long(longest)
        return struct.pack(f">{len(lengths)}H", *lengths), joined

    def keys(self, column: int, start: int, size: int) -> bytes:
        keyed = self._keyed.hex
        return b"".join(
            [keyed(_encoded(text)) if text else _NO_KEY for text in self._columns[column][start : start + size]]
        )


class _Keyed:
    """HMAC-SHA256 (RFC 2104) of many texts with one key of at most a block, in a third of the time of ``hmac``."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner, self._outer = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))

    def hex(self, message: bytes) -> bytes:
        """The first KEY_WIDTH hexadecimal digits of the digest."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return hexlify(outer.digest()[: KEY_WIDTH // 2])


def _encoded(text: str) -> bytes:
    # Text that came another way than through UTF-8 may hold halves of surrogate pairs.
    return text.encode("utf-8", "surrogatepass")
