"""A small province on the real store and cache, and the application on top of it, in process and on a port."""

from __future__ import annotations

import random
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import polars as pl
import pytest
from confluent_kafka import Producer
from fastapi import FastAPI
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from dashboards.app import ApiDeps
from dashboards.broker import KafkaBroker
from dashboards.identifiers import has_uscc_check, is_id_number
from dashboards.serve import make_server
from schemas.assignments import Assignments
from schemas.batch import VERDICT_COLUMNS, GovernedBatch
from schemas.catalog import Catalog
from schemas.protect import person_key, protect
from schemas.release import Release
from schemas.units import Regions, Unit, Units
from sinks.base import SinkConfig, discover
from sinks.read import CreditStore, HotCache, SubjectReader
from zhida.stack import RunningStack
from zhida.stack.testing import create_topic, unique_name

TOKEN = "test-token-of-thirty-two-letters"
SECRET = b"key of the tests"
#: Of Chromium.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PENALTY, LISTING = "administrative_penalty", "abnormal_operation"


def new_uscc() -> str:
    """A valid code that nobody else has."""
    body = "91320" + "".join(random.choices("0123456789ABCDEFGHJKLMNPQRTUWXY", k=12))
    return next(body + last for last in "0123456789ABCDEFGHJKLMNPQRTUWXY" if has_uscc_check(body + last))


def new_id_number() -> str:
    """A valid identity number that nobody else has."""
    body = (
        f"110105{random.randint(1950, 2005)}0{random.randint(1, 9)}{random.randint(10, 28)}{random.randint(0, 999):03d}"
    )
    return next(body + last for last in "0123456789X" if is_id_number(body + last))


class Province:
    """Writes judged records through the real sinks, and as many messages to a report topic of its own."""

    def __init__(self, stack: RunningStack, topic: str) -> None:
        self.catalog, self.regions, self.units = Catalog.load(), Regions.load(), Units.load()
        self.kafka = stack.settings.kafka()
        self.clickhouse = replace(stack.settings.clickhouse(), database=f"dash_{secrets.token_hex(4)}")
        self.redis = stack.settings.redis()
        self.topic = topic
        config = SinkConfig(clickhouse=self.clickhouse, redis=self.redis)
        kinds = [discover()[name] for name in ("clickhouse", "redis")]
        self._sinks = [(kind.create(config), kind.wants_all_verdicts) for kind in kinds]
        for sink, _ in self._sinks:
            sink.setup(self.catalog)
        self._offset = 0
        self._producer = Producer({**self.kafka.confluent(), "acks": "all"})

    def unit(self, city: str) -> Unit:
        """A unit of a city."""
        return next(unit for unit in self.units if unit.city == city and unit.level != "province")

    def send(self, count: int) -> None:
        """Messages that the broker has received and nobody has judged yet."""
        for _ in range(count):
            self._producer.produce(self.topic, b"x")
        assert self._producer.flush(30) == 0

    def judge(
        self,
        verdict: str,
        rows: list[dict[str, Any]],
        *,
        dataset: str = PENALTY,
        city: str = "320100",
        violations: list[dict[str, str]] | None = None,
        age: float = 0.0,
    ) -> int:
        """Write *rows* with one verdict, reported *age* seconds ago; gives the offset of the first."""
        item, unit = self.catalog[dataset], self.unit(city)
        now = datetime.fromtimestamp(time.time() - age, UTC)
        envelope = {"unit": unit.code, "version": 1, "deleted": False}
        # The cache is shared with other tests: no two of them may speak of the same record.
        tag = secrets.token_hex(3)
        empty = dict.fromkeys(item.polars_schema) | envelope
        full = [empty | row | {"record_id": f"{row['record_id']}-{tag}"} for row in rows]
        frame = protect(pl.DataFrame(full, schema=item.polars_schema, orient="row"), item, SECRET)
        offsets = range(self._offset, self._offset + len(rows))
        self._offset += len(rows)
        verdicts = frame.select(
            pl.lit(self.topic).alias("source_topic"),
            pl.lit(0).cast(pl.Int32).alias("source_partition"),
            pl.Series("source_offset", offsets, dtype=pl.Int64),
            pl.lit(dataset).alias("dataset"),
            "unit",
            pl.lit(city).alias("city"),
            "record_id",
            "version",
            "subject",
            pl.lit(verdict).alias("verdict"),
            pl.lit("test-1").alias("rule_set"),
            pl.lit(1).cast(pl.Int32).alias("schema_id"),
            pl.lit(now).dt.cast_time_unit("ms").alias("reported_at"),
            pl.lit(now).dt.cast_time_unit("ms").alias("governed_at"),
            pl.lit(orjson.dumps(violations).decode() if violations else "").alias("violations"),
            pl.lit(False).alias("again"),
        ).cast(dict(VERDICT_COLUMNS))
        enters = verdict in {"accepted", "suspect"}
        batch = GovernedBatch(item, frame if enters else None, verdicts)
        for sink, wants_all in self._sinks:
            if enters or wants_all:
                sink.write([batch])
        return offsets[0]

    def close(self) -> None:
        """Close the sinks."""
        for sink, _ in self._sinks:
            sink.close()


