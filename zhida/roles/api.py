"""The api role: query service and live pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from dashboards.app import create_app
from dashboards.broker import KafkaBroker
from dashboards.deps import ApiDeps
from dashboards.serve import make_server
from schemas.catalog import Catalog
from schemas.protect import person_key
from schemas.units import Regions, Units
from sinks.read import CreditStore, HotCache, SubjectReader
from zhida.roles import RoleContext


async def run_api(context: RoleContext) -> None:
    """Answer queries until asked to stop."""
    await context.registry_ready.wait()
    settings = context.settings
    catalog = Catalog.load()
    store = await asyncio.to_thread(CreditStore.connect, settings.clickhouse(), catalog)
    cache = HotCache.connect(settings.redis())
    broker = KafkaBroker(settings.kafka(), [dataset.report_topic for dataset in catalog])
    secret = settings.pii_key()
    checks: dict[str, Callable[[], None]] = {"redis": cache.check}
    app = create_app(
        ApiDeps(
            subjects=SubjectReader(cache, store),
            store=store,
            broker=broker,
            regions=Regions.load(),
            units=Units.load(),
            catalog=catalog,
            subject_of_person=lambda number: person_key(number, secret),
            clock=time.time,
            audit_folder=settings.data_dir / "audit",
            token=settings.api_token(),
            checks=checks,
        )
    )
    server = make_server(app, host=settings.api_host, port=settings.api_port)
    # The process has one place for signals: zhida.worker.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    stopped = asyncio.create_task(context.stopping.wait())
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not context.stopping.is_set():
            serving.result()
            raise RuntimeError("the query service ended by itself")
        server.should_exit = True
        await serving
    finally:
        stopped.cancel()
        broker.close()
        cache.close()
        await asyncio.to_thread(store.close)
