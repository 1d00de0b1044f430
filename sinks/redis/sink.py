"""The Redis sink: records in, some hundred to a Lua call, built in columns so that Python touches no single record."""

from __future__ import annotations

import polars as pl
import redis

from schemas.batch import GovernedBatch
from schemas.catalog import Catalog, Dataset
from schemas.connection import RedisConnection
from schemas.ordering import order_key
from schemas.redis_script import Script, open_client
from sinks.base import SinkError
from sinks.columns import identity, payload, records_by_dataset
from sinks.redis.client import APPLY, explained

#: A call holds the server for about 2 ms at this size: readers wait no longer than that.
RECORDS_A_CALL = 500
#: Calls sent before their answers are awaited; bounds what the client holds in memory.
CALLS_A_ROUND = 20


class RedisSink:
    """See the package; satisfies ``schemas.batch.Sink``."""

    name = "redis"

    def __init__(self, connection: RedisConnection) -> None:
        self._client = open_client(connection)
        self._apply = Script(self._client, APPLY)

    def setup(self, catalog: Catalog) -> None:
        """Refuse a server that may evict the guards that keep older versions out."""
        with explained("set-up"):
            try:
                memory = self._client.info("memory")
            except redis.exceptions.NoPermissionError:
                return  # a managed Redis may hide it; its operator has read the documentation
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if int(memory.get("maxmemory", 0)) and policy.startswith("allkeys"):
            raise SinkError(
                f"Redis may evict any key (maxmemory-policy {policy}): a record's guard could vanish and an older "
                "version come back; set maxmemory-policy noeviction or volatile-ttl"
            )

    def write(self, batches: list[GovernedBatch]) -> None:
        """Apply the records; returns when the server has. Raises SinkUnavailable or SinkError."""
        calls = [
            (records,)
            for dataset, frame in records_by_dataset(batches)
            for records in packed(dataset, frame, RECORDS_A_CALL)
        ]
        with explained("write"):
            for start in range(0, len(calls), CALLS_A_ROUND):
                self._apply.call(calls[start : start + CALLS_A_ROUND])

    def check(self) -> None:
        """Raise SinkUnavailable when the server does not answer."""
        with explained("health check"):
            self._client.ping()

    def close(self) -> None:
        """Release the connections."""
        self._client.close()


def packed(dataset: Dataset, frame: pl.DataFrame, size: int) -> list[str]:
    """The records of *frame* as arguments of ``apply.lua``, *size* to one argument, in order."""
    parts = frame.select(
        order=order_key(),
        identity=identity(dataset.code),
        subject=pl.when("deleted").then(pl.lit("")).otherwise("subject"),
        payload=pl.when("deleted").then(pl.lit("")).otherwise(payload(dataset)),
    ).select(
        pl.concat_str(
            _length("identity"), _length("subject"), _length("payload"), "order", "identity", "subject", "payload"
        ).alias("packed")
    )
    column = parts.to_series()
    return [column.slice(start, size).str.join("").item() for start in range(0, len(column), size)]


def _length(column: str) -> pl.Expr:
    return pl.col(column).str.len_bytes().cast(pl.String).str.zfill(9)
