"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes ports of outgoing connections: one of those cannot snatch ours
# between the choice and the start of the server.
_FIRST, _LAST = 20_000, 32_000


class Ports:
    """Hands out ports, none of them twice."""

    def __init__(self, randomness: random.Random | None = None) -> None:
        self._random = randomness or random.SystemRandom()
        self._given: set[int] = set()

    def take(self, usual: int | None = None) -> int:
        """*usual* if nobody listens there, else a free one; raises OSError when none is found."""
        candidates = [] if usual is None else [usual]
        candidates += [self._random.randint(_FIRST, _LAST) for _ in range(200)]
        for port in candidates:
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise OSError(f"no free port between {_FIRST} and {_LAST}")


def is_free(port: int) -> bool:
    """True when a server could listen on this port of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection of an earlier run in TIME_WAIT does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    """True when something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
