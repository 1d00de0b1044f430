"""How the state's Redis is talked to."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from schemas.connection import RedisConnection
from schemas.redis_script import open_client

#: Seconds to wait for an answer. Whoever asks tries again, and says so.
_TIMEOUT = 5.0


def state_client(connection: RedisConnection) -> redis.Redis:
    """A client for the state: a connection that was lost while idle is opened again, everything else is an error."""
    retry: Any = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return open_client(connection, timeout=_TIMEOUT, retry=retry)
