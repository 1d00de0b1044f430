"""The Redis client, its errors in our words, and the two Lua programs of the hot cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from schemas.connection import RedisConnection
from sinks.base import SinkError, SinkUnavailable

SUBJECT_KEY = "zhida:subject:{%s}"
NONE_KEY = "zhida:none:%s"

APPLY = (Path(__file__).parent / "apply.lua").read_text(encoding="utf-8")
COMPLETE = (Path(__file__).parent / "complete.lua").read_text(encoding="utf-8")


def open_client(connection: RedisConnection) -> redis.Redis:
    """A client that answers in bytes; it does not talk to the server yet and may be used from several threads."""
    return redis.Redis.from_url(
        connection.url,
        socket_connect_timeout=5,
        socket_timeout=30,
        health_check_interval=30,
        **connection.options(),
    )


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn the client's errors into ours: SinkUnavailable where trying again may help, SinkError elsewhere."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise SinkUnavailable(f"Redis: {action}: {error}") from error
    except redis.RedisError as error:
        raise SinkError(f"Redis: {action}: {error}") from error


def key(template: str, text: str) -> bytes:
    """A key of *text*, whatever is in it."""
    return (template % text).encode("utf-8", "surrogatepass")


class Script:
    """A Lua program that is sent once and then called by its digest; a restarted server is sent it again."""

    def __init__(self, client: redis.Redis, source: str) -> None:
        self._client = client
        self._source = source
        self._digest = ""

    def call(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        """Run the program once for each tuple of arguments, in one round trip, and return the answers.

        Programs here may be run again with the same arguments, so a call that failed half-way is simply repeated.
        """
        if not self._digest:
            self._digest = self._load()
        try:
            return self._send(calls)
        except redis.exceptions.NoScriptError:
            self._digest = self._load()
            return self._send(calls)

    def _load(self) -> str:
        digest: Any = self._client.script_load(self._source)
        return digest.decode() if isinstance(digest, bytes) else str(digest)

    def _send(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for arguments in calls:
            pipeline.evalsha(self._digest, 0, *arguments)
        return list(pipeline.execute())
