"""The platform's consumer groups and what each reads."""

from __future__ import annotations

from schemas.catalog import Catalog
from schemas.topics import GOVERN_GROUP, QUARANTINE_TOPIC, REJECTED_TOPIC, sink_group
from sinks.base import discover


def groups() -> tuple[str, ...]:
    """Whoever is in one of these works on records, and follows what is in force."""
    return (GOVERN_GROUP, *(sink_group(name) for name in sorted(discover())))


def sink_topics(name: str, catalog: Catalog) -> list[str]:
    """What the sink called *name* reads."""
    accepted = [dataset.accepted_topic for dataset in catalog]
    return [*accepted, REJECTED_TOPIC, QUARANTINE_TOPIC] if discover()[name].wants_all_verdicts else accepted


def group_topics(catalog: Catalog) -> dict[str, list[str]]:
    """What each consumer group of the platform reads."""
    reads = {GOVERN_GROUP: [dataset.report_topic for dataset in catalog]}
    return reads | {sink_group(name): sink_topics(name, catalog) for name in sorted(discover())}
