"""Sink roles: one for every sink in ``sinks/``."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from schemas.batch import Sink
from schemas.catalog import Catalog
from schemas.registry.client import RegistryClient
from schemas.topics import QUARANTINE_TOPIC, REJECTED_TOPIC, sink_group
from schemas.units import Units
from sinks.base import SinkConfig, discover
from streams.app import build_app, run_app
from streams.decoding import CodecCache
from streams.judged import JudgedReader
from streams.sinking import SinkAgent
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
        settings = context.settings
        catalog = Catalog.load()
        sink: Sink = discover()[name](sink_config(settings))
        await asyncio.to_thread(sink.setup, catalog)
        registry = RegistryClient(settings.registry())
        reader = JudgedReader(catalog, Units.load(), CodecCache(registry), settings.pii_key())
        topics = [dataset.accepted_topic for dataset in catalog]
        if sink.wants_all_verdicts:
            topics += [REJECTED_TOPIC, QUARANTINE_TOPIC]
        hold, gather = _LINGER.get(name, _DEFAULT_LINGER)
        tuning = replace(tuning_of(settings), linger=hold)
        app = build_app(sink_group(name), settings.kafka(), tuning, client_id=client_id(name))
        SinkAgent(app, sink, reader, topics, linger=gather)
        try:
            await run_app(app, context.stopping)
        finally:
            await asyncio.to_thread(sink.close)
            registry.close()

    return run_sink
