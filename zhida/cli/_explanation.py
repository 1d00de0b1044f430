"""An explained verdict as plain data: what ``zhida rules explain`` shows, personal values masked as in feedback."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rules.explain import ExplainedRule
    from schemas.verdict import Violation
    from zhida.explaining import Explanation
    from zhida.tracing import Told


def as_json(found: Explanation, rules: list[ExplainedRule]) -> dict[str, Any]:
    """What is known of the message, with *rules* of those that were evaluated."""
    from zhida.tracing import Original

    told = found.told
    said: dict[str, Any] = {
        "feedback_id": found.place.id,
        "dataset": found.place.dataset,
        "original": found.original if not isinstance(found.original, Original) else "there",
        "record_from": found.value_from,
        "verdict": _told_json(told) if told else None,
        "earlier": [_told_json(one) for one in found.earlier],
        "today": found.today,
        "catalog": found.release,
        "compiled": found.compiled,
        "record": record_of(found),
        "rules": [_rule_json(one, found.texts.get(one.rule.id, "")) for one in rules],
        "texts": {v.rule: found.texts[v.rule] for v in recorded_violations(found) if v.rule in found.texts},
        "differing": [one.rule.id for one in found.differing],
        "reasons": [{"zh": zh, "en": en} for zh, en in (reasons(found) if found.differing else [])],
        "notes": [{"zh": zh, "en": en} for zh, en in found.notes],
    }
    if told is not None and told.verdict == "quarantined":
        said["quarantine"] = quarantined(found, told)
    return said


def recorded_violations(found: Explanation) -> tuple[Violation, ...]:
    """What the verdict says; nothing where it is not by rules."""
    return found.told.violations if found.told is not None and found.told.verdict != "quarantined" else ()


def _told_json(told: Told) -> dict[str, Any]:
    said = asdict(told)
    # The message itself may hold personal data.
    del said["value"]
    return said


def _rule_json(one: ExplainedRule, text: str) -> dict[str, Any]:
    return {
        "id": one.rule.id,
        "outcome": one.outcome,
        "why": one.why,
        "detail": one.detail,
        "counts": one.counts,
        "differs": one.differs,
        "inputs": {item.name: item.value for item in one.inputs},
        "conditions": [{"text": said.text, "holds": said.holds} for said in one.conditions],
        "rule": one.rule.meaning(),
        "text": text,
    }


def record_of(found: Explanation) -> dict[str, str]:
    """The record's fields in the order of the catalog, as they are shown in feedback."""
    from rules.masking import shown

    if found.record is None or found.dataset is None:
        return {}
    return {field.name: shown(found.record[field.name], field.pii) for field in found.dataset.fields}


def quarantined(found: Explanation, told: Told) -> dict[str, Any]:
    """What can be said of a message that nobody could read, without showing any of its text."""
    from schemas.verdict import QUARANTINE_REASONS
    from zhida.tracing import Original

    zh, en = QUARANTINE_REASONS.get(told.reason, ("请联系平台", "ask the platform's operators"))
    there = isinstance(found.original, Original) or found.value is not None
    kind, begins = _sniffed(found.value or b"")
    return {
        "reason": told.reason,
        "detail": told.detail,
        "zh": zh,
        "en": en,
        "bytes": len(found.value or b"") if there else None,
        "kind": kind if there else "",
        "begins_with": begins.hex(" "),
        "readable_now": found.record is not None and told.reason != "internal_error",
    }


#: How what is often sent by mistake begins; no byte of text is among these.
_KINDS = (
    (b"Obj\1", "Avro 文件 an Avro container file"),
    (b"PK\3\4", "ZIP 或 Excel 文件 a ZIP or Excel file"),
    (b"\x1f\x8b", "gzip"),
    (b"\xef\xbb\xbf", "UTF-8 文本 text"),
    (b"\xff\xfe", "UTF-16 文本 text"),
    (b"\xfe\xff", "UTF-16 文本 text"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"<", "XML"),
)


def _sniffed(value: bytes) -> tuple[str, bytes]:
    """What a message looks like, and as many of its first bytes as cannot be part of a record's text."""
    from schemas.framing import HEADER_SIZE

    if not value:
        return "空 empty", b""
    if value[0] == 0:
        return "带模式编号 framed with a schema id", value[:HEADER_SIZE]
    for begins, kind in _KINDS:
        if value.startswith(begins):
            return kind, begins
    return "不是 Confluent 格式 not framed", b""


def reasons(found: Explanation) -> list[tuple[str, str]]:
    """Why the evaluation may come out otherwise than the verdict."""
    possible = []
    if found.told is not None and found.compiled != found.told.rule_set:
        possible.append(("程序或目录已不同，规则的含义随之变化", "program or catalog differ, and with them the rules"))
    inputs = {item.name for one in found.differing for item in one.inputs if not item.of_record}
    if inputs & {"units", "assigned"}:
        zh = f"判定时治理进程使用的可能不是目录 {found.release}"
        possible.append((zh, f"the worker may have used another catalog than {found.release} at that moment"))
    if "today" in inputs:
        possible.append(("节假日数据已更新", "the calendar of holidays was updated since"))
    return possible or [
        ("判定之后检查程序已改变，或程序缺陷，请反馈", "the checks were changed since, or it is a defect")
    ]


def visible(text: str) -> str:
    """*text* with everything escaped that is no visible character: records are not to write to a terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
