"""Sink roles: one for every sink in ``sinks/``."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from schemas.batch import Sink
from schemas.registry.client import RegistryClient
from schemas.topics import sink_group
from sinks.base import SinkConfig, discover
from streams.app import build_app, run_app
from streams.decoding import CodecCache
from streams.judged import JudgedReader
from streams.sinking import SinkAgent
from zhida.groups import sink_topics
from zhida.in_force import InForce
from zhida.roles import Role, RoleContext
from zhida.roles.govern import client_id, tuning_of
from zhida.settings import Settings

#: What is not much more work than a few records is waited for: at some hundred records a second a fetch is held for the
#: whole time that the sink allows, so that it writes seldom.
_FETCH_MIN_BYTES = 1_048_576


def sink_config(settings: Settings) -> SinkConfig:
    """What sinks are made from."""
    return SinkConfig(clickhouse=settings.clickhouse(), redis=settings.redis())


def sink_role(name: str) -> Role:
    """The role that feeds the sink called *name*."""

    async def run_sink(context: RoleContext) -> None:
        await context.registry_ready.wait()
        settings, following = context.settings, context.following
        kind = discover()[name]
        sink: Sink = kind.create(sink_config(settings))
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
            await agent.use(reader_for(in_force), sink_topics(name, in_force.release.catalog))

        in_force, reader = await following.begin(f"sink-{name}", client, begin)
        tuning = replace(tuning_of(settings), linger=kind.hold, fetch_min_bytes=_FETCH_MIN_BYTES)
        app = build_app(sink_group(name), settings.kafka(), tuning, client_id=client)
        agent = SinkAgent(app, sink, reader, sink_topics(name, in_force.release.catalog), linger=kind.gather)
        follow = asyncio.create_task(following.follow(f"sink-{name}", client, in_force, use))
        try:
            await run_app(app, context.stopping)
        finally:
            follow.cancel()
            following.leave(client)
            await asyncio.to_thread(sink.close)
            registry.close()

    return run_sink