def penalty(record_id: str, subject: str | None, **fields: Any) -> dict[str, Any]:
    """A penalty with the fields that the tests look at."""
    return {
        "record_id": record_id,
        "CF_XDR_MC": "江苏直达示例有限公司",
        "CF_XDR_SHXYM": subject,
        "CF_WSH": f"苏示罚〔2026〕{record_id}号",
        "CF_JDRQ": date(2026, 9, 1),
    } | fields


def _settled(stack: RunningStack) -> Iterator[Province]:
    topic = create_topic(stack.settings.kafka(), unique_name("zhida.report.dash"))
    made = Province(stack, topic)
    yield made
    made.close()


@pytest.fixture(scope="module")
def province(stack: RunningStack) -> Iterator[Province]:
    """Shared by a module: each test takes subjects of its own."""
    yield from _settled(stack)


@pytest.fixture
def empty_province(stack: RunningStack) -> Iterator[Province]:
    """For tests that count everything: one's own."""
    yield from _settled(stack)


@pytest.fixture
def deps(province: Province, tmp_path: Path) -> Iterator[ApiDeps]:
    yield from open_deps(province, tmp_path)


@pytest.fixture
def empty_deps(empty_province: Province, tmp_path: Path) -> Iterator[ApiDeps]:
    yield from open_deps(empty_province, tmp_path)


def open_deps(province: Province, tmp_path: Path) -> Iterator[ApiDeps]:
    """What the application is handed, for a province; its connections are closed when the iterator goes on."""
    store = CreditStore.connect(province.clickhouse, province.catalog)
    cache = HotCache.connect(province.redis)
    broker = KafkaBroker(province.kafka, [province.topic])
    release = Release(province.catalog, province.regions, province.units, Assignments((), {}))
    yield ApiDeps(
        subjects=SubjectReader(cache, store),
        store=store,
        broker=broker,
        in_force=lambda: release,
        subject_of_person=lambda number: person_key(number, SECRET),
        clock=time.time,
        audit_folder=tmp_path / "audit",
        token=TOKEN,
        checks={"cache": cache.check},
    )
    broker.close()
    cache.close()
    store.close()


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """*app* on a port of this machine, by default a free one, for as long as the block runs; gives its address."""
    server = make_server(app, host="127.0.0.1", port=port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on PATH; Debian: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, headless=True, args=_ARGUMENTS)
        yield opened
        opened.close()


class Watched:
    """A page, and everything that should not have happened on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="zh-CN")
    context.set_default_timeout(30_000)
    yield Watched(context.new_page())
    context.close()
