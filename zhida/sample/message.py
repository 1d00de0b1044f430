"""What the sample province sends, and what the right answer to each message is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import fastavro

from schemas.catalog import Catalog
from schemas.framing import frame_header
from schemas.verdict import Verdict

#: What a message is in the life of its record.
Trait = Literal["report", "correction", "moved", "late", "deleted", "duplicate", "unreadable"]
#: A schema id that no registry gives out before its two-thousand-millionth schema.
UNREGISTERED_ID = 2_147_000_000


@dataclass(frozen=True, slots=True)
class Expected:
    """The right answer: verdict, ids of all rules that are broken, and the reason of a quarantined message.

    It is the verdict at the end: some records are suspect until one that they refer to has come. The two messages of a
    ``group`` (1, 2, …; 0 is none) may have each other's answers: the first that is judged is accepted, the other not.
    """

    verdict: Verdict
    rules: frozenset[str] = frozenset()
    reason: str | None = None
    group: int = 0


ACCEPTED = Expected("accepted")


@dataclass(frozen=True, slots=True)
class RawValue:
    """Bytes that are sent as they are.

    ``schema`` says what goes in front of ``body``: nothing (None), the header of the dataset with that code, or that of
    a schema id which is not registered (``"?"``). Without a body there is no value at all.
    """

    schema: str | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """One message, in order of ``seq`` (0, 1, 2, …).

    ``record`` is None where ``raw`` is sent instead, and the other way round. ``unit`` is the unit that is told when
    the verdict is not accepted, None where nobody can be told. ``standing`` is True for the message whose record is in
    the stores at the end.
    ``subject`` names whom an accepted record is about in clear: (``uscc``, ``reg`` or ``id``, number).
    """

    seq: int
    dataset: str
    key: bytes | None
    unit: str | None
    record: dict[str, Any] | None
    raw: RawValue | None
    expected: Expected
    trait: Trait
    standing: bool = False
    subject: tuple[str, str] | None = None


@dataclass(slots=True)
class MessageEncoder:
    """Makes the bytes of a message; *schema_ids* are the registered ids of the datasets' report topics."""

    catalog: Catalog
    schema_ids: Mapping[str, int]
    _bodies: BodyEncoder = field(init=False)
    _headers: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._bodies = BodyEncoder(self.catalog)
        self._headers = {dataset: frame_header(schema_id) for dataset, schema_id in self.schema_ids.items()}
        self._headers["?"] = frame_header(UNREGISTERED_ID)

    def value(self, message: SampleMessage) -> bytes | None:
        """The message's value as it goes to Kafka."""
        raw = message.raw
        if message.record is not None:
            return self._headers[message.dataset] + self._bodies.encode(message.dataset, message.record)
        if raw is None:
            return None
        if raw.body is None or raw.schema is None:
            return raw.body
        return self._headers[raw.schema] + raw.body


class BodyEncoder:
    """Avro bodies of records, without the header."""

    def __init__(self, catalog: Catalog) -> None:
        self._schemas = {dataset.code: fastavro.parse_schema(dataset.avro_schema) for dataset in catalog}

    def encode(self, dataset: str, record: Mapping[str, Any]) -> bytes:
        """The Avro body; raises what fastavro raises for a record that does not fit."""
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self._schemas[dataset], record)
        return buffer.getvalue()
