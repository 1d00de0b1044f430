"""From the messages of one partition batch to columns (when there are few, to rows), with the broken ones set apart.

The fast way reads the whole batch as columns, but for the messages that a walk over all of them finds in doubt: these
are sorted by schema id, and read as columns again where they are many, one by one where they are few. Where columns
cannot be read although every message looks right (text that is no UTF-8), the batch is sliced until the doubt is in
pieces small enough to read one by one: one forged message costs its neighbours a few milliseconds, never their
verdict.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import polars as pl

from schemas.catalog import Dataset
from schemas.columnar import NONCE_SIZE, ColumnarDecoder, Columns
from schemas.framing import schema_id_of
from schemas.registry.client import UnknownSchema
from schemas.rowcodec import RecordError, RowCodec, SchemaMismatchError

#: Below this many messages columns cost more than rows, where columns are wanted (docs/decisions/small-batches.md).
ROW_LIMIT = 100


#: A batch in doubt is cut into this many slices, each read as columns again. Two would read most of it many times over.
_SLICES = 8


class SchemaSource(Protocol):
    """What is asked about schema ids: the schema registry's client."""

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema, or UnknownSchema."""
        ...

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        """The subjects that the id is registered under."""
        ...


@dataclass(frozen=True, slots=True)
class Codec:
    """Both ways to read messages of one dataset written with one schema id."""

    rows: RowCodec
    columns: ColumnarDecoder


@dataclass(frozen=True, slots=True)
class Broken:
    """A message that cannot be read: where it stands in the batch, and why."""

    position: int
    reason: str
    detail: str
    schema_id: int | None


class UnknownIdsError(Exception):
    """Schema ids that the cache has not seen; ask the registry (that blocks) and decode again."""

    def __init__(self, ids: frozenset[int]) -> None:
        super().__init__(f"schema ids not yet known: {sorted(ids)[:10]}")
        self.ids = ids


@dataclass(slots=True)
class Decoded:
    """Readable messages of a batch: ``frame`` (columns) or ``records`` (rows), never both.

    Row i is message ``positions[i]`` and was written with schema ``schema_ids[i]``, or with ``schema_ids`` where it is
    one number for all. ``broken`` are all others.
    """

    frame: pl.DataFrame | None
    records: list[dict[str, Any]]
    positions: Sequence[int]
    schema_ids: Sequence[int] | int
    broken: list[Broken] = field(default_factory=list)

    def schema_of_row(self, row: int) -> int:
        """The schema id that row *row* was written with."""
        return self.schema_ids if isinstance(self.schema_ids, int) else self.schema_ids[row]

    def some(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The records at *rows*."""
        frame = self.frame
        if frame is None:
            return [self.records[row] for row in rows]
        return frame[rows].rows(named=True) if rows else []

    def as_columns(self, dataset: Dataset) -> pl.DataFrame:
        """The records of *dataset* as columns, however they were read."""
        if self.frame is not None:
            return self.frame
        return pl.DataFrame(self.records, schema=dataset.polars_schema, orient="row")


class CodecCache:
    """Codecs by dataset and schema id. Unknown ids are asked for again in the next batch: they may exist by then."""

    def __init__(self, registry: SchemaSource) -> None:
        self._registry = registry
        self._known: dict[tuple[str, int], Codec] = {}

    def get(self, dataset: Dataset, schema_id: int) -> Codec | None:
        """The codec, or None where :meth:`learn` has not been asked or found none."""
        return self._known.get((dataset.code, schema_id))

    def learn(self, dataset: Dataset, schema_id: int) -> tuple[str, str] | None:
        """Ask the registry (blocking). None when the codec is known now, else the quarantine reason and detail.

        Raises RegistryUnavailable when nobody could be asked: that is no reason to quarantine anything.
        """
        try:
            schema = self._registry.schema(schema_id)
            subjects = self._registry.subjects_of(schema_id)
        except UnknownSchema:
            return "unknown_schema", f"schema id {schema_id} is not registered"
        if dataset.subject_name not in subjects:
            return "wrong_subject", f"schema id {schema_id} is not registered for {dataset.subject_name}"
        try:
            rows = RowCodec(dataset, schema_id, schema)
            self._known[dataset.code, schema_id] = Codec(rows, ColumnarDecoder(rows, schema))
        except SchemaMismatchError as error:
            return "wrong_subject", str(error)
        return None


#: Schema id, positions and columns of messages that were read together.
_Piece = tuple[int, list[int], pl.DataFrame]


