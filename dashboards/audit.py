"""The audit trail's way to the store: every read is on disk before it is answered, and in ClickHouse a second later.

A row is appended to a file in the journal's folder (one ``write`` call, some microseconds, no network). A flusher turns
that file away once a second and writes its rows to the store; only then is the file deleted. A store that is down costs
nothing but disk, a killed process leaves its rows for the next start, and when the journal itself cannot be written, or
has grown past its limit, the read is refused. A crash between store and delete can write rows twice, never lose one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import orjson
import structlog

from sinks.read import AuditRow

_log = structlog.get_logger(__name__)
_ROWS_A_WRITE = 5_000


class AuditUnavailableError(Exception):
    """The read cannot be noted, so it must not be answered."""


class AuditLog:
    """Journal of one process in *folder*; *write* is the store's blocking ``write_audit``."""

    def __init__(
        self,
        folder: Path,
        write: Callable[[list[AuditRow]], None],
        *,
        flush_seconds: float = 1.0,
        max_backlog_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        """Take the folder over, rows of an earlier process included; raises AuditUnavailableError when it is in use."""
        self._folder = folder
        self._write = write
        self._flush_seconds = flush_seconds
        self._max_backlog = max_backlog_bytes
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._stop = asyncio.Event()
        self._failures = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._claim = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._claim)
            raise AuditUnavailableError(f"{folder}: another process keeps its audit journal here") from error
        self._closed = sorted(folder.glob("audit-*.jsonl"))
        self._backlog = sum(path.stat().st_size for path in self._closed)
        self._number = 1 + max((int(path.stem.removeprefix("audit-")) for path in self._closed), default=0)
        self._current: int | None = None
        self._current_bytes = 0

    @property
    def backlog_bytes(self) -> int:
        """How much is noted but not yet in the store."""
        return self._backlog

    def record(self, row: AuditRow) -> None:
        """Note *row* on disk; raises AuditUnavailableError when that is not possible."""
        line = orjson.dumps(asdict(row)) + b"\n"
        with self._lock:
            if self._backlog + len(line) > self._max_backlog:
                raise AuditUnavailableError("the audit journal is full because the store does not take its rows")
            try:
                if self._current is None:
                    self._current = os.open(self._path(self._number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                written = os.write(self._current, line)
                if written != len(line):
                    os.ftruncate(self._current, self._current_bytes)
                    raise OSError("short write")
            except OSError as error:
                raise AuditUnavailableError(f"the audit journal cannot be written: {error}") from error
            self._current_bytes += written
            self._backlog += written

    def flush(self) -> int:
        """Write everything noted so far to the store; returns the rows written, raises what the store raises."""
        with self._flush_lock:
            self._turn_away()
            rows = 0
            while self._closed:
                path = self._closed[0]
                entries = _read(path)
                for start in range(0, len(entries), _ROWS_A_WRITE):
                    self._write(entries[start : start + _ROWS_A_WRITE])
                size = path.stat().st_size
                path.unlink()
                with self._lock:
                    self._closed.pop(0)
                    self._backlog -= size
                rows += len(entries)
            return rows

    async def run(self) -> None:
        """Flush about once a second until :meth:`close`; a store that fails is logged and tried again."""
        while not self._stop.is_set():
            await self._try_flush()
            # Slow down while the store is away: at most one attempt in 30 s.
            pause = min(self._flush_seconds * 2 ** min(self._failures, 5), 30.0)
            try:
                await asyncio.wait_for(self._stop.wait(), timeout=pause)
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Flush a last time and let the folder go; what the store did not take stays for the next start."""
        self._stop.set()
        await self._try_flush()
        with self._lock:
            if self._current is not None:
                os.close(self._current)
                self._current = None
        os.close(self._claim)

    async def _try_flush(self) -> None:
        try:
            await asyncio.to_thread(self.flush)
            self._failures = 0
        except Exception as error:
            self._failures += 1
            _log.error(
                "audit rows are kept on disk because the store did not take them",
                folder=str(self._folder),
                backlog_bytes=self._backlog,
                error=type(error).__name__,
                attempts=self._failures,
            )

    def _turn_away(self) -> None:
        with self._lock:
            if self._current is None or self._current_bytes == 0:
                return
            os.close(self._current)
            self._closed.append(self._path(self._number))
            self._current, self._current_bytes = None, 0
            self._number += 1

    def _path(self, number: int) -> Path:
        return self._folder / f"audit-{number:012d}.jsonl"


def _read(path: Path) -> list[AuditRow]:
    """The rows of one journal file; a line that a full disk cut short was never answered and is passed over."""
    rows: list[AuditRow] = []
    for line in path.read_bytes().splitlines():
        try:
            raw = orjson.loads(line)
            rows.append(AuditRow(**{**raw, "at": datetime.fromisoformat(raw["at"])}))
        except (ValueError, KeyError, TypeError):
            _log.error("a line of the audit journal cannot be read", file=path.name)
    return rows
