"""Keys of the hot cache, its two Lua programs, and the errors of Redis in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from sinks.base import SinkError, SinkUnavailable

SUBJECT_KEY = "zhida:subject:{%s}"
NONE_KEY = "zhida:none:%s"

APPLY = (Path(__file__).parent / "apply.lua").read_text(encoding="utf-8")
COMPLETE = (Path(__file__).parent / "complete.lua").read_text(encoding="utf-8")


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
