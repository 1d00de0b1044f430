"""A batch's texts as the arguments of ``apply.lua``: a column is one argument, so that Python touches no single record.

Few records come as tuples instead; both ways give the same bytes. What holds a key is found by the key's keyed hash:
keys are numbers of companies, documents and people, and whoever reads Redis or its backups is to learn none.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import orjson
import polars as pl
import polars_hash  # noqa: F401 (adds Expr.chash)

from rules.state.definitions import StatePlan, Texts
from rules.state.texts import LONGEST

#: Characters of a hashed key; as many spaces say that there is none.
KEY_WIDTH = 32
_NO_KEY = " " * KEY_WIDTH
_LENGTH = np.dtype(">u2")
_IDENTITY, _ORDER, _FIRST_PAIR = 0, 1, 3


class _Batch(Protocol):
    """The columns of a batch by number."""

    def blank(self, column: int) -> bool:
        """Whether every row of the column is empty."""
        ...

    def same(self, column: int, other: int) -> bool:
        """Whether two columns hold the same."""
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
        batch: _Batch = _Frame(texts, self._key) if isinstance(texts, pl.DataFrame) else _Rows(texts, self._keyed)
        spec, keys, values = _layout(plan, batch)
        topic = topic_code(place[0])
        spec |= {"write": write, "wait": wait, "topic": topic, "place": f"{topic}:{place[1]}"}
        head = orjson.dumps(spec)
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


def _layout(plan: StatePlan, batch: _Batch) -> tuple[dict[str, Any], list[int], list[int]]:
    """What ``apply.lua`` is told of the columns, and the columns of keys and of values to send: each only once."""
    keys: list[int] = []
    values: list[int] = []
    lookups: list[tuple[str, int]] = []

    def number(sent: list[int], column: int) -> int:
        if batch.blank(column):
            return 0
        for at, other in enumerate(sent):
            if batch.same(column, other):
                return at + 1
        sent.append(column)
        return len(sent)

    def lookup(index: str, column: int) -> int:
        pair = (index, number(keys, column))
        if pair not in lookups:
            lookups.append(pair)
        return lookups.index(pair) + 1

    column = _FIRST_PAIR
    indexes: list[list[Any]] = []
    for index in plan.index_ids:
        indexes.append([lookup(index, column), number(values, column + 1)])
        column += 2
    questions: list[list[Any]] = []
    for index, mode, own, event in plan.asked:
        where = [lookup(index, column), number(values, column + 1)]
        questions.append([*where, mode, own, event or ""])
        column += 2
    spec = {"lookups": lookups, "indexes": indexes, "questions": questions, "keys": len(keys), "values": len(values)}
    return spec, keys, values


def _too_long(length: int) -> ValueError:
    return ValueError(f"a text of {length} bytes; the state keeps up to {LONGEST} (rules.state.texts.bounded)")


class _Column:
    """A column of texts as they lie in memory: one after the other, and where each begins."""

    def __init__(self, series: pl.Series) -> None:
        array: Any = series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        _, begins, data = array.buffers()
        self._begins = np.frombuffer(begins, np.int64)[array.offset : array.offset + len(array) + 1]
        self._data = memoryview(data or b"")
        self.lengths = np.diff(self._begins)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Column) or not np.array_equal(self.lengths, other.lengths):
            return False
        return self.slice(0, len(self.lengths)) == other.slice(0, len(other.lengths))

    __hash__ = None  # type: ignore[assignment]

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

    def blank(self, column: int) -> bool:
        return not self._columns[column].lengths.any()

    def same(self, column: int, other: int) -> bool:
        return self._columns[column] == self._columns[other]

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
            chosen = pl.when(text == "").then(pl.lit(_NO_KEY)).otherwise(digest)
            keys = self._frame.to_series(column).alias("key").to_frame()
            self._hashed[column] = hashed = _Column(keys.select(chosen).to_series())
        return hashed.slice(start, size)


class _Rows:
    def __init__(self, rows: Sequence[tuple[str, ...]], keyed: _Keyed) -> None:
        self._columns = list(zip(*rows, strict=True))
        self._keyed = keyed

    def blank(self, column: int) -> bool:
        return not any(self._columns[column])

    def same(self, column: int, other: int) -> bool:
        return self._columns[column] == self._columns[other]

    def plain(self, column: int, start: int, size: int) -> bytes:
        return b"".join(map(_encoded, self._columns[column][start : start + size]))

    def texts(self, column: int, start: int, size: int) -> tuple[bytes, bytes]:
        encoded = list(map(_encoded, self._columns[column][start : start + size]))
        longest = max(map(len, encoded))
        if longest > LONGEST:
            raise _too_long(longest)
        return b"".join(len(text).to_bytes(2, "big") for text in encoded), b"".join(encoded)

    def keys(self, column: int, start: int, size: int) -> bytes:
        return b"".join(map(self._hash, self._columns[column][start : start + size]))

    def _hash(self, text: str) -> bytes:
        return self._keyed.hex(_encoded(text))[:KEY_WIDTH].encode() if text else _NO_KEY.encode()


class _Keyed:
    """HMAC-SHA256 (RFC 2104) of many texts with one key of at most a block, in a third of the time of ``hmac``."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner, self._outer = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))

    def hex(self, message: bytes) -> str:
        """The digest in hexadecimal digits."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


def _encoded(text: str) -> bytes:
    # Text that came another way than through UTF-8 may hold halves of surrogate pairs.
    return text.encode("utf-8", "surrogatepass")
