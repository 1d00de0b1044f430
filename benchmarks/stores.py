"""The stores at the end of the whole way: emptied before a run, asked for the last record while it goes on."""

from __future__ import annotations

from typing import Any

import clickhouse_connect
import redis

from benchmarks.corpus import Corpus
from benchmarks.measure import BenchError, Broker, Place
from benchmarks.processes import Workers
from schemas.catalog import Catalog
from sinks.redis.client import SUBJECT_KEY, key
from zhida.settings import Settings

SINKS = ("clickhouse", "redis")
_RECORD_KEYS = "zhida:record:*"


class Stores:
    """ClickHouse (a database of this run's own) and Redis (flushed)."""

    def __init__(self, settings: Settings, broker: Broker, corpus: Corpus, number: int) -> None:
        self._broker = broker
        self._corpus = corpus
        values = {"clickhouse_database": f"bench_{number}"}
        if settings.clickhouse().embedded:
            values["data_dir"] = str(settings.data_dir / f"whole-{number}")
        # Secrets made once in the folder of the stack are handed over, whatever the folder.
        values |= {"pii_key_text": settings.pii_key().hex()}
        self.settings = settings.updated(values)
        self._redis = redis.Redis.from_url(settings.redis().url)
        self._clickhouse: Any = None
        self._places: list[Place] = []

    def prepare(self, starts: dict[Place, int]) -> None:
        """Empty stores; sinks begin where the outputs of earlier runs end (*starts*)."""
        self._redis.flushdb()
        self._places = list(starts)
        if not self.settings.clickhouse().embedded:
            self._server("").command(f"DROP DATABASE IF EXISTS {self.settings.clickhouse_database}")
        groups = [f"zhida-sink-{name}" for name in SINKS]
        self._broker.delete_groups(groups)
        for group in groups:
            self._broker.commit(group, starts)

    def start_sinks(self, workers: Workers) -> None:
        """Each sink a process, or one for both where the embedded ClickHouse allows only one."""
        roles = [f"sink-{name}" for name in SINKS]
        if self.settings.clickhouse().embedded:
            workers.start("sinks", ["zhida", "worker", "run", *roles], self.settings)
            return
        for role in roles:
            workers.start(role, ["zhida", "worker", "run", role], self.settings)

    def complete(self) -> bool:
        """True when the last record can be queried in both."""
        return self._cached() and self._stored() >= self._corpus.expected.received

    def check(self) -> None:
        """Raise BenchError unless both hold exactly what they must."""
        want = self._corpus.expected
        cached = sum(1 for _ in self._redis.scan_iter(_RECORD_KEYS, count=10_000))
        if cached != want.identities:
            raise BenchError(f"Redis has {cached} records, not {want.identities}")
        if self._clickhouse is not None:
            found = self._clickhouse.query(
                f"SELECT verdict, count() FROM {self.settings.clickhouse_database}.verdicts FINAL GROUP BY verdict"
            ).result_rows
            wanted = {name: getattr(want, name) for name in ("accepted", "suspect", "rejected", "quarantined")}
            if dict(found) != {name: count for name, count in wanted.items() if count}:
                raise BenchError(f"ClickHouse has {dict(found)}, not {wanted}")

    def _cached(self) -> bool:
        pipeline = self._redis.pipeline(transaction=False)
        for probe in self._corpus.probes:
            pipeline.hexists(key(SUBJECT_KEY, probe.subject), probe.identity.encode())  # type: ignore[arg-type]
        return all(pipeline.execute())

    def _stored(self) -> int:
        """Rows of the verdict history; each message once, for nothing is replayed here and :meth:`check` counts."""
        if self.settings.clickhouse().embedded:
            return self._behind()
        if self._clickhouse is None:
            self._clickhouse = self._server("")
        query = f"SELECT count() FROM {self.settings.clickhouse_database}.verdicts"
        return int(self._clickhouse.command(query))

    def _behind(self) -> int:
        """The embedded engine belongs to one process: what its sink has committed is in it (a second late at most)."""
        done = self._broker.committed("zhida-sink-clickhouse", self._places)
        return self._corpus.expected.received if done == self._broker.ends(self._places) else 0

    def _server(self, database: str) -> Any:
        connection = self.settings.clickhouse()
        return clickhouse_connect.get_client(
            host=connection.host,
            port=connection.port,
            username=connection.username,
            password=connection.password,
            database=database or None,
        )


def accepted_topics() -> list[str]:
    """What both sinks read."""
    return [dataset.accepted_topic for dataset in Catalog.load()]
