"""The platform's consumer groups and what each reads."""

from __future__ import annotations

from schemas.catalog import Catalog
from schemas.topics import QUARANTINE_TOPIC, REJECTED_TOPIC


def sink_topics(catalog: Catalog) -> dict[str, list[str]]:
    """What each consumer group of the platform reads."""
    accepted = [dataset.accepted_topic for dataset in catalog]
    return {
        "zhida-govern": [dataset.report_topic for dataset in catalog],
        "zhida-sink-clickhouse": [*accepted, REJECTED_TOPIC, QUARANTINE_TOPIC],
        "zhida-sink-redis": accepted,
    }
