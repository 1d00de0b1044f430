"""The Redis hot cache: the current records of every subject, for answers in well under a millisecond.

It is sent accepted and suspect records and applies them in Lua calls of some hundred records, each atomic and guarded
by version. It needs one Redis that does not evict keys; Redis Cluster is not supported (a record's move from one
subject to another must be one step, and the two live in different slots).
"""

from __future__ import annotations

from schemas.batch import Sink
from sinks.base import SinkConfig, SinkError, SinkKind


def create(config: SinkConfig) -> Sink:
    """The sink for ``config.redis``."""
    from sinks.redis.sink import RedisSink

    if config.redis is None:
        raise SinkError("the Redis sink needs a Redis connection and the settings name none")
    return RedisSink(config.redis)


SINK = SinkKind(create)
