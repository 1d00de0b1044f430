"""The demonstration: a sample province reported to the running platform, and everything compared with the oracle."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx
import orjson
import polars as pl

from dashboards.broker import KafkaBroker
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.topics import GOVERN_GROUP
from schemas.units import Regions, Units
from sinks.read import CreditStore, HotCache
from streams.state.due import DueList
from zhida.errors import UserError
from zhida.groups import group_topics
from zhida.lag import group_lag
from zhida.own_api import api_client
from zhida.platform import Platform
from zhida.preparation import register_schemas
from zhida.sample.collect import read_all_feedback
from zhida.sample.generate import FaultShares, generate
from zhida.sample.message import SampleMessage
from zhida.sample.oracle import Answers, Oracle
from zhida.sample.report import SampleReporter
from zhida.sample.verify import Outcome, VerificationReport, verify
from zhida.settings import Settings
from zhida.stack import find_stack

#: Seconds without any progress after which a drain is given up.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sample in memory and its right answers."""

    messages: list[SampleMessage]
    answers: Answers

    @property
    def units(self) -> set[str]:
        """The units that will be told something."""
        return {message.unit for message in self.messages if message.unit}


def prepare(settings: Settings, records: int, seed: int, today: date, progress: Callable[[int], None]) -> Prepared:
    """Make the sample; *progress* is told how many messages there are so far."""
    catalog = Catalog.load()
    oracle = Oracle(catalog, settings.pii_key())
    oversize = max(1_200_000, settings.max_record_bytes + 100_000)
    shares = FaultShares(oversize=oversize)
    messages: list[SampleMessage] = []
    units, regions = Units.load(), Regions.load()
    assignments = Assignments.load(catalog, units, regions)
    for message in oracle.watch(generate(seed, records, catalog, units, regions, assignments, today, shares)):
        messages.append(message)
        if len(messages) % 1000 == 0:
            progress(len(messages))
    return Prepared(messages, oracle.answers())


def report_sample(
    settings: Settings, messages: Iterable[SampleMessage], rate: float | None, progress: Callable[[int, int], None]
) -> pl.DataFrame:
    """Send the messages; where each went. *progress* is told how many are sent and how many confirmed."""
    ids = register_schemas(settings)
    reporter = SampleReporter(settings.kafka(), Catalog.load(), ids, rate=rate, on_progress=progress)
    return reporter.run(messages)


@dataclass(slots=True)
class LiveFigures:
    """The newest snapshot of the live page, kept by a thread of its own."""

    settings: Settings
    latest: dict[str, Any] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Follow the page's event stream until :meth:`stop`."""
        threading.Thread(target=self._follow, name="live-figures", daemon=True).start()

    def stop(self) -> None:
        """End with the next event."""
        self._stopping.set()

    def _follow(self) -> None:
        headers = {"authorization": f"Bearer {self.settings.api_token()}"}
        while not self._stopping.is_set():
            try:
                with (
                    api_client(self.settings, timeout=10.0) as client,
                    client.stream("GET", "/live/events", headers=headers) as response,
                ):
                    for line in response.iter_lines():
                        if line.startswith("data:"):
                            self.latest = orjson.loads(line[5:])
                        if self._stopping.is_set():
                            return
            except (httpx.HTTPError, orjson.JSONDecodeError):
                time.sleep(0.2)


class DrainError(Exception):
    """Some group has stopped making progress."""


def drain(
    settings: Settings,
    tick: Callable[[], None],
    *,
    patience: float = PATIENCE,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Return when all is judged, also again, and every sink has committed all there is; *tick* is called while waiting.

    Raises DrainError when a group, or what is to be judged again, has not moved for *patience* seconds.
    """
    kafka = settings.kafka()
    groups = group_topics(Catalog.load())

    def settle(what: str, left: Callable[[], int]) -> None:
        best, since = None, time.monotonic()
        while (count := left()) and not interrupted():
            if best is None or count < best:
                best, since = count, time.monotonic()
            if time.monotonic() - since > patience:
                raise DrainError(f"{what} is {count} messages behind and has not moved for {patience:.0f} s")
            tick()
            time.sleep(0.2)

    def behind(group: str) -> None:
        settle(group, lambda: group_lag(kafka, group, groups[group]))

    behind(GOVERN_GROUP)
    with closing(DueList(settings.redis())) as due:
        # What is judged again goes on to the sinks, and all of it has before it leaves the list.
        settle("judging again", due.size)
    for group in groups.keys() - {GOVERN_GROUP}:
        behind(group)


def check(
    platform: Platform,
    prepared: Prepared,
    placements: pl.DataFrame,
    keep: Callable[[pl.DataFrame], None] = lambda _: None,
) -> VerificationReport:
    """Compare everything with the oracle.

    The embedded ClickHouse can be opened by one process only: the services pause while it is read here, and what is
    read is therefore what a restart would find. *keep* is handed the verdict history.
    """
    settings = platform.settings
    catalog = Catalog.load()
    connection = settings.clickhouse()
    if connection.embedded:
        platform.stop_worker("services")
    cache = HotCache.connect(settings.redis())
    broker = KafkaBroker(settings.kafka(), [dataset.report_topic for dataset in catalog])
    try:
        store = CreditStore.connect(connection, catalog)
        try:
            verdict_rows = store.verdict_rows()
            records = {dataset.code: store.current_records(dataset.code) for dataset in catalog}
        finally:
            store.close()
        keep(verdict_rows)
        outcome = Outcome(
            placements=placements,
            received=broker.received(),
            feedback=read_all_feedback(settings.kafka()),
            verdict_rows=verdict_rows,
            store_records=records,
            cache_subjects=cache.many,
        )
        return verify(prepared.answers, outcome)
    finally:
        broker.close()
        cache.close()
        if connection.embedded:
            platform.start_services()


def fresh_folder(settings: Settings) -> Settings:
    """Settings whose data folder is an empty one of the demonstration's own; raises UserError while it is in use."""
    folder = settings.data_dir / "demo"
    own = settings.updated({"data_dir": str(folder)})
    state = find_stack(own)
    if state is not None and state.alive():
        raise UserError(
            f"{folder} 中已有演示在运行",
            f"a demonstration is running in {folder}",
            f"先按 Ctrl-C 结束它，或 end it first: ZHIDA_DATA_DIR={folder} zhida stack down",
        )
    if folder.exists():
        shutil.rmtree(folder)
    return own
