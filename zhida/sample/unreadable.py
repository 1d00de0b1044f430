"""Messages that nobody can read: one maker for every reason to quarantine."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

from zhida.sample.message import BodyEncoder, RawValue

Record = dict[str, Any]
#: A string field of each dataset that is long enough to hide something in.
_TEXT_FIELDS = {
    "legal_person": "JYFW",
    "administrative_licence": "XK_NR",
    "administrative_penalty": "CF_SY",
    "abnormal_operation": "LRYY",
}


class UnreadableMaker:
    """Spoils the bytes of a good record."""

    def __init__(self, bodies: BodyEncoder, random: Random, oversize: int) -> None:
        self._bodies = bodies
        self._random = random
        self._oversize = oversize
        self._datasets = tuple(_TEXT_FIELDS)
        self.makers: dict[str, Callable[[str, Record], RawValue]] = {
            "empty": self._empty,
            "too_large": self._too_large,
            "bad_magic": self._bad_magic,
            "unknown_schema": self._unknown_schema,
            "wrong_subject": self._wrong_subject,
            "truncated": self._truncated,
            "trailing_bytes": self._trailing_bytes,
            "undecodable": self._undecodable,
        }

    def make(self, reason: str, dataset: str, record: Record) -> RawValue:
        """The bytes of *record* of *dataset*, unreadable for *reason*."""
        return self.makers[reason](dataset, record)

    def _empty(self, dataset: str, record: Record) -> RawValue:
        return RawValue(None, self._random.choice((None, b"")))

    def _too_large(self, dataset: str, record: Record) -> RawValue:
        big = record | {_TEXT_FIELDS[dataset]: "证" * (self._oversize // 3 + 1)}
        return RawValue(dataset, self._bodies.encode(dataset, big))

    def _bad_magic(self, dataset: str, record: Record) -> RawValue:
        body = self._bodies.encode(dataset, record)
        as_json = orjson.dumps({"unit": record["unit"], "record_id": record["record_id"], "data": "不是 Avro"})
        return RawValue(None, self._random.choice((as_json, b"\x01\x00\x00\x00\x01" + body, b"<xml/>", b"PK\x03\x04")))

    def _unknown_schema(self, dataset: str, record: Record) -> RawValue:
        return RawValue("?", self._bodies.encode(dataset, record))

    def _wrong_subject(self, dataset: str, record: Record) -> RawValue:
        other = self._datasets[(self._datasets.index(dataset) + self._random.randrange(1, 4)) % 4]
        return RawValue(other, self._bodies.encode(dataset, record))

    def _truncated(self, dataset: str, record: Record) -> RawValue:
        body = self._bodies.encode(dataset, record)
        return RawValue(dataset, body[: self._random.randrange(len(body))])

    def _trailing_bytes(self, dataset: str, record: Record) -> RawValue:
        body = self._bodies.encode(dataset, record)
        # Twice the same body would pass for two records where only the joined batch is looked at.
        return RawValue(dataset, body + self._random.choice((b"\0", b"\0\0\0", "尾".encode(), body)))

    def _undecodable(self, dataset: str, record: Record) -> RawValue:
        body = self._bodies.encode(dataset, record)
        text = str(record[_TEXT_FIELDS[dataset]]).encode()
        at = body.index(text) + 3 * self._random.randrange(3)
        wrong = self._random.choice((b"\xff\xfe\xfd", b"\xc0\xaf\x80", b"\xed\xa0\x80", b"\xd5\xe3a"))  # not UTF-8
        return RawValue(dataset, body[:at] + wrong + body[at + 3 :])
