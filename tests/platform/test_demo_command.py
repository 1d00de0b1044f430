"""``zhida demo`` as its user runs it: a process that ends well, and leaves nothing behind when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zhida.stack.children import marked
from zhida.stack.testing import chosen_stack, free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
RECORDS = 4000


class Demo:
    """A running ``zhida demo`` in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder / "var"
        real = ["--real"] if chosen_stack() == "real" else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "zhida", "demo", *real, *options],
            cwd=folder,
            env=os.environ
            | {
                "ZHIDA_DATA_DIR": str(self.folder),
                "ZHIDA_REGISTRY_PORT": str(free_port()),
                "ZHIDA_API_PORT": str(free_port()),
                "COLUMNS": "200",
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said: list[str] = []
        self.output: list[str] = []
        streams = ((self._process.stderr, self.said), (self._process.stdout, self.output))
        self._readers = [threading.Thread(target=lines.extend, args=(stream or (),)) for stream, lines in streams]
        for reader in self._readers:
            reader.start()

    def wait(self, seconds: float) -> int:
        """The exit code, once all it said has been read."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"did not end within {seconds} s\n{self.text}") from None
        for reader in self._readers:
            reader.join()
        return code

    def wait_for(self, words: str, seconds: float) -> None:
        """Return when it has said *words*."""
        deadline = time.monotonic() + seconds
        while not any(words in line for line in list(self.said)):
            assert self._process.poll() is None, f"ended before {words!r}\n{self.text}"
            assert time.monotonic() < deadline, f"never said {words!r}\n{self.text}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        """What Ctrl-C does: children are in sessions of their own and are not asked."""
        self._process.send_signal(signal.SIGINT)

    @property
    def text(self) -> str:
        """All that it said."""
        return "".join((*self.said, *self.output))

    def left(self) -> list[int]:
        """Processes that it has left behind."""
        return [process.pid for process in marked(self.folder / "demo")]


@pytest.mark.timeout(300)
def test_the_demonstration_ends_with_everything_as_the_oracle_says(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--exit", "--json", "--records", str(RECORDS), "--seed", "7")
    assert demo.wait(280) == 0, demo.text
    result = json.loads("".join(demo.output))
    assert result["ok"] is True
    assert result["messages"] == RECORDS
    assert {check["code"] for check in result["checks"]} >= {"sum", "verdicts", "feedback", "cache"}
    assert all(check["differences"] == 0 for check in result["checks"])
    assert demo.left() == []


def _making(demo: Demo) -> None:
    time.sleep(2.5)


def _reporting(demo: Demo) -> None:
    demo.wait_for("workers", 120)
    time.sleep(2.0)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("records", "when"),
    [(100_000, _making), (2000, _reporting)],
    ids=["making the sample", "reporting"],
)
def test_an_interrupted_demonstration_leaves_no_process_behind(
    tmp_path: Path, records: int, when: Callable[[Demo], None]
) -> None:
    demo = Demo(tmp_path, "--records", str(records), "--rate", "100")
    when(demo)
    demo.interrupt()
    assert demo.wait(60) == 130, demo.text
    assert demo.left() == []


@pytest.mark.timeout(240)
def test_a_demonstration_that_keeps_serving_ends_well_on_ctrl_c(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--records", "300")
    demo.wait_for("Ctrl-C stops everything", 200)
    assert demo.left()
    demo.interrupt()
    assert demo.wait(60) == 0, demo.text
    assert demo.left() == []
