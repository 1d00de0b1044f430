"""Govern workers come and go under load: nothing is lost, nothing stalls, commits are those of the work done."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from running import Reporting, platform_for, small_sample, until

from schemas.catalog import Catalog
from zhida.demo import check, drain
from zhida.groups import group_topics
from zhida.lag import committed_and_end
from zhida.platform import Platform
from zhida.settings import Settings

RATE = 500
SESSION_TIMEOUT = 4.0
#: Longer than a death takes to be noticed, and those who are left to share the partitions.
PHASE = 8.0
#: Beside the session timeout and the second that is asked for: the half session timeout that the embedded broker takes
#: for every join, and the start of a Python process on a busy machine with two cores.
TOLERANCE = 6.0


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_workers_that_die_join_and_leave_lose_nothing_and_stall_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    prepared = small_sample(Settings.load(data_dir=folder), int(RATE * PHASE * 4), seed=6)
    with platform_for(folder, prepared, workers=2, govern_session_timeout_s=SESSION_TIMEOUT) as platform:
        reporting = Reporting(platform.settings, prepared, RATE)
        _watch(platform, PHASE)
        _say("govern-1 dies")
        # Dies: SIGKILL, and nobody starts it again.
        platform.restart_pauses = (3600.0,)
        platform.kill_worker("govern-1")
        _watch(platform, PHASE)
        _say("govern-3 joins")
        platform.start_worker("govern-3", ["govern"])
        _watch(platform, PHASE)
        _say("govern-2 leaves")
        platform.stop_worker("govern-2")
        _say("govern-2 has left")
        _commits_are_those_of_the_work_done(platform)
        placements = reporting.placements()
        drain(platform.settings, platform.watch)
        places = committed_and_end(
            platform.settings.kafka(), "zhida-govern", group_topics(Catalog.load())["zhida-govern"]
        )
        assert all(committed == end for committed, end in places.values()), places
        timeout = platform.settings.govern_session_timeout_s
        verdicts = _verdicts(platform, prepared, placements)
    silence, when = _longest_silence(verdicts)
    print(f"longest silence of a partition: {silence:.1f} s, from {when}, with a session timeout of {timeout:.0f} s")
    assert silence <= timeout + 1 + TOLERANCE


def _say(event: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {event}")


def _watch(platform: Platform, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        platform.watch()
        time.sleep(0.1)


def _commits_are_those_of_the_work_done(platform: Platform) -> None:
    """Right after a clean leave the group goes on from what was committed, and catches up."""
    topics = group_topics(Catalog.load())["zhida-govern"]
    kafka = platform.settings.kafka()
    before = {place: committed for place, (committed, _) in committed_and_end(kafka, "zhida-govern", topics).items()}

    def caught_up() -> bool:
        now = committed_and_end(kafka, "zhida-govern", topics)
        return all(committed >= before[place] for place, (committed, _) in now.items()) and any(
            committed > before[place] for place, (committed, _) in now.items()
        )

    until(caught_up, 20, "commits go on after a worker has left", platform.watch)


def _verdicts(platform: Platform, prepared, placements: pl.DataFrame) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    seen: list[pl.DataFrame] = []
    report = check(platform, prepared, placements, keep=seen.append)
    assert report.ok, report.as_dict()
    return seen[0]


def _longest_silence(verdicts: pl.DataFrame) -> tuple[float, str]:
    """The longest time, in seconds, in which no message of a partition was judged, and when it began."""
    longest, when = 0.0, ""
    for _, rows in verdicts.group_by("source_topic", "source_partition"):
        moments = rows["governed_at"].unique().sort().to_list()
        for earlier, later in pairwise(moments):
            if (later - earlier).total_seconds() > longest:
                longest, when = (later - earlier).total_seconds(), f"{earlier:%H:%M:%S}"
    return longest, when
