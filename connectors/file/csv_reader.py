"""CSV text → rows.

Takes comma, tab, semicolon, bar and the full-width comma as delimiters, finds the header below a title line, and reads
quoted fields with line breaks. A row that cannot be read (a quote that never ends, a field of megabytes) is refused
alone: reading goes on at the line after the one where it began, so that it cannot swallow its neighbours.
"""

from __future__ import annotations

import contextlib
import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from connectors.base import ConnectorError
from connectors.file.header import Header, Names, match_header
from connectors.file.rows import Problem, Refusal, Row, shown

DELIMITERS = (",", "\t", ";", "|", "，")
#: Longest line and longest row, in characters; the csv module's own limit of a field is 131,072.
MAX_LINE = 1 << 20
#: What is kept of a line that cannot be read, in characters.
_KEPT = 1000
#: The header is looked for among so many first lines.
_HEADER_LINES = 30
_TITLE_ROWS = 10


class _TooLongError(Exception):
    pass


#: A line, and whether it was too long: then only its start was kept.
_Line = tuple[str, bool]


class Lines:
    """Lines of a text, with their numbers; lines can be looked at in advance and given back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._ahead: deque[_Line] = deque()
        #: The number of the line that was returned last, from 1.
        self.number = 0
        self._taken: list[_Line] = []
        self._taken_size = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else self._read()
        if line is None:
            raise StopIteration
        self.number += 1
        self._taken.append(line)
        self._taken_size += len(line[0])
        if line[1] or self._taken_size > MAX_LINE:
            raise _TooLongError
        return line[0]

    def peek(self, count: int) -> list[str]:
        """At most *count* of the next lines, as far as the first that is too long; they stay to be read."""
        while len(self._ahead) < count and not any(too_long for _, too_long in self._ahead):
            line = self._read()
            if line is None:
                break
            self._ahead.append(line)
        return [text for text, too_long in self._ahead if not too_long]

    def skip(self, count: int) -> None:
        """Pass over *count* lines that were looked at."""
        for _ in range(count):
            self._ahead.popleft()
        self.number += count

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self._taken.clear()
        self._taken_size = 0

    def back_to_first(self) -> str:
        """Give back all lines of the current row but its first, and return that."""
        self._ahead.extendleft(reversed(self._taken[1:]))
        self.number -= len(self._taken) - 1
        return self._taken[0][0]

    def _read(self) -> _Line | None:
        line = self._text.readline(MAX_LINE + 1)
        if not line:
            return None
        if len(line) <= MAX_LINE:
            return line, False
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(MAX_LINE)
        return line[:_KEPT], True


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file is laid out: delimiter, header, and what stood above the header."""

    delimiter: str
    header: Header
    skipped_rows: int


class CsvReader:
    """Reads one CSV; iterate for its rows and refusals."""

    def __init__(self, text: TextIO, names: Names) -> None:
        """Read as far as the header; raises ConnectorError where there is none or a column is unknown."""
        self._lines = Lines(text)
        self._names = names
        self.layout = self._find_header()
        self.blank_rows = 0
        self._reader = csv.reader(self._lines, delimiter=self.layout.delimiter, strict=True)

    @property
    def header(self) -> Header:
        """The columns of the file."""
        return self.layout.header

    def _find_header(self) -> Layout:
        first = self._lines.peek(_HEADER_LINES)
        best: tuple[int, int, str, list[str], int] | None = None
        for delimiter in DELIMITERS:
            reader = csv.reader(first, delimiter=delimiter)
            above = 0
            for cells in _readable(reader):
                known = sum(1 for cell in cells if self._names.find(cell) is not None)
                if known and (best is None or known > best[0]):
                    best = (known, reader.line_num, delimiter, cells, above)
                above += any(cell.strip() for cell in cells)
                if above > _TITLE_ROWS:
                    break
        if best is None:
            start = shown(next((line for line in first if line.strip()), "").strip())
            raise ConnectorError(
                f"没有找到表头：第一行应为字段编码或中文名称，而文件以“{start}”开头",
                f"no header of field codes or Chinese labels: the file starts with {start!r}",
                "zhida catalog show <数据集> 列出全部列名 lists the columns",
            )
        _, used, delimiter, titles, above = best
        self._lines.skip(used)
        return Layout(delimiter, match_header(titles, self._names), above)

    def __iter__(self) -> Iterator[Row | Refusal]:
        lines, reader = self._lines, self._reader
        first_row = True
        while True:
            lines.begin_row()
            start = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as error:
                yield _unreadable(start, lines.back_to_first(), error)
                continue
            if not any(cell.strip() for cell in cells):
                self.blank_rows += 1
                continue
            if first_row:
                first_row = False
                if self._is_second_header(cells):
                    continue
            yield self._row(start, cells)

    def _is_second_header(self, cells: list[str]) -> bool:
        """Templates often have a row of labels and a row of codes."""
        return [self._names.find(cell) for cell in cells if cell.strip()] == [
            column for column in self.header.columns if column is not None
        ]

    def _row(self, line: int, cells: list[str]) -> Row | Refusal:
        columns = self.header.columns
        original = tuple(cells)
        if len(cells) > len(columns) and not any(cell.strip() for cell in cells[len(columns) :]):
            del cells[len(columns) :]
        if len(cells) != len(columns):
            return Refusal(
                line,
                (
                    Problem(
                        "",
                        "",
                        f"该行有 {len(cells)} 列，表头有 {len(columns)} 列；内容中的逗号或引号需要用双引号括起来",
                        f"{len(cells)} cells under a header of {len(columns)}; quote cells that hold a comma",
                    ),
                ),
                original,
            )
        values = {}
        for column, cell in zip(columns, cells, strict=True):
            if column is not None:
                values[column.name] = cell
        unnamed = [
            cell for title, cell in zip(self.header.titles, cells, strict=True) if not title.strip() and cell.strip()
        ]
        if unnamed:
            return Refusal(
                line,
                (Problem("", "", "没有列名的列中有内容", "there is text in a column without a name"),),
                original,
            )
        return Row(line, values, original)


def _readable(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """*rows* as far as the first that the csv module cannot read."""
    with contextlib.suppress(csv.Error):
        yield from rows


def _unreadable(line: int, raw: str, error: Exception) -> Refusal:
    reason = str(error)
    if isinstance(error, _TooLongError) or "field larger" in reason:
        zh = "该行有超长的内容（单个字段超过 131072 字符，或引号没有结束）"
        en = "a field of more than 131,072 characters, or a quote that never ends"
    elif "unexpected end of data" in reason:
        zh, en = "引号没有结束", "a quote that never ends"
    else:
        zh, en = "引号使用有误：内容中的引号应写成两个双引号", "a quote inside a quoted cell must be doubled"
    return Refusal(line, (Problem("", "", zh, en),), (raw.rstrip("\r\n")[:_KEPT],))
