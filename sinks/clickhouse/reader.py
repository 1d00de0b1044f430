"""The read side of the ClickHouse credit store. Blocking; may be used from several threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from datetime import date
from string import Template
from typing import Any

import orjson
import polars as pl
from clickhouse_connect.driver.binding import quote_identifier

from schemas.batch import VERDICT_COLUMNS
from schemas.catalog import ENVELOPE_NAMES, Catalog, Dataset
from schemas.connection import ClickHouseConnection
from schemas.verdict import Violation
from sinks.base import SinkUnavailable
from sinks.clickhouse import quality, queries
from sinks.clickhouse.engine import ClientPool, fetch, hexed, insert, qualified, where
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.tables import records_table
from sinks.columns import STORED_META, payload
from sinks.indicators import COUNTED, REPORTED
from sinks.models import AuditRow, CityFreshness, Latency, MovedRecord, RejectRow, StoredRecord, StoredVerdict
from sinks.payload import decode

VERDICTS = ("accepted", "suspect", "rejected", "quarantined")

#: Seconds that newest_rejects looks back, step by step, before it reads the whole history.
_REJECT_WINDOWS = (60.0, 3600.0, None)
_VIOLATION = [field.name for field in fields(Violation)]
_AUDIT_SCHEMA = pl.Schema(
    {"at": pl.Datetime("ms", "UTC"), **dict.fromkeys(("who", "what", "why", "source", "outcome"), pl.String())}
)


class CreditStore:
    """The ClickHouse credit store; *now* gives seconds since the epoch and ends every time window."""

    def __init__(
        self, pool: ClientPool, connection: ClickHouseConnection, catalog: Catalog, now: Callable[[], float]
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._catalog = catalog
        self._now = now

    @classmethod
    def connect(
        cls, connection: ClickHouseConnection, catalog: Catalog, now: Callable[[], float] = time.time
    ) -> CreditStore:
        """Open the store and bring its tables up to the catalog; raises SinkUnavailable or MigrationError."""
        pool = ClientPool(connection)
        try:
            with pool.lend("migration") as client:
                migrate(client, connection.database, catalog)
        except BaseException:
            pool.close()
            raise
        return cls(pool, connection, catalog, now)

    def use(self, catalog: Catalog) -> None:
        """Answer by *catalog* from now on; raises as :meth:`connect` does, and goes on with the one before then."""
        with self._pool.lend("migration") as client:
            migrate(client, self._connection.database, catalog)
        self._catalog = catalog

    def subject_records(self, subject: str) -> list[StoredRecord]:
        """The current records of *subject* in order of dataset, unit and record id; empty when there are none."""
        return self.subject_state(subject)[0]

    def subject_state(self, subject: str) -> tuple[list[StoredRecord], list[MovedRecord]]:
        """The current records of *subject*, and the records that were once its and are withdrawn or another's now."""
        records: list[StoredRecord] = []
        moved: list[MovedRecord] = []
        parameters = {"subject": hexed(subject)}
        found = self._ask("subject look-up", queries.DATASETS_OF_SUBJECT, parameters)
        codes = sorted(code for (code,) in found.iter_rows() if code in self._catalog)
        for dataset in (self._catalog[code] for code in codes):
            frame = self._ask(
                "subject look-up",
                queries.SUBJECT_CANDIDATES,
                parameters | {"dataset": hexed(dataset.code)},
                columns=_stored_columns(dataset),
                records=records_table(dataset),
            )
            if frame.height:
                is_current = (pl.col("is_deleted") == 0) & (pl.col("subject") == subject)
                records += _stored_records(dataset, frame.filter(is_current))
                moved += _moved_records(dataset, frame.filter(~is_current))
        return records, moved

    def totals(self) -> dict[str, int]:
        """Verdict -> number of source messages, exact under replays; verdicts that never came are 0."""
        return dict.fromkeys(VERDICTS, 0) | dict(self._ask("totals", queries.TOTALS).iter_rows())

    def per_second(self, seconds: int) -> list[tuple[int, int]]:
        """(epoch second of governed_at, judged messages) of the last *seconds*, oldest first, without empty seconds."""
        rows = self._ask("rate", queries.PER_SECOND, self._since(seconds)).iter_rows()
        return [(int(second), int(count)) for second, count in rows]

    def latency(self, seconds: int) -> Latency:
        """Milliseconds from reported to governed over the last *seconds*; a clock that runs ahead counts as 0."""
        for count, quantiles in self._ask("latency", queries.LATENCY, self._since(seconds)).iter_rows():
            if count:
                return Latency(*(float(value) for value in quantiles))
        return Latency(None, None, None)

    def freshness(self) -> list[CityFreshness]:
        """Each city's newest accepted record, in order of city code; cities without one are absent.

        A time of reporting after the time of judging is a wrong clock at the unit and counts as the latter.
        """
        return [CityFreshness(*row) for row in self._ask("freshness", queries.FRESHNESS).iter_rows()]

    def newest_rejects(self, limit: int) -> list[RejectRow]:
        """The newest rejected and quarantined messages, newest first."""
        rows: list[RejectRow] = []
        for seconds in _REJECT_WINDOWS:
            since = self._since(seconds) if seconds is not None else {"since": 0}
            frame = self._ask("newest rejects", queries.NEWEST_REJECTS, since | {"limit": limit})
            rows = [_reject_row(row) for row in frame.iter_rows()]
            if len(rows) >= limit:
                break
        return rows

    def verdict_of(self, topic: str, partition: int, offset: int) -> StoredVerdict | None:
        """The verdict that stands on the message at these source coordinates, the newest; None where there is none.

        *partition* must be within 32 and *offset* within 64 bits, as ``schemas.verdict.parse_feedback_id`` gives them.
        """
        parameters = {"topic": hexed(topic), "partition": partition, "offset": offset}
        for row in self._ask("verdict look-up", queries.VERDICT_OF, parameters).iter_rows():
            return _stored_verdict((topic, partition, offset), row)
        return None

    def verdict_rows(self) -> pl.DataFrame:
        """Every judged message once, columns as ``schemas.batch.VERDICT_COLUMNS``. Reads the whole history."""
        return self._read_all("verdict history", queries.VERDICT_ROWS, VERDICT_COLUMNS)

    def current_records(self, dataset: str) -> pl.DataFrame:
        """Every record of *dataset* once, in its current version, withdrawn ones left out. Reads the whole table.

        Columns: the catalog's without ``deleted``, then subject, city, verdict, rule_set, schema_id, source_topic,
        source_partition, source_offset, reported_at and governed_at. Raises CatalogError for an unknown dataset.
        """
        item = self._catalog[dataset]
        schema = pl.Schema({**item.polars_schema, **STORED_META})
        del schema["deleted"]
        return self._read_all("current records", queries.CURRENT_RECORDS, schema, records=records_table(item))

    def quality_counts(self, first: date, last: date, dataset: str) -> pl.DataFrame:
        """What ``sinks.indicators`` divides: rows as in COUNTED, of the days in China from *first* to *last*."""
        parameters = quality.window(first, last) | {"dataset": hexed(dataset)}
        frame = self._ask("quality indicators", quality.COUNTS, parameters)
        return frame.cast(COUNTED) if frame.width else COUNTED.to_frame()

    def report_days(self, first: date, last: date, dataset: str) -> pl.DataFrame:
        """The days on which each unit reported something readable: rows as in REPORTED."""
        parameters = quality.window(first, last) | {"dataset": hexed(dataset)}
        frame = self._ask("report days", quality.REPORT_DAYS, parameters)
        return frame.cast(REPORTED) if frame.width else REPORTED.to_frame()

    def write_audit(self, rows: list[AuditRow]) -> None:
        """Append to the audit log; raises SinkUnavailable when it is not stored."""
        values = [(row.at, row.who, row.what, row.why, row.source, row.outcome) for row in rows]
        with self._pool.lend("audit") as client:
            insert(client, self._connection.database, "audit", pl.DataFrame(values, _AUDIT_SCHEMA, orient="row"))

    def check(self) -> None:
        """Raise SinkUnavailable with a reason when the store does not answer."""
        with self._pool.lend("health check") as client:
            if not client.ping():
                raise SinkUnavailable(f"ClickHouse at {where(self._connection)} does not answer")

    def close(self) -> None:
        """Release the clients."""
        self._pool.close()

    def _since(self, seconds: float) -> dict[str, Any]:
        return {"since": int((self._now() - seconds) * 1000)}

    def _read_all(self, action: str, query: Template, schema: pl.Schema, records: str = "") -> pl.DataFrame:
        frame = self._ask(action, query, columns=", ".join(map(quote_identifier, schema)), records=records)
        return frame.cast(schema) if frame.width else schema.to_frame()

    def _ask(
        self,
        action: str,
        query: Template,
        parameters: dict[str, Any] | None = None,
        *,
        columns: str = "",
        records: str = "",
    ) -> pl.DataFrame:
        database = self._connection.database
        sql = query.substitute(
            columns=columns,
            records=qualified(database, records),
            subject_index=qualified(database, "subject_index"),
            verdicts=qualified(database, "verdicts"),
            live=queries.LIVE,
        )
        with self._pool.lend(action) as client:
            return fetch(client, sql, parameters)


