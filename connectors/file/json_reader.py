"""JSON lines → rows: one object a line, its keys field codes or Chinese labels. Nested values are not taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TextIO

from connectors.base import ConnectorError
from connectors.file.csv_reader import MAX_LINE
from connectors.file.header import NOTE_PREFIX, Names
from connectors.file.rows import Problem, Refusal, Row, shown
from schemas.catalog import DatasetField


class _DoubledKeyError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _DoubledKeyError
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class JsonReader:
    """Reads one file of JSON lines; iterate for its rows and refusals."""

    def __init__(self, text: TextIO, names: Names) -> None:
        self._text = text
        self._names = names
        self._known: dict[str, DatasetField | None] = {}
        self._decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=_no_constant)
        self.blank_rows = 0

    def __iter__(self) -> Iterator[Row | Refusal]:
        number = 0
        first = True
        while line := self._text.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                rest = line
                while rest and not rest.endswith(("\n", "\r")):
                    rest = self._text.readline(MAX_LINE)
                yield _refuse(number, line[:1000], f"该行超过 {MAX_LINE} 字符", f"more than {MAX_LINE} characters")
                continue
            stripped = line.strip().lstrip("\ufeff")
            if not stripped:
                self.blank_rows += 1
                continue
            if first and stripped.startswith("["):
                raise ConnectorError(
                    "文件是一个 JSON 数组，而这里要求每行一个 JSON 对象（JSON Lines）",
                    "the file is a JSON array; one object a line (JSON lines) is wanted",
                    "jq -c '.[]' 文件.json > 文件.jsonl",
                )
            first = False
            yield self._row(number, stripped)

    def _row(self, number: int, line: str) -> Row | Refusal:
        try:
            raw = self._decoder.decode(line)
        except _DoubledKeyError:
            return _refuse(number, line, "同一个键出现了两次", "a key appears twice")
        except (ValueError, RecursionError) as error:
            at = f"，第 {error.colno} 个字符" if isinstance(error, json.JSONDecodeError) else ""
            return _refuse(number, line, f"不是合法的 JSON{at}", f"not JSON: {shown(str(error).split(':')[0])}")
        if not isinstance(raw, dict):
            return _refuse(number, line, "不是 JSON 对象", "not a JSON object")
        cells: dict[str, Any] = {}
        problems: list[Problem] = []
        for key, value in raw.items():
            if key.startswith(NOTE_PREFIX):
                continue
            field = self._field(key)
            if field is None:
                hint = self._names.suggest(key)
                zh = f"目录中没有此字段{f'，是否为 {hint}' if hint else ''}"
                en = f"no such field{f'; did you mean {hint}?' if hint else ''}"
                problems.append(Problem(shown(key), "", zh, en))
            elif field.name in cells:
                problems.append(Problem(field.name, "", "同一字段出现了两次", "the field appears twice"))
            else:
                cells[field.name] = value
        if problems:
            return Refusal(number, tuple(problems), (line,))
        return Row(number, cells, (line,))

    def _field(self, key: str) -> DatasetField | None:
        if key not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = self._names.find(key)
        return self._known[key]


def _refuse(number: int, line: str, zh: str, en: str) -> Refusal:
    return Refusal(number, (Problem("", "", zh, en),), (line,))
