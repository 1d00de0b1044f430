"""Datasets, records and ways to spoil a message, for tests of both decoders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from schemas.catalog import Catalog, Dataset
from schemas.framing import frame_header, zigzag
from schemas.registry.client import UnknownSchema
from schemas.rowcodec import RowCodec
from schemas.types import FIRST_DAY, LAST_DAY

Record = dict[str, Any]
_TEXTS = ("", " ", "a", "南京市市场监督管理局", "é", "\0", "91320000MA1", "证" * 30, "x" * 63, "y" * 64, "字" * 3000)


def _toy() -> Dataset:
    """Every catalog type twice, so that each stands between others, with text at both ends."""
    types = ("string", "boolean", "long", "date", "timestamp", "decimal", "string")
    fields = [{"name": f"F{i}", "zh": "字段", "en": "field", "type": kind} for i, kind in enumerate(types * 2)]
    subject = {"uscc": "F0", "registration_number": "F6", "name": "F7"}
    whole = {"code": "toy", "zh": "玩具", "en": "toy", "category": "c", "event_date": "F3", "subject": subject}
    return Dataset.model_validate(whole | {"fields": fields})


TOY = _toy()
DATASETS = {"toy": TOY} | {dataset.code: dataset for dataset in Catalog.load()}


class Schemas:
    """A registry's memory: schemas by id, each under one subject."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, Any]] = {}

    def add(self, schema_id: int, dataset: Dataset, schema: Any = None) -> int:
        self._known[schema_id] = (dataset.subject_name, dataset.avro_schema if schema is None else schema)
        return schema_id

    def schema(self, schema_id: int) -> dict[str, Any]:
        if schema_id not in self._known:
            raise UnknownSchema(str(schema_id))
        return self._known[schema_id][1]

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return frozenset({self._known[schema_id][0]})


def random_record(dataset: Dataset, random: Random) -> Record:
    """Any record that the wire can hold, with the ends of every range."""
    record: Record = {}
    for field in dataset.fields:
        nullable = field in dataset.business_fields
        record[field.name] = None if nullable and random.random() < 0.3 else _VALUES[field.type](random)
    return record


_VALUES: dict[str, Callable[[Random], Any]] = {
    "string": lambda random: random.choice(_TEXTS),
    "boolean": lambda random: random.random() < 0.5,
    "long": lambda random: random.choice(
        (0, 1, -1, 63, 64, -64, -65, 2**31, -(2**63), 2**63 - 1, random.getrandbits(60))
    ),
    "date": lambda random: random.choice(
        (FIRST_DAY, LAST_DAY, date(1970, 1, 1), date(2020, 1, 1) + timedelta(random.randrange(3000)))
    ),
    "timestamp": lambda random: random.choice(
        (
            datetime(1900, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
            datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=random.randrange(10**10)),
        )
    ),
    "decimal": lambda random: Decimal(random.choice((0, 1, -1, 127, 128, -128, -129, 10**18 - 1, 1 - 10**18))).scaleb(
        -6
    ),
}


