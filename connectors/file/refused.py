"""The errors file: every refused row with its reasons, in a form that can be corrected and reported again."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from connectors.base import ConnectorError
from connectors.file.rows import Refusal

#: Columns that start with # are notes: the reporter leaves them out when the corrected file is reported.
NOTES = ("#行号 line", "#列 column", "#原因 reason")
_MAX_CELL = 32_000


class RefusedRows:
    """Writes refusals as CSV (UTF-8 with BOM, which Excel opens right); a file without rows is taken away again."""

    def __init__(self, path: Path, source: Path, titles: Sequence[str]) -> None:
        """``titles``: the column names of the source. Raises ConnectorError where *path* is the source itself."""
        if path.exists() and source.exists() and path.samefile(source):
            raise ConnectorError(
                "错误文件不能是被报送的文件本身", "the errors file is the reported file itself", "--errors 其他文件名"
            )
        self._path = path
        self._titles = tuple(titles)
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._rows = 0

    def __enter__(self) -> RefusedRows:
        # The rows hold personal data: for the owner's eyes alone.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8-sig", errors="replace", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow([*NOTES, *self._titles])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            if not self._rows:
                self._path.unlink()

    def write(self, refusal: Refusal) -> None:
        """Add one refused row."""
        columns = "; ".join(problem.column for problem in refusal.problems if problem.column)
        reasons = "; ".join(f"{problem.zh} {problem.en}" for problem in refusal.problems)
        cells = [cell[:_MAX_CELL] for cell in refusal.original]
        if self._writer is not None:
            self._rows += 1
            self._writer.writerow([refusal.line, columns, reasons, *cells])
