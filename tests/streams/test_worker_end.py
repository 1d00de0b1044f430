"""A worker process whose roles do not end is ended all the same: one that only hangs is started again by nobody."""

from __future__ import annotations

import subprocess
import sys

_HANGS = """
import asyncio
from types import SimpleNamespace
from zhida import worker

async def fails(context):
    raise ValueError("on purpose")

async def hangs(context):
    await context.stopping.wait()
    await asyncio.Event().wait()

worker.ENDING_SECONDS = 0.5
worker.find_role = {"fails": fails, "hangs": hangs}.__getitem__

async def scene():
    return await worker._run_roles(SimpleNamespace(stopping=asyncio.Event()), ["fails", "hangs"])

raise SystemExit(asyncio.run(scene()) + 10)
"""


def test_a_worker_with_a_role_that_hangs_at_its_end_says_where_and_exits() -> None:
    done = subprocess.run([sys.executable, "-c", _HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "ValueError" in done.stdout + done.stderr
    assert "roles do not end and are given up" in done.stdout + done.stderr
    assert "most recent call first" in done.stderr
