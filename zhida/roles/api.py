"""The api role: query service and live pages."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from dashboards.app import create_app
from dashboards.broker import KafkaBroker
from dashboards.deps import ApiDeps
from dashboards.serve import make_server
from schemas.protect import person_key
from sinks.read import CreditStore, HotCache, SubjectReader
from zhida.in_force import InForce
from zhida.roles import RoleContext
from zhida.timed import TimedDatasets


async def run_api(context: RoleContext) -> None:
    """Answer queries until asked to stop."""
    await context.registry_ready.wait()
    settings, following = context.settings, context.following
    client = f"zhida-api-{socket.gethostname()}-{settings.api_port}"
    clickhouse = settings.clickhouse()
    in_force, store = await following.begin(
        "api", client, lambda found: CreditStore.connect(clickhouse, found.release.catalog)
    )
    cache = HotCache.connect(settings.redis())
    broker = KafkaBroker(settings.kafka(), [dataset.report_topic for dataset in in_force.release.catalog])
    secret = settings.pii_key()
    checks: dict[str, Callable[[], None]] = {"redis": cache.check}
    using = in_force

    async def use(newer: InForce) -> None:
        nonlocal using
        await asyncio.to_thread(store.use, newer.release.catalog)
        await asyncio.to_thread(broker.count_also, [dataset.report_topic for dataset in newer.release.catalog])
        using = newer

    app = create_app(
        ApiDeps(
            subjects=SubjectReader(cache, store),
            store=store,
            broker=broker,
            in_force=lambda: using.release,
            subject_of_person=lambda number: person_key(number, secret),
            clock=time.time,
            audit_folder=settings.data_dir / "audit",
            token=settings.api_token(),
            timed=TimedDatasets(lambda: using),
            checks=checks,
        )
    )
    server = make_server(app, host=settings.api_host, port=settings.api_port)
    # The process has one place for signals: zhida.worker.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    stopped = asyncio.create_task(context.stopping.wait())
    follow = asyncio.create_task(following.follow("api", client, in_force, use))
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not context.stopping.is_set():
            serving.result()
            raise RuntimeError("the query service ended by itself")
        server.should_exit = True
        await serving
    finally:
        stopped.cancel()
        follow.cancel()
        following.leave(client)
        broker.close()
        cache.close()
        await asyncio.to_thread(store.close)
