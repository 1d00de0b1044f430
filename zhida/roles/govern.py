"""The govern role: rule set, codecs, producers and the Faust app, wired from settings."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing, suppress
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
from streams.governing import Governor, china_day
from streams.outputs import OutputWriter
from streams.rejudging import Fetcher, Rejudger
from streams.shadow import ShadowTally
from streams.state.building import IndexBuilder
from streams.state.due import DueList
from streams.state.errors import StateError
from streams.state.marks import IndexMarks
from streams.state.store import RedisState
from streams.topic_admin import FeedbackTopics, TopicAdmin
from zhida.following import Following
from zhida.in_force import InForce
from zhida.roles import RoleContext
from zhida.settings import Settings

#: Between two reports of what shadow rules have found.
_SHADOW_SECONDS = 15.0
#: Rules are in force everywhere within 3 s.
_CATCH_UP_SECONDS = 5.0
_COUNT_SECONDS = 5.0

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


def open_state(settings: Settings) -> RedisState | None:
    """What rules over several records ask; None where they are left out. Blocking; raises StateError."""
    if not settings.govern_state:
        return None
    state = RedisState(settings.redis(), secret=settings.pii_key(), wait_days=settings.report_retention_days)
    state.check()
    return state


def _leave_state(settings: Settings) -> None:
    """A worker without state tells it of nothing: whoever asks it later has to build it anew."""
    try:
        with closing(IndexMarks(settings.redis())) as marks:
            marks.retire(())
    except StateError as error:
        log.warning("cannot note that the state is left out; empty Redis before it is used again", error=str(error))


class _Governors:
    """Makes the governors of all datasets from what is in force. Blocking."""

    def __init__(self, settings: Settings, registry: RegistryClient, state: RedisState | None, name: str) -> None:
        self._name = name
        self._marks = None if state is None else IndexMarks(settings.redis())
        self._registry = registry
        self._limit = settings.max_record_bytes
        self._kafka = settings.kafka()
        self._state = state
        #: Has built what the newest rules ask for; to be caught up once all workers use them.
        self.builder: IndexBuilder | None = None

    def __call__(self, in_force: InForce) -> dict[str, Governor]:
        """The governors by report topic, ready to judge; raises RuleError when the rules do not fit the catalog."""
        release = in_force.release
        rule_set = RuleSet.from_document(in_force.rules, release.catalog)
        # Codecs read into the fields of one catalog: a new one needs new ones.
        codecs = CodecCache(self._registry)
        made: dict[str, Governor] = {}
        for dataset in release.catalog:
            made[dataset.report_topic] = governor = Governor(
                dataset,
                rule_set,
                release.units,
                release.assignments,
                codecs,
                max_record_bytes=self._limit,
                stateful=self._state is not None,
            )
            # Rules are compiled, and the newest schema is at hand, before the first record comes.
            governor.warm_up(now_ms())
            with suppress(UnknownSubject):
                codecs.learn(dataset, self._registry.latest(dataset.subject_name).id)
        if self._state is not None and self._marks is not None:
            plans = [governor.plan for governor in made.values()]
            today = china_day(now_ms())
            self.builder = IndexBuilder(
                self._kafka, self._state, self._marks, codecs, plans, today=today, owner=self._name
            )
            self.builder.build()
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


class _StateTasks:
    """What is done for the state beside judging: indexes are caught up, histograms told, due records judged again."""

    def __init__(self, state: RedisState, agent: GovernAgent, rejudger: Rejudger) -> None:
        self._state = state
        self._agent = agent
        self._running = {asyncio.create_task(rejudger.run()), asyncio.create_task(self._tell_counts())}

    def caught_up_later(self, builder: IndexBuilder | None) -> None:
        """Have *builder* read what workers with the rules of before have accepted meanwhile."""
        if builder is not None:
            task = asyncio.create_task(self._catch_up(builder))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """End everything; histograms are told what they have not been told yet."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._tell_once()
        await asyncio.to_thread(self._state.close)

    async def _catch_up(self, builder: IndexBuilder) -> None:
        await asyncio.sleep(_CATCH_UP_SECONDS)
        try:
            await asyncio.to_thread(builder.catch_up)
        except Exception as error:
            log.error("indexes are not caught up", error=f"{type(error).__name__}: {error}"[:500])

    async def _tell_counts(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            await self._tell_once()

    async def _tell_once(self) -> None:
        for (distribution, day), buckets in self._agent.take_counts().items():
            try:
                await asyncio.to_thread(self._state.count, distribution, day, buckets)
            except StateError as error:
                # They are statistics: a few that are missing change no threshold.
                log.warning("numbers are not counted", field=distribution.field, error=str(error))


async def run_govern(context: RoleContext) -> None:
    """Judge records until asked to stop."""
    await context.registry_ready.wait()
    settings, following = context.settings, context.following
    kafka = settings.kafka()
    registry = RegistryClient(settings.registry())
    feedback_id = await asyncio.to_thread(registry.register, FEEDBACK_SUBJECT, FEEDBACK_SCHEMA)
    name = client_id("govern")
    state = await asyncio.to_thread(open_state, settings)
    if state is None:
        await asyncio.to_thread(_leave_state, settings)
    build = _Governors(settings, registry, state, name)
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
    agent = GovernAgent(app, governors, writer, shadow=shadow, state=state)
    fetcher = Fetcher(kafka, client_id=name)
    tasks = None
    if state is not None:
        due = DueList(settings.redis())
        tasks = _StateTasks(state, agent, Rejudger(due, fetcher, agent.owned, agent.judge_again))
        tasks.caught_up_later(build.builder)

    async def use(newer: InForce) -> None:
        await agent.use(await asyncio.to_thread(build, newer))
        if tasks is not None:
            tasks.caught_up_later(build.builder)

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
        if tasks is not None:
            await tasks.stop()
        await fetcher.stop()
        await writer.stop()
        registry.close()
