"""Verdicts, violations and feedback: the platform's own Avro schema and the verdict header.

A record's verdict is one of accepted, suspect (accepted, flagged, and its unit is asked), rejected, quarantined.
``received = accepted + rejected + quarantined`` where accepted counts suspects too.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import fastavro
import orjson

Verdict = Literal["accepted", "suspect", "rejected", "quarantined"]
Severity = Literal["reject", "suspect"]

#: Why a message is quarantined: code -> (Chinese, English) for the unit.
QUARANTINE_REASONS: dict[str, tuple[str, str]] = {
    "empty": ("消息没有内容，请重新报送完整记录", "the message has no value; send the whole record again"),
    "too_large": (
        "消息超过允许的大小，请拆分或压缩附件后重新报送",
        "the message is larger than allowed; split it and send again",
    ),
    "bad_magic": (
        "消息不是以模式编号开头的 Avro 记录，请使用平台提供的序列化方式",
        "not Confluent-framed Avro; use a schema-registry serializer",
    ),
    "unknown_schema": (
        "模式编号未在目录中登记，请先同步最新目录",
        "the schema id is not registered; fetch the current catalog first",
    ),
    "wrong_subject": (
        "模式编号属于另一个数据集，请检查报送的主题",
        "the schema id belongs to another dataset; check the topic",
    ),
    "truncated": ("记录不完整，传输中可能被截断，请重新报送", "the record ends too early; send it again"),
    "trailing_bytes": (
        "记录后有多余的字节，请检查序列化程序",
        "there are extra bytes after the record; check the serializer",
    ),
    "undecodable": (
        "记录无法按模式解析，请检查编码是否为 UTF-8",
        "the record cannot be decoded with its schema; check for invalid UTF-8",
    ),
    "internal_error": (
        "平台处理此记录时出错，记录已保存，平台维护人员将处理，无需重新报送",
        "the platform failed to judge this record and has kept it; its operators will see to it, no need to send again",
    ),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one record breaks. ``value`` is already masked where the field is personal."""

    rule: str
    dimension: str
    severity: Severity
    field: str
    value: str
    message_zh: str
    message_en: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a unit is told about one record; times in milliseconds since the epoch, offsets as in Kafka."""

    feedback_id: str
    unit: str
    dataset: str
    record_id: str | None
    version: int | None
    verdict: Verdict
    rule_set: str
    schema_id: int | None
    source_topic: str
    source_partition: int
    source_offset: int
    reported_at: int
    governed_at: int
    violations: tuple[Violation, ...]
    record: bytes | None


def feedback_id(topic: str, partition: int, offset: int) -> str:
    """The id of the feedback on the record at these source coordinates: the same however often it is judged."""
    return f"{topic}-{partition}-{offset}"


#: A topic may hold dots, underscores and hyphens; the last two parts are numbers.
_FEEDBACK_ID = re.compile(r"([A-Za-z0-9._-]{1,249})-([0-9]{1,10})-([0-9]{1,19})")


def parse_feedback_id(text: str) -> tuple[str, int, int]:
    """Topic, partition and offset of a feedback id; raises ValueError for anything else."""
    found = _FEEDBACK_ID.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:100]!r} is no feedback id: <topic>-<partition>-<offset>")
    topic, partition, offset = found[1], int(found[2]), int(found[3])
    if partition >= 1 << 31 or offset >= 1 << 63:
        raise ValueError(f"{text[:100]!r} is no feedback id: the numbers are too large for a partition and an offset")
    return topic, partition, offset


_NULLABLE = ["null", "string"]
FEEDBACK_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Feedback",
    "namespace": "cn.zhida.platform",
    "doc": "反馈: what became of one reported record",
    "fields": [
        {"name": "feedback_id", "type": "string"},
        {"name": "unit", "type": "string"},
        {"name": "dataset", "type": "string"},
        {"name": "record_id", "type": _NULLABLE, "default": None},
        {"name": "version", "type": ["null", "long"], "default": None},
        {
            "name": "verdict",
            "type": {
                "type": "enum",
                "name": "Verdict",
                "symbols": ["accepted", "suspect", "rejected", "quarantined"],
            },
        },
        {"name": "rule_set", "type": "string"},
        {"name": "schema_id", "type": ["null", "int"], "default": None},
        {"name": "source_topic", "type": "string"},
        {"name": "source_partition", "type": "int"},
        {"name": "source_offset", "type": "long"},
        {"name": "reported_at", "type": "long"},
        {"name": "governed_at", "type": "long"},
        {
            "name": "violations",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Violation",
                    "fields": [
                        {"name": name, "type": "string"}
                        for name in (
                            "rule",
                            "dimension",
                            "severity",
                            "field",
                            "value",
                            "message_zh",
                            "message_en",
                        )
                    ],
                },
            },
        },
        {"name": "record", "type": ["null", "bytes"], "default": None},
    ],
}
FEEDBACK_SUBJECT = "zhida.feedback-value"
_FEEDBACK_NAMES = Feedback.__slots__
_VIOLATION_NAMES = Violation.__slots__
_PARSED_FEEDBACK = fastavro.parse_schema(FEEDBACK_SCHEMA)


def encode_feedback(feedback: Feedback, header: bytes) -> bytes:
    """Feedback as Confluent-framed Avro; *header* is the five bytes of magic and schema id."""
    buffer = io.BytesIO()
    buffer.write(header)
    # dataclasses.asdict copies deeply, which costs more than the encoding.
    record = {name: getattr(feedback, name) for name in _FEEDBACK_NAMES}
    record["violations"] = [_violation_dict(violation) for violation in feedback.violations]
    fastavro.schemaless_writer(buffer, _PARSED_FEEDBACK, record)
    return buffer.getvalue()


def decode_feedback(value: bytes) -> Feedback:
    """The reverse of :func:`encode_feedback`; raises ValueError for anything else."""
    if len(value) < 6 or value[0] != 0:
        raise ValueError("not a Confluent-framed Avro message")
    try:
        raw = cast("dict[str, Any]", fastavro.schemaless_reader(io.BytesIO(value[5:]), _PARSED_FEEDBACK, None))
    except Exception as error:
        raise ValueError(f"not a feedback record: {error}") from error
    raw["violations"] = tuple(Violation(**violation) for violation in raw["violations"])
    return Feedback(**raw)


def encode_violations(violations: tuple[Violation, ...]) -> bytes:
    """Violations as a JSON list, for the header of a suspect record and for the verdict history."""
    return orjson.dumps([_violation_dict(violation) for violation in violations])


def _violation_dict(violation: Violation) -> dict[str, str]:
    return {name: getattr(violation, name) for name in _VIOLATION_NAMES}


def verdict_header_prefix(
    *,
    verdict: Verdict,
    rule_set: str,
    schema_id: int,
    governed_at: int,
    topic: str,
    partition: int,
    again: bool = False,
) -> bytes:
    """Everything in the verdict header that a batch shares; the record's offset is appended to it.

    *again*: the record has had a verdict before.
    """
    return (
        f"verdict={verdict};rules={rule_set};schema={schema_id};governed={governed_at};{'again=1;' if again else ''}"
        f"source={topic};partition={partition};offset="
    ).encode()


@dataclass(frozen=True, slots=True)
class VerdictPrefix:
    """The parsed shared part of a verdict header."""

    verdict: Verdict
    rule_set: str
    schema_id: int
    governed_at: int
    source_topic: str
    source_partition: int
    again: bool = False


def parse_verdict_prefix(prefix: bytes) -> VerdictPrefix:
    """The reverse of :func:`verdict_header_prefix`; raises ValueError for anything else."""
    try:
        parts = dict(part.split("=", 1) for part in prefix.decode().split(";"))
        return VerdictPrefix(
            verdict=cast("Verdict", parts["verdict"]),
            rule_set=parts["rules"],
            schema_id=int(parts["schema"]),
            governed_at=int(parts["governed"]),
            source_topic=parts["source"],
            source_partition=int(parts["partition"]),
            again=parts.get("again") == "1",
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"not a verdict header: {prefix!r}") from error