class BatchDecoder:
    """Decodes the batches of one dataset; fewer than *row_limit* messages row by row."""

    def __init__(
        self,
        dataset: Dataset,
        codecs: CodecCache,
        *,
        max_record_bytes: int,
        row_limit: int = ROW_LIMIT,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.dataset = dataset
        self._codecs = codecs
        self._max = max_record_bytes
        self._row_limit = row_limit
        self._random = random_bytes

    def decode(self, values: Sequence[bytes | None], refused: dict[int, tuple[str, str]]) -> Decoded:
        """Decode *values*; *refused* are schema ids that the registry did not know, with reason and detail.

        Raises UnknownIdsError when ids turn up that are neither known nor in *refused*.
        """
        if len(values) < self._row_limit:
            groups, broken = self._sort(values, range(len(values)), refused)
            return self._as_rows(values, groups, broken)
        schema_id, columns = self._columns(values)
        if columns is not None and not columns.doubtful:
            return Decoded(columns.frame, [], range(len(values)), schema_id)
        pieces: list[_Piece] = []
        doubtful: Sequence[int] = range(len(values))
        if columns is not None:
            doubtful = columns.doubtful
            pieces.append((schema_id, others(doubtful, len(values)), columns.frame))
        groups, broken = self._sort(values, doubtful, refused)
        for schema_id, positions in groups.items():
            codec = self._codecs.get(self.dataset, schema_id)
            assert codec is not None
            pieces += [(schema_id, part, frame) for part, frame in self._pieces(codec, values, positions, broken)]
        return self._assemble(pieces, broken)

    def _columns(self, values: Sequence[bytes | None]) -> tuple[int, Columns | None]:
        """The fast way, by the schema of the first message: most batches have one schema and nothing in doubt."""
        first = values[0]
        schema_id = schema_id_of(first) if first else None
        codec = self._codecs.get(self.dataset, schema_id) if schema_id is not None else None
        if codec is None or schema_id is None:
            return -1, None
        return schema_id, codec.columns.decode(values, self._random(NONCE_SIZE), longest=self._max)

    def _sort(
        self, values: Sequence[bytes | None], positions: Sequence[int], refused: dict[int, tuple[str, str]]
    ) -> tuple[dict[int, list[int]], list[Broken]]:
        groups: dict[int, list[int]] = defaultdict(list)
        broken: list[Broken] = []
        for position in positions:
            value = values[position]
            if not value:
                broken.append(Broken(position, "empty", "the message has no value", None))
                continue
            schema_id = schema_id_of(value)
            if len(value) > self._max:
                detail = f"{len(value)} bytes; at most {self._max} are allowed"
                broken.append(Broken(position, "too_large", detail, schema_id))
            elif schema_id is None:
                detail = f"{len(value)} bytes without the magic byte 0 and a schema id"
                broken.append(Broken(position, "bad_magic", detail, None))
            elif schema_id in refused:
                broken.append(Broken(position, *refused[schema_id], schema_id))
            else:
                groups[schema_id].append(position)
        unknown = frozenset(i for i in groups if self._codecs.get(self.dataset, i) is None)
        if unknown:
            raise UnknownIdsError(unknown)
        return groups, broken

    def _read_rows(
        self, codec: Codec, values: Sequence[bytes | None], positions: Sequence[int], broken: list[Broken]
    ) -> tuple[list[int], list[dict[str, Any]]]:
        read: list[int] = []
        records: list[dict[str, Any]] = []
        decode = codec.rows.decode
        for position in positions:
            try:
                records.append(decode(values[position]))  # type: ignore[arg-type]
                read.append(position)
            except RecordError as error:
                broken.append(Broken(position, error.reason, error.detail, codec.rows.schema_id))
        return read, records

    def _as_rows(self, values: Sequence[bytes | None], groups: dict[int, list[int]], broken: list[Broken]) -> Decoded:
        rows: list[tuple[int, int, dict[str, Any]]] = []
        for schema_id, positions in groups.items():
            codec = self._codecs.get(self.dataset, schema_id)
            assert codec is not None
            read, records = self._read_rows(codec, values, positions, broken)
            rows += zip(read, [schema_id] * len(read), records, strict=True)
        if len(groups) > 1:
            rows.sort(key=lambda row: row[0])
        return Decoded(None, [r[2] for r in rows], [r[0] for r in rows], [r[1] for r in rows], broken)

    def _pieces(
        self, codec: Codec, values: Sequence[bytes | None], positions: list[int], broken: list[Broken]
    ) -> list[tuple[list[int], pl.DataFrame]]:
        """Positions and columns of what is readable: whole, else sliced until rows are the better way."""
        if len(positions) >= self._row_limit:
            chosen = [values[position] for position in positions]
            columns = codec.columns.decode(chosen, self._random(NONCE_SIZE), longest=self._max)
            if columns is not None:
                good = [positions[i] for i in others(columns.doubtful, len(positions))]
                doubtful = [positions[i] for i in columns.doubtful]
                return [(good, columns.frame), *self._pieces_by_row(codec, values, doubtful, broken)]
            if codec.columns.usable:
                size = -(-len(positions) // _SLICES)
                slices = (positions[start : start + size] for start in range(0, len(positions), size))
                return [piece for part in slices for piece in self._pieces(codec, values, part, broken)]
        return self._pieces_by_row(codec, values, positions, broken)

    def _pieces_by_row(
        self, codec: Codec, values: Sequence[bytes | None], positions: Sequence[int], broken: list[Broken]
    ) -> list[tuple[list[int], pl.DataFrame]]:
        read, records = self._read_rows(codec, values, positions, broken)
        return [(read, pl.DataFrame(records, schema=self.dataset.polars_schema, orient="row"))] if read else []

    def _assemble(self, pieces: list[_Piece], broken: list[Broken]) -> Decoded:
        if not pieces:
            return Decoded(None, [], [], [], broken)
        if len(pieces) == 1:
            schema_id, found, frame = pieces[0]
            return Decoded(frame, [], found, schema_id, broken)
        frame = pl.concat([piece[2] for piece in pieces])
        positions = [position for piece in pieces for position in piece[1]]
        schema_ids = [piece[0] for piece in pieces for _ in piece[1]]
        order = sorted(range(len(positions)), key=positions.__getitem__)
        return Decoded(frame[order], [], [positions[i] for i in order], [schema_ids[i] for i in order], broken)


def others(positions: Sequence[int], count: int) -> list[int]:
    """The numbers below *count* that are not among *positions*."""
    left = np.ones(count, dtype=np.bool_)
    left[positions] = False
    return np.flatnonzero(left).tolist()
