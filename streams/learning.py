"""Decoding that asks for the schemas that it does not know yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schemas.catalog import Dataset
from streams.decoding import CodecCache, UnknownIdsError

T = TypeVar("T")

#: Schema ids that cannot be used for a batch: reason and detail of its quarantine.
Refused = dict[int, tuple[str, str]]


def learn_and_decode(attempt: Callable[[Refused], T], codecs: CodecCache, dataset: Dataset) -> T:
    """What *attempt* returns once every schema id that it raises UnknownIdsError for is known, or refused.

    Blocking. Raises RegistryUnavailable when nobody could be asked.
    """
    refused: Refused = {}
    while True:
        try:
            return attempt(refused)
        except UnknownIdsError as unknown:
            for schema_id in unknown.ids:
                if reason := codecs.learn(dataset, schema_id):
                    refused[schema_id] = reason
