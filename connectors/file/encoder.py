"""A row → a message for Kafka, or every reason why it cannot be one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.file.rows import Problem, Refusal, Row, shown
from connectors.file.values import INT64, CellError, to_value
from schemas.catalog import ENVELOPE_NAMES, Dataset, DatasetField
from schemas.protect import mask
from schemas.rowcodec import RowCodec

MAX_RECORD_ID = 64


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: ``key`` is ``<unit>|<record_id>``, ``value`` framed Avro."""

    line: int
    key: bytes
    value: bytes


class Encoder:
    """Encodes the rows of one file; remembers their record ids to tell doubled rows from corrections."""

    def __init__(self, dataset: Dataset, codec: RowCodec, unit: str, default_version: int, max_bytes: int) -> None:
        """``default_version``: the version of rows without one, in milliseconds since the epoch."""
        self._dataset = dataset
        self._codec = codec
        self._unit = unit
        self._default_version = default_version
        self._max_bytes = max_bytes
        self._blank: dict[str, Any] = dict.fromkeys(field.name for field in dataset.business_fields)
        #: Digest of the record id → line and version it was last seen with.
        self._seen: dict[bytes, tuple[int, int]] = {}

    def encode(self, row: Row) -> Message | Refusal:
        """The message of *row*, or a refusal that names every bad cell."""
        values, problems = self._convert(row.cells)
        if problems:
            return Refusal(row.line, tuple(problems), row.original)
        problem = self._complete(values, row.line)
        if problem is not None:
            return Refusal(row.line, (problem,), row.original)
        body = self._codec.encode(self._blank | values)
        key = f"{self._unit}|{values['record_id']}".encode()
        if len(body) + len(key) > self._max_bytes:
            size = len(body) + len(key)
            return Refusal(
                row.line,
                (
                    Problem(
                        "",
                        "",
                        f"整条记录 {size} 字节，超过上限 {self._max_bytes}",
                        f"a record of {size} bytes, more than {self._max_bytes}",
                    ),
                ),
                row.original,
            )
        return Message(row.line, key, body)

    def _convert(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, cell in cells.items():
            field = self._dataset.by_name[name]
            try:
                values[name] = to_value(field, cell)
            except CellError as error:
                problems.append(Problem(_title(field), _display(field, cell), error.zh, error.en))
        return values, problems

    def _complete(self, values: dict[str, Any], line: int) -> Problem | None:
        """Fill in the envelope; returns what is wrong with it."""
        unit = values.get("unit")
        if unit is not None and unit != self._unit:
            return self._problem("unit", unit, "不是报送单位本身的编码", f"not the reporting unit {self._unit}")
        values["unit"] = self._unit
        values["deleted"] = bool(values.get("deleted"))
        own_id = values.get("record_id")
        if own_id is None:
            derived = self._derived_id(values)
            if isinstance(derived, Problem):
                return derived
            values["record_id"] = derived
        elif len(own_id) > MAX_RECORD_ID or not own_id.isprintable():
            return self._problem(
                "record_id", own_id, f"超过 {MAX_RECORD_ID} 个字符或含控制字符", f"over {MAX_RECORD_ID} characters"
            )
        return self._version(values, line, derived=own_id is None)

    def _derived_id(self, values: Mapping[str, Any]) -> str | Problem:
        parts = [str(values.get(name) or "") for name in self._dataset.key]
        if not parts or not parts[0]:
            first = self._dataset.by_name[self._dataset.key[0] if self._dataset.key else "record_id"]
            return Problem(
                _title(first),
                "",
                "为空，且没有记录编号列，无法确定是哪条记录",
                "blank, and without a column record_id nothing else tells which record this is",
            )
        digest = hashlib.sha256("\x1f".join([self._dataset.code, *parts]).encode()).hexdigest()
        return f"k-{digest[:40]}"

    def _version(self, values: dict[str, Any], line: int, *, derived: bool) -> Problem | None:
        digest = hashlib.blake2b(values["record_id"].encode(), digest_size=12).digest()
        before = self._seen.get(digest)
        version = values.get("version")
        if version is None:
            if before and derived:
                return Problem(
                    "",
                    "",
                    f"与第 {before[0]} 行的关键字段相同；如果是两条不同的记录，请增加“记录编号”列加以区分",
                    f"same key fields as line {before[0]}; tell two records apart by a column record_id",
                )
            version = max(self._default_version, before[1] + 1) if before else self._default_version
        elif not 0 <= version < INT64:
            return self._problem("version", str(version), "版本不能为负数", "a version cannot be negative")
        elif before and before[1] == version:
            return Problem(
                "",
                "",
                f"与第 {before[0]} 行的记录编号和版本都相同",
                f"same record id and version as line {before[0]}",
            )
        values["version"] = version
        self._seen[digest] = (line, version)
        return None

    def _problem(self, name: str, value: str, zh: str, en: str) -> Problem:
        return Problem(_title(self._dataset.by_name[name]), shown(value), zh, en)


def _title(field: DatasetField) -> str:
    return field.name if field.name in ENVELOPE_NAMES else f"{field.zh} {field.name}"


def _display(field: DatasetField, cell: Any) -> str:
    text = cell if isinstance(cell, str) else str(cell)
    return shown(mask(text.strip(), field.pii))
