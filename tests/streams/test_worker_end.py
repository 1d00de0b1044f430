"""A worker process whose roles do not end is ended all the same: one that only hangs is started again by nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HANGS = """
import asyncio
import sys
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
    context = SimpleNamespace(stopping=asyncio.Event())
    asyncio.get_running_loop().call_later(0.5, context.stopping.set)
    return await worker._run_roles(context, sys.argv[1:])

raise SystemExit(asyncio.run(scene()) + 10)
"""


@pytest.mark.parametrize("roles", [["fails", "hangs"], ["hangs"]], ids=["after a failure", "when asked to stop"])
def test_a_worker_with_a_role_that_hangs_at_its_end_says_where_and_exits(roles: list[str]) -> None:
    command = [sys.executable, "-c", _HANGS, *roles]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    said = done.stdout + done.stderr
    assert ("ValueError" in said) == ("fails" in roles)
    assert "roles do not end and are given up" in said
    assert "most recent call first" in done.stderr
