"""Personal data on its way into stores: masks for display, keyed hashes for look-up, and the subject of a record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import polars as pl

from schemas.catalog import Dataset, DatasetField, PiiClass
from schemas.distinct import by_distinct

#: Classes that stores hold in clear: names of legal representatives are public by regulation.
UNMASKED: frozenset[PiiClass] = frozenset({"none", "name"})
PERSON_PREFIX = "p:"
REGISTRATION_PREFIX = "reg:"
_DIGEST_SIZE = 16
#: What ``str.strip`` takes away; Polars leaves the last four of ASCII's control characters by default.
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))


def person_key(id_number: str, secret: bytes) -> str:
    """The look-up key of a natural person: ``p:`` and 32 hex digits of keyed BLAKE2b of the upper-cased number."""
    normalised = id_number.strip().upper().encode()
    return PERSON_PREFIX + hashlib.blake2b(normalised, key=secret[:64], digest_size=_DIGEST_SIZE).hexdigest()


def mask(value: str, pii: PiiClass) -> str:
    """*value* as it may be shown.

    Id number and account: first 4 and last 2; telephone: first 3 and last 2; address: first 6; name: first character.
    """
    if pii in ("id_number", "account"):
        return value[:4] + "*" * max(len(value) - 6, 4) + value[-2:] if len(value) > 8 else "*" * 8
    if pii == "phone":
        return value[:3] + "*" * max(len(value) - 5, 4) + value[-2:] if len(value) > 7 else "*" * 8
    if pii == "address":  # province and city; a short one may be all street
        return value[:6] + "*" * max(len(value) - 6, 4) if len(value) > 8 else "*" * 8
    if pii == "name":
        return value[:1] + "*" * max(len(value) - 1, 1)
    return value


def stored_masked(field: DatasetField) -> bool:
    """True where stores hold only the mask."""
    return field.pii not in UNMASKED


def subject_of(record: Mapping[str, Any], dataset: Dataset, secret: bytes) -> str:
    """The subject key of one record: USCC, ``reg:<number>``, ``p:<hash>`` or ``""``; blanks count as missing."""
    spec = dataset.subject
    if spec.uscc and (uscc := (record.get(spec.uscc) or "").strip()):
        return str(uscc)
    if spec.registration_number and (number := (record.get(spec.registration_number) or "").strip()):
        return REGISTRATION_PREFIX + str(number)
    if spec.id_number and (number := (record.get(spec.id_number) or "").strip()):
        return person_key(number, secret)
    return ""


def protect(frame: pl.DataFrame, dataset: Dataset, secret: bytes) -> pl.DataFrame:
    """The frame with a ``subject`` column added and personal fields masked; the columnar twin of :func:`subject_of`."""
    spec = dataset.subject
    candidates = [_filled(spec.uscc)] if spec.uscc else []
    if spec.registration_number:
        candidates.append(REGISTRATION_PREFIX + _filled(spec.registration_number))
    if spec.id_number:
        hashed = by_distinct(
            frame[spec.id_number], lambda number: person_key(number, secret) if number.strip() else None
        )
        candidates.append(pl.lit(hashed))
    subject = pl.coalesce(*candidates, pl.lit("")).alias("subject")
    masked = [
        by_distinct(frame[field.name], partial(_masked, pii=field.pii))
        for field in dataset.business_fields
        if stored_masked(field)
    ]
    return frame.with_columns(subject, *masked)


def _masked(value: str, pii: PiiClass) -> str | None:
    return mask(value, pii) if value.strip() else None


def _filled(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars(_BLANKS)
    return pl.when(text != "").then(text)
