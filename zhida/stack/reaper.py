"""Ends the children of a process that has died without ending them itself, kill -9 included.

Run as a file by :mod:`zhida.stack.children`, with nothing but the standard library, in a session of its own. Standard
input: ``watch PID`` for every child (each leads a process group of its own), ``forget PID``, ``release`` to end
without doing anything. When standard input ends or the parent is gone, every watched group gets SIGTERM, then SIGKILL.

Why not PR_SET_PDEATHSIG: it fires when the *thread* that started the child ends, and it does not reach grandchildren.
"""

import os
import select
import signal
import sys
import time

GRACE_SECONDS = 15.0
LOOK_SECONDS = 0.5


def alive(pid: int) -> bool:
    """True while the process runs; a zombie whose parent never asks for it does not count."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs start-up time and memory here
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return True


def send(pids: "set[int]", what: int) -> None:
    """Signal the group of every pid that still runs."""
    for pid in pids:
        try:
            if alive(pid):
                os.killpg(pid, what)
        except OSError:
            pass


def end(pids: "set[int]") -> None:
    """SIGTERM, a while, SIGKILL."""
    send(pids, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.05)
    send(pids, signal.SIGKILL)


def main(parent: int) -> None:
    """Listen until the parent releases us or is gone."""
    for what in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(what, signal.SIG_IGN)
    watched: set[int] = set()
    buffer = b""
    while True:
        # The parent's other children may have inherited our standard input and keep it open: look at the parent too.
        # What a dead parent has written is still read: it may have died before this process came to its first line.
        gone = os.getppid() != parent
        if not select.select([0], [], [], 0 if gone else LOOK_SECONDS)[0]:
            if gone:
                break
            continue
        read = os.read(0, 4096)
        if not read:
            break
        *lines, buffer = (buffer + read).split(b"\n")
        for line in lines:
            word, _, pid = line.partition(b" ")
            if word == b"watch":
                watched.add(int(pid))
            elif word == b"forget":
                watched.discard(int(pid))
            elif word == b"release":
                return
    end(watched)


if __name__ == "__main__":
    main(int(sys.argv[1]))
