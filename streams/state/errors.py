"""What can go wrong with the state, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis


class StateError(Exception):
    """The state cannot be asked or told; the message says why and what to do."""


class StateUnavailable(StateError):  # noqa: N818 (what it is, not what went wrong)
    """Redis does not answer, or not yet: trying again later may help.

    Remedy: see that the server runs and that address, user and password in the settings are right.
    """


class StateLost(StateError):  # noqa: N818 (what it is, not what went wrong)
    """Redis has lost what it was told: answers would say that nobody is registered.

    Remedy: none is needed, the worker ends, and the next one builds the state again from the accepted topics.
    """


#: What ``apply.lua`` says first when the state is another one than the caller began with.
LOST = "STATELOST"
#: What a server says that cannot work now, and what helps. It stands at the start of its answer, or behind the name
#: of a program.
_NOT_NOW = {
    "LOADING": "it is reading its data, wait",
    "BUSY": "a program is running on it, wait",
    "READONLY": "it is a replica: point the settings at the primary, or wait for the failover",
    "MASTERDOWN": "it has lost its primary, wait for the failover",
    "NOREPLICAS": "too few replicas are connected: start them",
    "MISCONF": "it cannot write its snapshots: see its log, make room on its disk",
    "TRYAGAIN": "it is being moved, wait",
    "CLUSTERDOWN": "its cluster is down, wait",
}
_NEVER = {
    "OOM": "its memory is full: raise maxmemory, or make room; the state is kept under maxmemory-policy noeviction",
    "NOAUTH": "user and password in the settings are missing",
    "WRONGPASS": "user or password in the settings is wrong",
    "NOPERM": "the user in the settings may not do this: grant it +@all ~z:*",
}


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn the client's errors into ours: StateUnavailable where trying again may help, StateError elsewhere."""
    try:
        yield
    except redis.AuthenticationError as error:
        remedy = "see user and password in the settings"
        raise StateError(f"Redis: {action}: {error}: {remedy}") from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        remedy = "see that the server runs and that its address in the settings is right"
        raise StateUnavailable(f"Redis: {action}: {error}: {remedy}") from error
    except redis.RedisError as error:
        raise _answered(action, error) from error


def _answered(action: str, error: redis.RedisError) -> StateError:
    """The client takes the first word of some answers away, and knows them by class."""
    by_class: dict[type[Exception], str] = {
        redis.exceptions.OutOfMemoryError: "OOM",
        redis.exceptions.ReadOnlyError: "READONLY",
        redis.exceptions.NoPermissionError: "NOPERM",
        redis.exceptions.MasterDownError: "MASTERDOWN",
        redis.exceptions.TryAgainError: "TRYAGAIN",
        redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    }
    text = str(error)
    if LOST in text:
        return StateLost(
            f"Redis: {action}: it has lost what it was told (restarted without its data, or emptied): "
            "the worker ends, and the state is built again from what was accepted"
        )
    words = {by_class.get(type(error), ""), *text.replace("-", " ").replace(":", " ").split()}
    for word, remedy in _NEVER.items():
        if word in words:
            return StateError(f"Redis: {action}: {text}: {remedy}")
    for word, remedy in _NOT_NOW.items():
        if word in words:
            return StateUnavailable(f"Redis: {action}: {text}: {remedy}")
    return StateError(f"Redis: {action}: {text}")
