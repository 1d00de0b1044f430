"""Sink roles: one for every sink in ``sinks/``."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from schemas.batch import Sink
from schemas.catalog import Catalog
from schemas.registry.client import RegistryClient
from schemas.topics import QUARANTINE_TOPIC, REJECTED_TOPIC, sink_group
from sinks.base import SinkConfig, discover
from streams.app import build_app, run_app
from streams.decoding import CodecCache
from streams.judged import JudgedReader
from streams.sinking import SinkAgent
from zhida.in_force import InForce
from zhida.roles import Role, RoleContext
from zhida.roles.govern import client_id, tuning_of
from zhida.settings import Settings

#: Seconds that the broker holds a fetch, and that a write gathers records. A store of columns wants fewer and larger
#: inserts than a cache.
_LINGER = {"clickhouse": (0.25, 0.25)}
_DEFAULT_LINGER = (0.12, 0.0)


def sink_config(settings: Settings) -> SinkConfig:
    """What sinks are made from."""
    return SinkConfig(clickhouse=settings.clickhouse(), redis=settings.redis())


def sink_role(name: str) -> Role:
    """The role that feeds the sink called *name*."""

    async def run_sink(context: RoleContext) -> None:
        await context.registry_ready.wait()
        settings, following = context.settings, context.following
        sink: Sink = discover()[name](sink_config(settings))
        registry = RegistryClient(settings.registry())
        client = client_id(name)

        def reader_for(in_force: InForce) -> JudgedReader:
            release = in_force.release
            # Codecs read into the fields of one catalog: a new one needs new ones.
            return JudgedReader(release.catalog, release.units, CodecCache(registry), settings.pii_key())

        def begin(in_force: InForce) -> JudgedReader:
            sink.setup(in_force.release.catalog)
            return reader_for(in_force)

        async def use(in_force: InForce) -> None:
            await agent.use(reader_for(in_force), _topics(sink, in_force.release.catalog))

        in_force, reader = await following.begin(f"sink-{name}", client, begin)
        hold, gather = _LINGER.get(name, _DEFAULT_LINGER)
        tuning = replace(tuning_of(settings), linger=hold)
        app = build_app(sink_group(name), settings.kafka(), tuning, client_id=client)
        agent = SinkAgent(app, sink, reader, _topics(sink, in_force.release.catalog), linger=gather)
        follow = asyncio.create_task(following.follow(f"sink-{name}", client, in_force, use))
        try:
            await run_app(app, context.stopping)
        finally:
            follow.cancel()
            following.leave(client)
            await asyncio.to_thread(sink.close)
            registry.close()

    return run_sink


def _topics(sink: Sink, catalog: Catalog) -> list[str]:
    accepted = [dataset.accepted_topic for dataset in catalog]
    return [*accepted, REJECTED_TOPIC, QUARANTINE_TOPIC] if sink.wants_all_verdicts else accepted
