from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboards.audit import AuditLog, AuditUnavailableError
from sinks.base import SinkUnavailable
from sinks.read import AuditRow


def row(number: int) -> AuditRow:
    at = datetime(2026, 11, 1, 8, 0, number % 60, tzinfo=UTC)
    return AuditRow(at, "api-token", f"subject.read {number}", "贷前审查", "192.0.2.7", "ok:cache")


class Destination:
    """Where a journal writes to, up or down as the test wants."""

    def __init__(self) -> None:
        self.rows: list[AuditRow] = []
        self.up = True

    def write(self, rows: list[AuditRow]) -> None:
        if not self.up:
            raise SinkUnavailable("down")
        self.rows += rows


def close(log: AuditLog) -> None:
    asyncio.run(log.close())


def test_rows_arrive_whole_and_in_order_and_nothing_stays_behind(tmp_path: Path) -> None:
    destination = Destination()
    log = AuditLog(tmp_path, destination.write)
    rows = [row(number) for number in range(12_000)]
    for entry in rows:
        log.record(entry)
    assert log.flush() == 12_000
    assert destination.rows == rows
    assert log.backlog_bytes == 0
    assert list(tmp_path.glob("*.jsonl")) == []
    close(log)


def test_rows_wait_on_disk_while_the_store_is_down(tmp_path: Path) -> None:
    destination = Destination()
    log = AuditLog(tmp_path, destination.write)
    destination.up = False
    log.record(row(1))
    with pytest.raises(SinkUnavailable):
        log.flush()
    log.record(row(2))
    destination.up = True
    log.flush()
    assert destination.rows == [row(1), row(2)]
    close(log)


def test_rows_of_a_process_that_was_killed_are_written_by_the_next_one(tmp_path: Path) -> None:
    destination = Destination()
    destination.up = False
    killed = AuditLog(tmp_path / "a", destination.write)
    killed.record(row(1))
    killed.record(row(2))
    # What a kill leaves behind: the files, the last line perhaps cut short by a full disk.
    (tmp_path / "b").mkdir()
    for file in (tmp_path / "a").glob("*.jsonl"):
        (tmp_path / "b" / file.name).write_bytes(file.read_bytes() + b'{"at": "2026')
    destination.up = True
    log = AuditLog(tmp_path / "b", destination.write)
    log.record(row(3))
    log.flush()
    assert destination.rows == [row(1), row(2), row(3)]
    close(log)
    close(killed)


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    destination = Destination()
    log = AuditLog(tmp_path, destination.write)
    log.record(row(1))
    close(log)
    assert destination.rows == [row(1)]


def test_a_journal_that_has_grown_past_its_limit_refuses(tmp_path: Path) -> None:
    destination = Destination()
    destination.up = False
    log = AuditLog(tmp_path, destination.write, max_backlog_bytes=400)
    log.record(row(1))
    log.record(row(2))
    with pytest.raises(AuditUnavailableError, match="full"):
        log.record(row(3))
    destination.up = True
    log.flush()
    log.record(row(4))
    close(log)
    assert destination.rows == [row(1), row(2), row(4)]


def test_two_processes_cannot_share_a_journal(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, Destination().write)
    with pytest.raises(AuditUnavailableError, match="another process"):
        AuditLog(tmp_path, Destination().write)
    close(log)
    close(AuditLog(tmp_path, Destination().write))


def test_the_flusher_tries_again_after_a_failure(tmp_path: Path) -> None:
    destination = Destination()
    destination.up = False

    async def run() -> None:
        log = AuditLog(tmp_path, destination.write, flush_seconds=0.01)
        task = asyncio.create_task(log.run())
        log.record(row(1))
        await asyncio.sleep(0.05)
        destination.up = True
        while not destination.rows:
            await asyncio.sleep(0.01)
        await log.close()
        await task

    asyncio.run(run())
    assert destination.rows == [row(1)]


def test_the_journal_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "journal", Destination().write)
    log.record(row(1))
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "journal").iterdir()}
    assert modes == {0}
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    close(log)
