"""CSV text → rows.

Takes comma, tab, semicolon, bar and the full-width comma as delimiters, finds the header below a title line, and reads
quoted fields with line breaks. A row that cannot be read (a quote that never ends, a field of megabytes) is refused
alone: reading goes on at the line after the one where it began, so that it cannot swallow its neighbours.
"""

from __future__ import annotations

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
#: The header is looked for among so many first lines.
_HEADER_LINES = 30
_TITLE_ROWS = 10


class _TooLongError(Exception):
    pass


class Lines:
    """Lines of a text, with their numbers; lines can be given back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._given_back: deque[str] = deque()
        #: The number of the line that was returned last, from 1.
        self.number = 0
        #: The lines of the current row.
        self.taken: list[str] = []
        self._taken_size = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else self._text.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE:
            self._skip_rest_of_line(line)
            self.taken.append(line[:1000])
            raise _TooLongError
        self.taken.append(line)
        self._taken_size += len(line)
        if self._taken_size > MAX_LINE:
            raise _TooLongError
        return line

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self.taken.clear()
        self._taken_size = 0

    def back_to_first(self) -> None:
        """Give back all lines of the current row but its first."""
        self._given_back.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        del self.taken[1:]

    def give_back(self, lines: list[str]) -> None:
        """Give back *lines*, the last ones taken."""
        self._given_back.extendleft(reversed(lines))
        self.number -= len(lines)

    def _skip_rest_of_line(self, line: str) -> None:
        while line and not line.endswith(("\n", "\r")):
            line = self._text.readline(MAX_LINE)


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
        first: list[str] = []
        try:
            for line in self._lines:
                first.append(line)
                if len(first) == _HEADER_LINES:
                    break
        except _TooLongError:
            # The line is gone, as it would be among the rows; what is above it must hold the header.
            pass
        self._lines.begin_row()
        best: tuple[int, int, str, list[str], int] | None = None
        for delimiter in DELIMITERS:
            reader = csv.reader(first, delimiter=delimiter)
            above = 0
            for cells in reader:
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
                "zhida dataset show <数据集> 列出全部列名 lists the columns",
            )
        _, used, delimiter, titles, above = best
        self._lines.give_back(first[used:])
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
                lines.back_to_first()
                yield self._unreadable(start, error)
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

    def _unreadable(self, line: int, error: Exception) -> Refusal:
        reason = str(error)
        if isinstance(error, _TooLongError) or "field larger" in reason:
            zh = "该行有超长的内容（单个字段超过 131072 字符，或引号没有结束）"
            en = "a field of more than 131,072 characters, or a quote that never ends"
        elif "unexpected end of data" in reason:
            zh, en = "引号没有结束", "a quote that never ends"
        else:
            zh, en = "引号使用有误：内容中的引号应写成两个双引号", "a quote inside a quoted cell must be doubled"
        raw = self._lines.taken[0].rstrip("\r\n") if self._lines.taken else ""
        return Refusal(line, (Problem("", "", zh, en),), (raw[:1000],))
