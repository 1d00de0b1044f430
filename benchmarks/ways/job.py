"""Govern's job as plain Python: what every other way does with one record, with the same rules and the same outputs.

Decoding is fastavro's own, with its own logical types; rules are the library's generated Python
(``DatasetRules.judge_row``); feedback and headers are made by the functions that the platform itself uses.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import fastavro
import orjson

from rules.checks.base import JudgeContext
from rules.ruleset import RuleSet
from schemas.assignments import Assignments
from schemas.catalog import Catalog, Dataset
from schemas.connection import KafkaConnection
from schemas.framing import HEADER_SIZE, frame_header, schema_id_of
from schemas.registry.client import RegistryClient, UnknownSchema
from schemas.topics import (
    DETAIL_HEADER,
    QUARANTINE_TOPIC,
    REASON_HEADER,
    REJECTED_TOPIC,
    VERDICT_HEADER,
    VIOLATIONS_HEADER,
    feedback_topic,
)
from schemas.units import Regions, Units
from schemas.verdict import (
    FEEDBACK_SCHEMA,
    FEEDBACK_SUBJECT,
    QUARANTINE_REASONS,
    Feedback,
    Violation,
    encode_feedback,
    encode_violations,
    feedback_id,
)
from zhida.settings import Settings

_CHINA = timezone(timedelta(hours=8))

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Orders:
    """What a way is told: its consumer group and which topic holds the reports of each dataset."""

    group: str
    topics: dict[str, str]  # report topic -> dataset code

    def text(self) -> str:
        """As one argument of a command line."""
        return orjson.dumps({"group": self.group, "topics": self.topics}).decode()

    @classmethod
    def from_command_line(cls) -> Orders:
        """The only argument."""
        return cls(**orjson.loads(sys.argv[1]))


class Source(NamedTuple):
    """One message and where it came from; timestamp in milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class Out(NamedTuple):
    """One message to send; ``partition`` is None where the key decides, ``timestamp`` 0 is now."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


class UnreadableError(Exception):
    """A message that cannot be decoded."""

    def __init__(self, reason: str, detail: str, schema_id: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.schema_id = schema_id


class Job:
    """The job for the reports of one dataset."""

    def __init__(self, shared: Shared, dataset: Dataset) -> None:
        self.dataset = dataset
        self.accepted_topic = dataset.accepted_topic
        self._shared = shared
        self._rules = shared.rule_set.dataset(dataset.code)
        self._judge = self._rules.judge_row
        assigned = shared.assignments.units_for(dataset.code, shared.today)
        self._context = JudgeContext(today=shared.today, units=shared.units, assigned=assigned)
        self._schemas: dict[int, Any] = {}

    def decode(self, value: bytes | None) -> tuple[int, dict[str, Any]]:
        """Schema id and record; raises UnreadableError."""
        if not value:
            raise UnreadableError("empty", "the message has no value")
        schema_id = schema_id_of(value)
        if schema_id is None:
            raise UnreadableError("bad_magic", f"{len(value)} bytes without the magic byte 0")
        if len(value) > self._shared.max_record_bytes:
            raise UnreadableError("too_large", f"{len(value)} bytes", schema_id)
        schema = self._schemas.get(schema_id)
        if schema is None:
            schema = self._schemas[schema_id] = self._learn(schema_id)
        buffer = io.BytesIO(value)
        buffer.seek(HEADER_SIZE)
        try:
            record = fastavro.schemaless_reader(buffer, schema, None)
        except Exception as error:
            raise UnreadableError(*_explain(error, buffer, len(value)), schema_id) from error
        if buffer.tell() != len(value):
            raise UnreadableError("trailing_bytes", f"{len(value) - buffer.tell()} bytes after the record", schema_id)
        return schema_id, record  # type: ignore[return-value]

    def judge(self, record: Mapping[str, Any]) -> tuple[Violation, ...]:
        """What the record breaks."""
        return self._judge(record, self._context)

    def _learn(self, schema_id: int) -> Any:
        try:
            schema = self._shared.registry.schema(schema_id)
            subjects = self._shared.registry.subjects_of(schema_id)
        except UnknownSchema:
            raise UnreadableError("unknown_schema", f"schema id {schema_id} is not registered", schema_id) from None
        if self.dataset.subject_name not in subjects:
            raise UnreadableError("wrong_subject", f"schema id {schema_id} is of another dataset", schema_id)
        return fastavro.parse_schema(schema)

    def outputs(self, source: Source, governed_at: int) -> list[Out]:
        """Everything that one message leads to; for ways that take one record at a time."""
        try:
            schema_id, record = self.decode(source.value)
        except UnreadableError as error:
            return self.quarantined(source, error, governed_at)
        violations = self.judge(record)
        if violations:
            return self.objected(source, schema_id, record, violations, governed_at)
        header = self.prefix("accepted", schema_id, source.topic, source.partition, governed_at) + b"%d" % source.offset
        return [self.accepted(source, [(VERDICT_HEADER, header)])]

    def accepted(self, source: Source, headers: Headers) -> Out:
        """The message as it came, with its verdict."""
        return Out(self.accepted_topic, source.partition, source.key, source.value, headers, source.timestamp)

    def prefix(self, verdict: str, schema_id: int, topic: str, partition: int, governed_at: int) -> bytes:
        """The verdict header up to the offset."""
        return (
            f"verdict={verdict};rules={self._shared.version};schema={schema_id};governed={governed_at};"
            f"source={topic};partition={partition};offset="
        ).encode()

    def objected(
        self,
        source: Source,
        schema_id: int,
        record: Mapping[str, Any],
        violations: tuple[Violation, ...],
        governed_at: int,
    ) -> list[Out]:
        """A rejected or suspect message: feedback, the copy for the history, and a suspect goes on."""
        rejected = any(violation.severity == "reject" for violation in violations)
        verdict = "rejected" if rejected else "suspect"
        out: list[Out] = []
        if not rejected:
            header = self.prefix(verdict, schema_id, source.topic, source.partition, governed_at)
            headers = [
                (VERDICT_HEADER, header + b"%d" % source.offset),
                (VIOLATIONS_HEADER, encode_violations(violations)),
            ]
            out.append(self.accepted(source, headers))
        unit = record["unit"]
        if unit not in self._shared.units:
            unit = self._unit_of(source.key)
        feedback = Feedback(
            feedback_id=feedback_id(source.topic, source.partition, source.offset),
            unit=unit,
            dataset=self.dataset.code,
            record_id=record["record_id"],
            version=record["version"],
            verdict=verdict,
            rule_set=self._shared.version,
            schema_id=schema_id,
            source_topic=source.topic,
            source_partition=source.partition,
            source_offset=source.offset,
            reported_at=source.timestamp,
            governed_at=governed_at,
            violations=violations,
            record=source.value if rejected else None,
        )
        return out + self._told(feedback)

    def quarantined(self, source: Source, error: UnreadableError, governed_at: int) -> list[Out]:
        """A message that nobody can read: to quarantine, and its unit is told where its key names one."""
        schema_id = -1 if error.schema_id is None else error.schema_id
        header = self.prefix("quarantined", schema_id, source.topic, source.partition, governed_at)
        headers = [
            (VERDICT_HEADER, header + b"%d" % source.offset),
            (REASON_HEADER, error.reason.encode()),
            (DETAIL_HEADER, error.detail.encode()),
        ]
        out = [Out(QUARANTINE_TOPIC, None, source.key, source.value, headers, source.timestamp)]
        unit = self._unit_of(source.key)
        if not unit:
            return out
        zh, en = QUARANTINE_REASONS[error.reason]
        feedback = Feedback(
            feedback_id=feedback_id(source.topic, source.partition, source.offset),
            unit=unit,
            dataset=self.dataset.code,
            record_id=(source.key or b"").decode("utf-8", "replace").partition("|")[2][:200],
            version=None,
            verdict="quarantined",
            rule_set=self._shared.version,
            schema_id=error.schema_id,
            source_topic=source.topic,
            source_partition=source.partition,
            source_offset=source.offset,
            reported_at=source.timestamp,
            governed_at=governed_at,
            violations=(Violation(error.reason, "conformity", "reject", "", error.detail, zh, en),),
            record=None,
        )
        return out + self._told(feedback)

    def _told(self, feedback: Feedback) -> list[Out]:
        key = feedback.feedback_id.encode()
        value = encode_feedback(feedback, self._shared.feedback_header)
        out = [Out(feedback_topic(feedback.unit), None, key, value, [], 0)] if feedback.unit else []
        if feedback.verdict == "rejected":
            out.append(Out(REJECTED_TOPIC, None, key, value, [], 0))
        return out

    def _unit_of(self, key: bytes | None) -> str:
        unit = (key or b"").decode("utf-8", "replace").partition("|")[0]
        return unit if unit in self._shared.units else ""


class Shared:
    """What the jobs of one process share, made once at start."""

    def __init__(self, settings: Settings) -> None:
        catalog = Catalog.load()
        self.kafka: KafkaConnection = settings.kafka()
        self.max_record_bytes = settings.max_record_bytes
        self.max_message_bytes = settings.max_message_bytes
        self.registry = RegistryClient(settings.registry())
        self.feedback_header = frame_header(self.registry.register(FEEDBACK_SUBJECT, FEEDBACK_SCHEMA))
        self.rule_set = RuleSet.load(catalog)
        self.version = self.rule_set.version
        units = Units.load()
        self.units = units.codes
        self.assignments = Assignments.load(catalog, units, Regions.load())
        # A process that lives for minutes: the day is taken once.
        self.today = datetime.now(UTC).astimezone(_CHINA).date()
        self.catalog = catalog

    def jobs(self, orders: Orders) -> dict[str, Job]:
        """Jobs by report topic."""
        return {topic: Job(self, self.catalog[code]) for topic, code in orders.topics.items()}


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _explain(error: Exception, buffer: io.BytesIO, size: int) -> tuple[str, str]:
    if isinstance(error, EOFError):
        return "truncated", "the record ends before its last field"
    if isinstance(error, IndexError) and buffer.tell() == size:
        return "truncated", "the record ends inside a number"
    return "undecodable", f"{type(error).__name__} while reading the record"
