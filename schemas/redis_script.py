"""A Redis client and Lua programs on it, the same for everybody who keeps something in Redis."""

from __future__ import annotations

from typing import Any

import redis

from schemas.connection import RedisConnection


def open_client(connection: RedisConnection, *, timeout: float = 30.0, **options: Any) -> redis.Redis:
    """A client that answers in bytes; it does not talk to the server yet and may be used from several threads.

    *timeout*: seconds to wait for an answer; *options* are the client's own.
    """
    return redis.Redis.from_url(
        connection.url,
        socket_connect_timeout=min(5.0, timeout),
        socket_timeout=timeout,
        health_check_interval=30,
        **connection.options(),
        **options,
    )


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
        if len(calls) == 1:  # a pipeline costs more than the call
            return [self._client.evalsha(self._digest, 0, *calls[0])]
        pipeline = self._client.pipeline(transaction=False)
        for arguments in calls:
            pipeline.evalsha(self._digest, 0, *arguments)
        return list(pipeline.execute())
