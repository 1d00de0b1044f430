"""The govern role: rule set, codecs, producers and the Faust app, wired from settings."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from contextlib import suppress

from rules.ruleset import RuleSet
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.framing import frame_header
from schemas.registry.client import RegistryClient, UnknownSubject
from schemas.topics import GOVERN_GROUP
from schemas.units import Regions, Units
from schemas.verdict import FEEDBACK_SCHEMA, FEEDBACK_SUBJECT
from streams.app import Tuning, build_app, run_app
from streams.decoding import CodecCache
from streams.delivery import BatchProducer, SinglesProducer
from streams.govern import GovernAgent, now_ms
from streams.governing import Governor
from streams.outputs import OutputWriter
from streams.topic_admin import FeedbackTopics, TopicAdmin
from zhida.roles import RoleContext
from zhida.settings import Settings


def tuning_of(settings: Settings) -> Tuning:
    """How the Faust apps of this installation fetch, commit and wait."""
    return Tuning(
        session_timeout=settings.govern_session_timeout_s,
        heartbeat_interval=settings.govern_heartbeat_s,
        commit_interval=settings.govern_commit_interval_s,
        linger=settings.govern_linger_ms / 1000,
        max_poll_records=settings.govern_batch_records,
        max_message_bytes=settings.max_message_bytes,
    )


def client_id(role: str) -> str:
    """A name by which the broker's logs tell the processes apart."""
    return f"zhida-{role}-{socket.gethostname()}-{os.getpid()}"


def _warm_up(governors: Iterable[Governor], codecs: CodecCache, registry: RegistryClient) -> None:
    """Have rules compiled and the newest schemas at hand before the first record comes."""
    for governor in governors:
        governor.warm_up(now_ms())
        with suppress(UnknownSubject):
            codecs.learn(governor.dataset, registry.latest(governor.dataset.subject_name).id)


async def run_govern(context: RoleContext) -> None:
    """Judge records until asked to stop."""
    await context.registry_ready.wait()
    settings = context.settings
    kafka = settings.kafka()
    catalog, units = Catalog.load(), Units.load()
    assignments = Assignments.load(catalog, units, Regions.load())
    registry = RegistryClient(settings.registry())
    feedback_id = await asyncio.to_thread(registry.register, FEEDBACK_SUBJECT, FEEDBACK_SCHEMA)
    codecs = CodecCache(registry)
    rule_set = RuleSet.load(catalog)
    limit = settings.max_record_bytes
    governors = {
        dataset.report_topic: Governor(dataset, rule_set, units, assignments, codecs, max_record_bytes=limit)
        for dataset in catalog
    }
    await asyncio.to_thread(_warm_up, governors.values(), codecs, registry)
    name = client_id("govern")
    # A quarantined message may be as large as the topics allow, and carries headers on top.
    max_bytes = settings.max_message_bytes + 65_536
    admin = TopicAdmin(kafka, replication=settings.replication_factor)
    writer = OutputWriter(
        BatchProducer(kafka, client_id=name, max_message_bytes=max_bytes),
        SinglesProducer(kafka, client_id=name, max_message_bytes=max_bytes),
        FeedbackTopics(admin, settings.topic_config("feedback")),
        frame_header(feedback_id),
    )
    app = build_app(GOVERN_GROUP, kafka, tuning_of(settings), client_id=name)
    GovernAgent(app, governors, writer)
    await writer.start()
    try:
        await run_app(app, context.stopping)
    finally:
        await writer.stop()
        registry.close()
