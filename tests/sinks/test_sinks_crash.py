from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import crash_writer
import pytest

SCRIPT = Path(__file__).with_name("crash_writer.py")


@pytest.mark.parametrize("after", [1, 17])
def test_a_store_killed_between_two_inserts_ends_right_when_the_writes_are_repeated(tmp_path: Path, after: int) -> None:
    folder = str(tmp_path / "store")
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    command = [sys.executable, str(SCRIPT), folder]
    with subprocess.Popen([*command, "write"], stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        for _ in range(after):
            assert writer.stdout.readline()
        writer.kill()
    done = subprocess.run(
        [*command, "replay"], capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    state = json.loads(done.stdout.splitlines()[-1])
    writes, records = crash_writer.WRITES, crash_writer.RECORDS
    assert state["totals"] == {"accepted": writes * records, "suspect": 0, "rejected": writes, "quarantined": 0}
    assert state["versions"] == [writes - 1] * records
