"""What must be there before records flow: topics and registered schemas. Idempotent."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.catalog import Catalog
from schemas.registry.client import RegistryClient
from schemas.topics import QUARANTINE_TOPIC, REJECTED_TOPIC, feedback_topic
from schemas.verdict import FEEDBACK_SCHEMA, FEEDBACK_SUBJECT
from streams.topic_admin import TopicAdmin, TopicSpec
from zhida.settings import Settings


def create_topics(settings: Settings, units: Iterable[str] = ()) -> None:
    """Create every topic of the catalog that does not exist yet, and the feedback topics of *units*."""
    partitions = settings.partitions
    report, accepted = settings.topic_config("report"), settings.topic_config("accepted")
    catalog = Catalog.load()
    specs = [TopicSpec(dataset.report_topic, partitions, report) for dataset in catalog]
    specs += [TopicSpec(dataset.accepted_topic, partitions, accepted) for dataset in catalog]
    specs.append(TopicSpec(REJECTED_TOPIC, partitions, settings.topic_config("rejected")))
    specs.append(TopicSpec(QUARANTINE_TOPIC, partitions, settings.topic_config("quarantine")))
    feedback = settings.topic_config("feedback")
    specs += [TopicSpec(feedback_topic(unit), 1, feedback) for unit in units]
    TopicAdmin(settings.kafka(), replication=settings.replication_factor).create(specs)


def register_schemas(settings: Settings) -> dict[str, int]:
    """Register the schemas of all datasets and of feedback; the schema ids by dataset code."""
    with RegistryClient(settings.registry()) as registry:
        registry.register(FEEDBACK_SUBJECT, FEEDBACK_SCHEMA)
        return {
            dataset.code: registry.register(dataset.subject_name, dataset.avro_schema) for dataset in Catalog.load()
        }
