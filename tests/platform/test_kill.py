"""Twenty kills under load: whatever dies when, the final state is the oracle's."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from running import Reporting, platform_for, small_sample, until

from zhida.demo import check, drain
from zhida.settings import Settings

KILLS = 20
RATE = 400
#: Seconds from one kill to the next: some fall into a quiet stream, some into a restart, some into a rebalance.
PAUSES = (0.8, 3.6)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_after_twenty_kills_of_govern_and_sinks_under_load_everything_is_as_the_oracle_says(tmp_path: Path) -> None:
    chance = random.Random(20)
    pauses = [chance.uniform(*PAUSES) for _ in range(KILLS)]
    folder = tmp_path / "var"
    prepared = small_sample(Settings.load(data_dir=folder), int(RATE * (sum(pauses) + 5)), seed=20)
    with platform_for(folder, prepared) as platform:
        platform.restart_pauses = (0.0,)
        sinks = [name for name in platform.workers if name == "services" or name.startswith("sink-")]
        reporting = Reporting(platform.settings, prepared, RATE)
        killed = {"govern": 0, "sinks": 0}
        for number, pause in enumerate(pauses):
            end = time.monotonic() + pause
            while time.monotonic() < end:
                platform.watch()
                time.sleep(0.05)
            # Each of the three kinds at least six times, in an order that chance decides.
            kind = (
                ("govern", "sinks", "both")[number % 3] if number < 18 else chance.choice(("govern", "sinks", "both"))
            )
            victims = (["govern-1"] if kind != "sinks" else []) + ([chance.choice(sinks)] if kind != "govern" else [])
            for victim in victims:
                until(lambda name=victim: platform.alive(name), 10, f"{victim} runs again", platform.watch)
                platform.kill_worker(victim)
                killed["govern" if victim.startswith("govern") else "sinks"] += 1
            print(f"kill {number + 1}: {', '.join(victims)} after {pause:.1f} s, {reporting.confirmed} confirmed")
        placements = reporting.placements()
        began = time.monotonic()
        drain(platform.settings, platform.watch)
        print(f"killed {killed}; drained {time.monotonic() - began:.1f} s after the last report")
        report = check(platform, prepared, placements)
    assert report.ok, report.as_dict()
    assert killed["govern"] >= 6
    assert killed["sinks"] >= 6
