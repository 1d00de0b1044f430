"""The ClickHouse sink: one Arrow insert a table and write.

The order of the inserts makes a crash between them harmless: first the index (a superset is allowed), then the records,
last the verdicts, so that whoever counts a message as done finds its record. A replay inserts the same rows again and
the engine keeps one of each.
"""

from __future__ import annotations

import polars as pl

from schemas.batch import GovernedBatch
from schemas.catalog import Catalog
from schemas.connection import ClickHouseConnection
from sinks.base import SinkUnavailable
from sinks.clickhouse.engine import ClientPool, insert, where
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.tables import records_table
from sinks.columns import all_verdicts, records_by_dataset


class ClickHouseSink:
    """See the module; satisfies ``schemas.batch.Sink``."""

    name = "clickhouse"

    def __init__(self, connection: ClickHouseConnection) -> None:
        self._connection = connection
        self._pool = ClientPool(connection, size=1)

    def setup(self, catalog: Catalog) -> None:
        """Create or extend the tables; raises MigrationError with what stands in the way."""
        with self._pool.lend("migration") as client:
            migrate(client, self._connection.database, catalog)

    def write(self, batches: list[GovernedBatch]) -> None:
        """Insert the batches; returns when the rows are stored. Raises SinkUnavailable or SinkError."""
        records = records_by_dataset(batches)
        verdicts = all_verdicts(batches)
        database = self._connection.database
        with self._pool.lend("insert") as client:
            index = [_index_rows(dataset.code, frame) for dataset, frame in records]
            if index:
                insert(client, database, "subject_index", pl.concat(index))
            for dataset, frame in records:
                rows = frame.with_columns(is_deleted=pl.col("deleted").cast(pl.UInt8)).drop("deleted")
                insert(client, database, records_table(dataset), rows)
            insert(client, database, "verdicts", verdicts)

    def check(self) -> None:
        """Raise SinkUnavailable when the store does not answer."""
        with self._pool.lend("health check") as client:
            if not client.ping():
                raise SinkUnavailable(f"ClickHouse at {where(self._connection)} does not answer")

    def close(self) -> None:
        """Release the client."""
        self._pool.close()


def _index_rows(dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Distinct (subject, dataset, unit, record_id); withdrawals may name no subject and are then left out."""
    return (
        frame.lazy()
        .filter(pl.col("subject") != "")
        .select("subject", pl.lit(dataset).alias("dataset"), "unit", "record_id")
        .unique()
        .collect()
    )
