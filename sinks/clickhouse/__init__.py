"""The ClickHouse credit store: typed current records of every dataset, and the history of every verdict.

It is sent every judged message, in Arrow columns, one insert a table and write. It runs on a server over HTTP and on
the engine embedded in the process (chDB). It makes no replicated tables.
"""

from __future__ import annotations

from schemas.batch import Sink
from sinks.base import SinkConfig, SinkError, SinkKind


def create(config: SinkConfig) -> Sink:
    """The sink for ``config.clickhouse``; imports the client only now, for it is heavy."""
    from sinks.clickhouse.sink import ClickHouseSink

    if config.clickhouse is None:
        raise SinkError("the ClickHouse sink needs a ClickHouse connection and the settings name none")
    return ClickHouseSink(config.clickhouse)


SINK = SinkKind(create, wants_all_verdicts=True, hold=0.25, gather=0.25)