def _stored_columns(dataset: Dataset) -> str:
    business = [field.name for field in dataset.fields if field.name not in ENVELOPE_NAMES]
    fixed = ["unit", "record_id", "version", "verdict", "reported_at", "source_offset", "subject", "is_deleted"]
    return ", ".join(map(quote_identifier, [*fixed, *business]))


def _stored_records(dataset: Dataset, frame: pl.DataFrame) -> list[StoredRecord]:
    """Rendered by the same expression as in the cache, so that both hand out equal records."""
    known = {**dataset.polars_schema, **STORED_META}
    wanted = pl.Schema({name: known[name] for name in frame.columns if name in known})
    rows = frame.select(wanted.names()).cast(wanted).select("unit", "record_id", payload(dataset).alias("payload"))
    return [decode(dataset.code, unit, record_id, text) for unit, record_id, text in rows.iter_rows()]


def _moved_records(dataset: Dataset, frame: pl.DataFrame) -> list[MovedRecord]:
    subject = pl.when(pl.col("is_deleted") == 0).then("subject").otherwise(pl.lit(""))
    rows = frame.select("unit", "record_id", "version", "source_offset", subject).iter_rows()
    return [MovedRecord(dataset.code, *row) for row in rows]


def _stored_verdict(place: tuple[str, int, int], row: tuple[Any, ...]) -> StoredVerdict:
    dataset, unit, record_id, version, verdict, rule_set, schema_id, reported_at, governed_at, violations, again = row
    return StoredVerdict(
        *place,
        dataset=dataset,
        unit=unit,
        record_id=record_id,
        version=None if verdict == "quarantined" else version,
        verdict=verdict,
        rule_set=rule_set,
        schema_id=schema_id if schema_id >= 0 else None,
        reported_at=reported_at,
        governed_at=governed_at,
        # Of a quarantined message the sink is told no more than its reason.
        violations=[{name: one.get(name, "") for name in _VIOLATION} for one in orjson.loads(violations or "[]")],
        again=again,
    )


def _reject_row(row: tuple[Any, ...]) -> RejectRow:
    time_, dataset, unit, city, record_id, verdict, violations = row
    return RejectRow(time_, dataset, unit, city, record_id, verdict, orjson.loads(violations or "[]"))
