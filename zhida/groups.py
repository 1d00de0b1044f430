"""The platform's consumer groups and what each reads."""

from __future__ import annotations

from schemas.catalog import Catalog
from schemas.topics import GOVERN_GROUP, QUARANTINE_TOPIC, REJECTED_TOPIC, sink_group

#: Whoever is in one of these works on records, and follows what is in force.
GROUPS = (GOVERN_GROUP, sink_group("clickhouse"), sink_group("redis"))


def sink_topics(catalog: Catalog) -> dict[str, list[str]]:
    """What each consumer group of the platform reads."""
    accepted = [dataset.accepted_topic for dataset in catalog]
    return {
        GOVERN_GROUP: [dataset.report_topic for dataset in catalog],
        sink_group("clickhouse"): [*accepted, REJECTED_TOPIC, QUARANTINE_TOPIC],
        sink_group("redis"): accepted,
    }
