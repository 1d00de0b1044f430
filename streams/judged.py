"""Judged messages back into columns, for sinks: records decoded and protected, verdicts from headers and feedback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import polars as pl
import structlog

from schemas.batch import VERDICT_COLUMNS, GovernedBatch
from schemas.catalog import Catalog, Dataset
from schemas.distinct import by_distinct
from schemas.protect import protect
from schemas.topics import DETAIL_HEADER, QUARANTINE_TOPIC, REASON_HEADER, REJECTED_TOPIC, VIOLATIONS_HEADER
from schemas.units import Units
from schemas.verdict import (
    QUARANTINE_REASONS,
    Feedback,
    VerdictPrefix,
    decode_feedback,
    encode_violations,
    parse_verdict_prefix,
)
from streams.decoding import BatchDecoder, CodecCache
from streams.learning import learn_and_decode

#: Accepted messages have passed govern's limit; theirs is only there because a decoder has one.
_NO_LIMIT = 1 << 31
_REPORT_PREFIX = "zhida.report."

log = structlog.get_logger("sink")


class JudgedReader:
    """Reads accepted, rejected and quarantined messages; blocking where a schema id is new."""

    def __init__(self, catalog: Catalog, units: Units, codecs: CodecCache, secret: bytes) -> None:
        """*secret* keys the hashes of natural persons."""
        self.catalog = catalog
        self._by_topic = {dataset.accepted_topic: dataset for dataset in catalog}
        self._decoders = {
            dataset.code: BatchDecoder(dataset, codecs, max_record_bytes=_NO_LIMIT) for dataset in catalog
        }
        self._codecs = codecs
        self._secret = secret
        self._cities = {unit.code: unit.city for unit in units}

    def read(self, batches: Sequence[tuple[str, Sequence[Any]]]) -> list[GovernedBatch]:
        """One batch of columns a dataset, one each for rejected and quarantined, from ``(topic, messages)`` pairs."""
        by_topic: dict[str, list[Any]] = {}
        for topic, messages in batches:
            by_topic.setdefault(topic, []).extend(messages)
        read: list[GovernedBatch] = []
        for topic, messages in by_topic.items():
            if topic == REJECTED_TOPIC:
                read.append(GovernedBatch(None, None, self._frame(map(self._rejected_row, messages))))
            elif topic == QUARANTINE_TOPIC:
                read.append(GovernedBatch(None, None, self._frame(map(self._quarantined_row, messages))))
            else:
                read.append(self._accepted(self._by_topic[topic], messages))
        return [batch for batch in read if batch.verdicts.height]

    def _accepted(self, dataset: Dataset, messages: list[Any]) -> GovernedBatch:
        values = [message.value for message in messages]
        decoder = self._decoders[dataset.code]
        decoded = learn_and_decode(lambda refused: decoder.decode(values, refused), self._codecs, dataset)
        for broken in decoded.broken:
            message = messages[broken.position]
            log.error(
                "accepted message cannot be read, left out",
                topic=dataset.accepted_topic,
                offset=message.offset,
                reason=broken.reason,
            )
        if len(decoded.positions) < len(messages):
            messages = [messages[position] for position in decoded.positions]
        records = protect(decoded.as_columns(dataset), dataset, self._secret)
        verdicts = self._accepted_verdicts(dataset, records, messages)
        # Judged again and rejected: what an earlier judgement let in goes as if its unit had withdrawn it.
        taken_back = verdicts["verdict"] == "rejected"
        if taken_back.any():
            records = records.with_columns(deleted=pl.col("deleted") | taken_back)
        return GovernedBatch(dataset, records, verdicts)

    def _accepted_verdicts(self, dataset: Dataset, records: pl.DataFrame, messages: list[Any]) -> pl.DataFrame:
        prefixes: dict[bytes, int] = {}
        which: list[int] = []
        offsets: list[int] = []
        violations: list[str] = [""] * len(messages)
        for row, message in enumerate(messages):
            headers = message.headers
            prefix, _, offset = headers[0][1].rpartition(b"=")
            which.append(prefixes.setdefault(prefix, len(prefixes)))
            offsets.append(int(offset))
            if len(headers) > 1 and headers[1][0] == VIOLATIONS_HEADER:
                violations[row] = headers[1][1].decode()
        shared = _shared_columns([parse_verdict_prefix(prefix + b"=") for prefix in prefixes])
        return pl.DataFrame(
            [
                *shared[pl.Series(which, dtype=pl.UInt32)].get_columns(),
                pl.Series("source_offset", offsets, dtype=pl.Int64),
                pl.Series("dataset", [dataset.code], dtype=pl.String).new_from_index(0, len(messages)),
                records["unit"],
                self._city(records["unit"]),
                records["record_id"],
                records["version"],
                records["subject"],
                pl.Series("reported_at", [m.timestamp for m in messages], dtype=pl.Int64).cast(
                    pl.Datetime("ms", "UTC")
                ),
                pl.Series("violations", violations, dtype=pl.String),
            ]
        ).select(VERDICT_COLUMNS.names())

    def _city(self, units: pl.Series) -> pl.Series:
        return by_distinct(units, lambda unit: self._cities.get(unit, "")).alias("city")

    def _frame(self, rows: Iterable[Mapping[str, Any] | None]) -> pl.DataFrame:
        return pl.DataFrame(
            [row for row in rows if row is not None],
            schema={**VERDICT_COLUMNS, "reported_at": pl.Int64, "governed_at": pl.Int64},
            orient="row",
        ).cast({"reported_at": pl.Datetime("ms", "UTC"), "governed_at": pl.Datetime("ms", "UTC")})

    def _rejected_row(self, message: Any) -> dict[str, Any] | None:
        try:
            feedback: Feedback = decode_feedback(message.value)
        except ValueError as error:
            log.error(
                "rejection cannot be read, left out",
                topic=REJECTED_TOPIC,
                offset=message.offset,
                error=str(error),
            )
            return None
        return {
            "source_topic": feedback.source_topic,
            "source_partition": feedback.source_partition,
            "source_offset": feedback.source_offset,
            "dataset": feedback.dataset,
            "unit": feedback.unit,
            "city": self._cities.get(feedback.unit, ""),
            "record_id": feedback.record_id or "",
            "version": feedback.version or 0,
            "subject": "",
            "verdict": feedback.verdict,
            "rule_set": feedback.rule_set,
            "schema_id": -1 if feedback.schema_id is None else feedback.schema_id,
            "reported_at": feedback.reported_at,
            "governed_at": feedback.governed_at,
            "violations": encode_violations(feedback.violations).decode(),
            "again": False,
        }

    def _quarantined_row(self, message: Any) -> dict[str, Any] | None:
        headers = dict(message.headers[:3])
        prefix, _, offset = message.headers[0][1].rpartition(b"=")
        shared = parse_verdict_prefix(prefix + b"=")
        unit, _, record_id = (message.key or b"").decode("utf-8", "replace").partition("|")
        known = unit in self._cities
        reason = headers[REASON_HEADER].decode()
        zh, en = QUARANTINE_REASONS.get(reason, ("", ""))
        violation = {"rule": reason, "value": headers[DETAIL_HEADER].decode(), "message_zh": zh, "message_en": en}
        return {
            "source_topic": shared.source_topic,
            "source_partition": shared.source_partition,
            "source_offset": int(offset),
            "dataset": shared.source_topic.removeprefix(_REPORT_PREFIX),
            "unit": unit if known else "",
            "city": self._cities.get(unit, ""),
            "record_id": record_id[:200] if known else "",
            "version": 0,
            "subject": "",
            "verdict": "quarantined",
            "rule_set": shared.rule_set,
            "schema_id": shared.schema_id,
            "reported_at": message.timestamp,
            "governed_at": shared.governed_at,
            "violations": orjson.dumps([violation]).decode(),
            "again": shared.again,
        }


def _shared_columns(prefixes: list[VerdictPrefix]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "source_topic": [p.source_topic for p in prefixes],
            "source_partition": [p.source_partition for p in prefixes],
            "verdict": [p.verdict for p in prefixes],
            "rule_set": [p.rule_set for p in prefixes],
            "schema_id": [p.schema_id for p in prefixes],
            "governed_at": [p.governed_at for p in prefixes],
            "again": [p.again for p in prefixes],
        },
        schema={
            name: VERDICT_COLUMNS[name]
            for name in ("source_topic", "source_partition", "verdict", "rule_set", "schema_id")
        }
        | {"governed_at": pl.Int64, "again": pl.Boolean},
    ).with_columns(pl.col("governed_at").cast(pl.Datetime("ms", "UTC")))
