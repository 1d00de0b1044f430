"""Topics that must exist before anything is sent to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.connection import KafkaConnection
from schemas.topics import feedback_topic

_CREATE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be created; *config* are the broker's topic settings."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as it is; *config* are its settings, as far as the broker tells them."""

    name: str
    partitions: int
    config: Mapping[str, str]


class TopicError(Exception):
    """A topic could not be created or changed."""


class TopicAdmin:
    """Creates, describes and changes topics; blocking."""

    def __init__(self, kafka: KafkaConnection, *, replication: int) -> None:
        self._admin = AdminClient(kafka.confluent() | {"log_level": 3})
        self._replication = replication

    def names(self) -> set[str]:
        """All topics of the broker."""
        return set(self._admin.list_topics(timeout=30).topics)

    def brokers(self) -> int:
        """How many brokers there are; a topic cannot have more copies."""
        return len(self._admin.list_topics(timeout=30).brokers)

    def describe(self, names: Iterable[str]) -> dict[str, FoundTopic]:
        """Those of *names* that exist."""
        there = self._admin.list_topics(timeout=30).topics
        found = [name for name in names if name in there]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
        configs: dict[str, dict[str, str]] = {}
        for resource, future in (self._admin.describe_configs(resources) if resources else {}).items():
            try:
                configs[resource.name] = {name: entry.value for name, entry in future.result(30).items()}
            except KafkaException:
                # Who may create topics need not be allowed to read their settings: then none are compared.
                configs[resource.name] = {}
        return {name: FoundTopic(name, len(there[name].partitions), configs[name]) for name in found}

    def change(self, names: Iterable[str], config: Mapping[str, str]) -> None:
        """Set some of the topics' settings and leave the others; raises TopicError."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
        ]
        resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name in names]
        for resource, future in self._admin.incremental_alter_configs(resources).items():
            try:
                future.result(60)
            except KafkaException as error:
                raise TopicError(f"cannot change topic {resource.name}: {error}") from error

    def create(self, specs: Iterable[TopicSpec]) -> None:
        """Create what does not exist yet; a topic that somebody else creates meanwhile is no error."""
        existing = self.names()
        wanted = [spec for spec in specs if spec.name not in existing]
        for start in range(0, len(wanted), _CREATE_AT_ONCE):
            new = [
                NewTopic(
                    s.name, num_partitions=s.partitions, replication_factor=self._replication, config=dict(s.config)
                )
                for s in wanted[start : start + _CREATE_AT_ONCE]
            ]
            for name, future in self._admin.create_topics(new, request_timeout=60).items():
                try:
                    future.result()
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise TopicError(f"cannot create topic {name}: {error}") from error


class FeedbackTopics:
    """Feedback topics by unit, created when the first feedback for the unit is due."""

    def __init__(self, admin: TopicAdmin, config: Mapping[str, str]) -> None:
        self._admin = admin
        self._config = dict(config)
        self._known: set[str] = set()
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Learn which topics exist, so that nothing is asked while records flow."""
        names = await asyncio.to_thread(self._admin.names)
        prefix = feedback_topic("")
        self._known |= {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    def names(self) -> list[str]:
        """The feedback topics that are known to exist."""
        return [feedback_topic(unit) for unit in self._known]

    async def ensure(self, units: set[str]) -> None:
        """Return when the feedback topics of *units* exist."""
        if units <= self._known:
            return
        async with self._lock:
            missing = units - self._known
            if missing:
                specs = [TopicSpec(feedback_topic(unit), 1, self._config) for unit in sorted(missing)]
                await asyncio.to_thread(self._admin.create, specs)
                self._known |= missing
