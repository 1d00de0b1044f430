"""The govern role: rule set, codecs, producers and the Faust app, wired from settings."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

import structlog

from rules.ruleset import RuleSet
from schemas.framing import frame_header
from schemas.registry.client import RegistryClient, UnknownSubject
from schemas.topics import GOVERN_GROUP
from schemas.verdict import FEEDBACK_SCHEMA, FEEDBACK_SUBJECT
from streams.app import Tuning, build_app, run_app
from streams.decoding import CodecCache
from streams.delivery import BatchProducer, SinglesProducer
from streams.govern import GovernAgent, now_ms
from streams.governing import Governor
from streams.outputs import OutputWriter
from streams.shadow import ShadowTally
from streams.topic_admin import FeedbackTopics, TopicAdmin
from zhida.following import Following
from zhida.in_force import InForce
from zhida.roles import RoleContext
from zhida.settings import Settings

#: Between two reports of what shadow rules have found.
_SHADOW_SECONDS = 15.0

log = structlog.get_logger("govern")


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


class _Governors:
    """Makes the governors of all datasets from what is in force. Blocking."""

    def __init__(self, settings: Settings, registry: RegistryClient) -> None:
        self._registry = registry
        self._limit = settings.max_record_bytes

    def __call__(self, in_force: InForce) -> dict[str, Governor]:
        """The governors by report topic, ready to judge; raises RuleError when the rules do not fit the catalog."""
        release = in_force.release
        rule_set = RuleSet.from_document(in_force.rules, release.catalog)
        # Codecs read into the fields of one catalog: a new one needs new ones.
        codecs = CodecCache(self._registry)
        made: dict[str, Governor] = {}
        for dataset in release.catalog:
            made[dataset.report_topic] = governor = Governor(
                dataset, rule_set, release.units, release.assignments, codecs, max_record_bytes=self._limit
            )
            # Rules are compiled, and the newest schema is at hand, before the first record comes.
            governor.warm_up(now_ms())
            with suppress(UnknownSubject):
                codecs.learn(dataset, self._registry.latest(dataset.subject_name).id)
        return made


async def _tell_shadow(shadow: ShadowTally, following: Following, client: str) -> None:
    """Every so often, and only where there is news, one line in the log and an entry for ``zhida rules shadow``."""
    told: dict[str, Any] = {}
    while True:
        await asyncio.sleep(_SHADOW_SECONDS)
        found = shadow.snapshot()
        if found != told:
            told = found
            log.info("shadow rules", **found)
            following.add(client, shadow=found)


async def run_govern(context: RoleContext) -> None:
    """Judge records until asked to stop."""
    await context.registry_ready.wait()
    settings, following = context.settings, context.following
    kafka = settings.kafka()
    registry = RegistryClient(settings.registry())
    feedback_id = await asyncio.to_thread(registry.register, FEEDBACK_SUBJECT, FEEDBACK_SCHEMA)
    name = client_id("govern")
    build = _Governors(settings, registry)
    in_force, governors = await following.begin("govern", name, build)
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
    shadow = ShadowTally(now_ms)
    agent = GovernAgent(app, governors, writer, shadow=shadow)

    async def use(newer: InForce) -> None:
        await agent.use(await asyncio.to_thread(build, newer))

    await writer.start()
    follow = asyncio.create_task(following.follow("govern", name, in_force, use))
    counting = asyncio.create_task(_tell_shadow(shadow, following, name))
    try:
        await run_app(app, context.stopping)
    finally:
        follow.cancel()
        counting.cancel()
        if last := shadow.snapshot():
            # The worker's entry goes with it; the log keeps what it has counted.
            log.info("shadow rules", **last)
        following.leave(name)
        await writer.stop()
        registry.close()
