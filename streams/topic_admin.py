"""Topics that must exist before anything is sent to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.connection import KafkaConnection
from schemas.topics import feedback_topic

_CREATE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be created; *config* are the broker's topic settings."""

    name: str
    partitions: int
    config: Mapping[str, str]


class TopicError(Exception):
    """A topic could not be created."""


class TopicAdmin:
    """Creates topics; blocking."""

    def __init__(self, kafka: KafkaConnection, *, replication: int) -> None:
        self._admin = AdminClient(kafka.confluent() | {"log_level": 3})
        self._replication = replication

    def names(self) -> set[str]:
        """All topics of the broker."""
        return set(self._admin.list_topics(timeout=30).topics)

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
