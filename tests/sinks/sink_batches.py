"""Batches for the sinks' tests, made from short descriptions of messages, and the model that says where they end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from schemas.batch import VERDICT_COLUMNS, GovernedBatch
from schemas.catalog import Catalog, Dataset

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
TOPIC_PREFIX = "zhida.report."


@dataclass(frozen=True)
class Message:
    """One judged message; ``offset`` is its place in partition 0 of its dataset's report topic."""

    dataset: str
    unit: str
    record_id: str
    version: int
    offset: int
    subject: str = ""
    deleted: bool = False
    verdict: str = "accepted"
    text: str | None = "内容"
    city: str = "320100"
    topic: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.dataset, self.unit, self.record_id

    @property
    def stored(self) -> bool:
        return self.verdict in {"accepted", "suspect"}

    @property
    def reported_at(self) -> datetime:
        return START + timedelta(seconds=self.offset)

    @property
    def governed_at(self) -> datetime:
        return self.reported_at + timedelta(milliseconds=20)


def business_fields(dataset: Dataset, message: Message) -> dict[str, Any]:
    """Every type of field gets a value now and then, and none at other times."""
    values: dict[str, Any] = {}
    for index, field in enumerate(dataset.business_fields):
        turn = message.offset + index
        if turn % 3 == 0 or message.deleted:
            values[field.name] = None
        elif field.type == "string":
            values[field.name] = message.text
        elif field.type == "date":
            values[field.name] = date(2024, 1, 1) + timedelta(days=turn)
        elif field.type == "decimal":
            values[field.name] = Decimal(turn) / 8 - 20
        elif field.type == "long":
            values[field.name] = (turn - 20) * 2**40
        else:
            raise AssertionError(f"no value for type {field.type}")
    return values


def rendered(dataset: Dataset, message: Message) -> dict[str, Any]:
    """The fields as the read side hands them out, computed without the code under test."""
    shown: dict[str, Any] = {}
    for name, value in business_fields(dataset, message).items():
        if isinstance(value, Decimal):
            text = f"{value:.6f}".rstrip("0").rstrip(".")
            shown[name] = text
        else:
            shown[name] = value.isoformat() if isinstance(value, date) else value
    return shown


def batch(catalog: Catalog, messages: Sequence[Message]) -> GovernedBatch:
    """A batch of messages of one dataset that are all stored, or all not."""
    dataset = catalog[messages[0].dataset]
    verdicts = pl.DataFrame([_verdict_row(message) for message in messages], schema=VERDICT_COLUMNS, orient="row")
    if not messages[0].stored:
        return GovernedBatch(dataset, None, verdicts)
    rows = [
        {
            "unit": message.unit,
            "record_id": message.record_id,
            "version": message.version,
            "deleted": message.deleted,
            "subject": message.subject,
            **business_fields(dataset, message),
        }
        for message in messages
    ]
    schema = pl.Schema({**dataset.polars_schema, "subject": pl.String()})
    return GovernedBatch(dataset, pl.DataFrame(rows, schema=schema), verdicts)


def batches(catalog: Catalog, messages: Iterable[Message]) -> list[GovernedBatch]:
    """Messages in order, cut where the dataset changes or where stored ones meet others."""
    groups: list[list[Message]] = []
    for message in messages:
        last = groups[-1][-1] if groups else None
        if last is not None and (last.dataset, last.stored) == (message.dataset, message.stored):
            groups[-1].append(message)
        else:
            groups.append([message])
    return [batch(catalog, group) for group in groups]


def _verdict_row(message: Message) -> tuple[Any, ...]:
    violations = ""
    if message.verdict not in {"accepted"}:
        violations = json.dumps([{"rule": "test.rule", "field": "X", "message_zh": "错误"}])
    return (
        message.topic or TOPIC_PREFIX + message.dataset,
        0,
        message.offset,
        message.dataset,
        message.unit,
        message.city,
        message.record_id,
        message.version,
        message.subject,
        message.verdict,
        "rules-1",
        7,
        message.reported_at,
        message.governed_at,
        violations,
        False,
    )


def current(messages: Iterable[Message]) -> dict[tuple[str, str, str], Message]:
    """The model: of each record the highest version, of two with one version the earlier; withdrawn ones are gone."""
    held: dict[tuple[str, str, str], Message] = {}
    for message in messages:
        other = held.get(message.identity)
        if message.stored and (other is None or (message.version, -message.offset) > (other.version, -other.offset)):
            held[message.identity] = message
    return {identity: message for identity, message in held.items() if not message.deleted}