class Spoiler:
    """Makes unreadable, strange or merely unusual messages of good ones."""

    def __init__(self, codec: RowCodec, random: Random) -> None:
        self._codec = codec
        self._random = random
        self._ways = [getattr(self, name) for name in dir(self) if name.startswith("way_")]

    def spoil(self, message: bytes) -> bytes | None:
        """One or two things wrong with *message*; now and then nothing."""
        spoiled = self._random.choice(self._ways)(message)
        if spoiled and self._random.random() < 0.2:
            spoiled = self._random.choice(self._ways)(spoiled)
        return spoiled

    def _at(self, message: bytes) -> int:
        return self._random.randrange(min(5, len(message) - 1), len(message)) if len(message) > 1 else 0

    def way_flip_a_bit(self, message: bytes) -> bytes:
        at = self._at(message)
        return message[:at] + bytes([message[at] ^ 1 << self._random.randrange(8)]) + message[at + 1 :]

    def way_another_byte(self, message: bytes) -> bytes:
        at = self._at(message)
        strange = self._random.choice((0, 1, 2, 3, 4, 5, 6, 0x7F, 0x80, 0x81, 0xFE, 0xFF, self._random.randrange(256)))
        return message[:at] + bytes([strange]) + message[at + 1 :]

    def way_cut(self, message: bytes) -> bytes:
        return message[: self._random.randrange(len(message))]

    def way_cut_inside(self, message: bytes) -> bytes:
        at = self._at(message)
        return message[:at] + message[at + self._random.randrange(1, 4) :]

    def way_insert(self, message: bytes) -> bytes:
        at = self._at(message)
        return message[:at] + self._random.randbytes(self._random.randrange(1, 12)) + message[at:]

    def way_append(self, message: bytes) -> bytes:
        return message + self._random.choice((b"\0", b"\2", b"\0\0\0", self._random.randbytes(13), b"\xff" * 20))

    def way_two_bodies(self, message: bytes) -> bytes:
        return message + message[5:]

    def way_two_messages(self, message: bytes) -> bytes:
        return message + message

    def way_guard_like(self, message: bytes) -> bytes:
        """A record, what could pass for a guard, and another: two records where only the joined batch is looked at."""
        return message + self._random.randbytes(8) + message

    def way_two_with_half_each(self, message: bytes) -> bytes:
        at = self._at(message)
        return message[:at] + message[5:]

    def way_overlong_number(self, message: bytes) -> bytes:
        """A number with more bytes than it needs, or more than any may have."""
        at = self._at(message)
        zeros = b"\x80" * self._random.choice((0, 1, 2, 7, 8, 9, 10, 11, 20))
        return message[:at] + bytes([message[at] | 0x80]) + zeros + b"\0" + message[at + 1 :]

    def way_random_body(self, message: bytes) -> bytes:
        return message[:5] + self._random.randbytes(self._random.randrange(80))

    def way_zeros(self, message: bytes) -> bytes:
        return message[:5] + bytes(self._random.randrange(80))

    def way_nothing(self, message: bytes) -> bytes | None:
        return self._random.choice((None, b"", message[:1], message[:5]))

    def way_magic(self, message: bytes) -> bytes:
        return self._random.choice((b"\1", b"{", b"O")) + message[1:]

    def way_other_schema(self, message: bytes) -> bytes:
        return frame_header(self._random.choice((self._codec.schema_id + 900, 0, 2**32 - 1))) + message[5:]

    def way_unusual_value(self, message: bytes) -> bytes:
        """A whole new body whose fields stand in the right places with values that no serializer would write."""
        body = b"".join(self._field(field["type"]) for field in self._codec.dataset.avro_schema["fields"])
        return message[:5] + body

    def _field(self, avro: Any) -> bytes:
        if isinstance(avro, list):
            branch = (
                self._random.choice((0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, -1, -2, 7, 2**40)) if self._rarely() else 1
            )
            return zigzag(branch) + (b"" if branch in (0, -2) else self._value(avro[1]))
        return self._value(avro)

    def _rarely(self) -> bool:
        return self._random.random() < 0.2

    def _value(self, avro: Any) -> bytes:
        kind = avro.get("logicalType") if isinstance(avro, dict) else avro
        rare = self._rarely()
        if kind == "boolean":
            return self._random.choice((b"\2", b"\xff", b"\1")) if rare else b"\1"
        if kind == "string":
            text = (
                self._random.choice((b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80")) if rare else b"ok"
            )
            return zigzag(len(text)) + text
        if kind == "decimal":
            raw = self._random.choice(_ODD_DECIMALS) if rare else b"\5"
            return zigzag(len(raw)) + raw
        numbers = _ODD_NUMBERS if rare else (20_000,)
        number = zigzag(self._random.choice(numbers))
        return number[:-1] + bytes([number[-1] | 0x80, 0]) if rare and len(number) < 9 else number


_ODD_NUMBERS = (
    120_529, 120_530, -25_567, -25_568, 2_932_896, 2_932_897, -719_162, -719_163,
    2**31, -(2**31) - 1, 2**32 + 5, 253_402_300_799_999, 253_402_300_800_000,
    -62_135_596_800_000, -62_135_596_800_001, 2**63 - 1, -(2**63), -(2**62),
)  # fmt: skip
_ODD_DECIMALS = (
    b"", b"\0" * 8 + b"\5", b"\0" * 15 + b"\5", b"\0" * 16 + b"\5", b"\xff" * 16, b"\xff" * 17, b"\x7f" * 16,
    b"\x80" + bytes(15), b"\1" * 20, (10**18).to_bytes(8, "big"), (-(10**18)).to_bytes(8, "big", signed=True),
    b"\x80" + bytes(7), (10**18 - 1).to_bytes(9, "big"),
)  # fmt: skip
