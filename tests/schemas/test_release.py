"""A release arrives whole and as it was published, or not at all."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import orjson
import pytest

from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.numbered import Numbered
from schemas.release import Release, ReleaseError
from schemas.units import Regions, Units


@pytest.fixture(scope="module")
def files() -> Release:
    catalog, regions, units = Catalog.load(), Regions.load(), Units.load()
    return Release(catalog, regions, units, Assignments.load(catalog, units, regions))


@pytest.fixture(scope="module")
def content(files: Release) -> dict[str, Any]:
    _, value = files.published(1, 2, 3).encode()
    read: dict[str, Any] = orjson.loads(gzip.decompress(value))["content"]
    return read


def test_a_release_that_was_sent_is_the_one_that_was_read(files: Release) -> None:
    key, value = files.published(7, 1_700_000_000_000, rules=2).encode()
    received = Release.decode(key, value)
    assert (key, received.number, received.published_at_ms, received.rules) == (b"7", 7, 1_700_000_000_000, 2)
    assert received.digest == files.digest
    for dataset in files.catalog:
        same = received.catalog[dataset.code]
        # Examples hold dates, which are text on their way.
        assert same.model_dump(mode="json") == dataset.model_dump(mode="json")
        assert same.avro_schema == dataset.avro_schema
        assert received.assignments.of_dataset(dataset.code) == files.assignments.of_dataset(dataset.code)
    assert [one.code for one in received.catalog] == [one.code for one in files.catalog]
    assert set(received.units) == set(files.units)
    assert set(received.regions) == set(files.regions)


def test_the_hash_is_that_of_the_content_alone(files: Release) -> None:
    assert files.published(7, 1, rules=2).digest == files.digest
    fewer = Units(list(files.units)[1:])
    assert replace(files, units=fewer).digest != files.digest


def test_equal_files_make_equal_messages(files: Release) -> None:
    again = Release(Catalog.load(), Regions.load(), Units.load(), files.assignments)
    assert again.published(1, 2, 3).encode() == files.published(1, 2, 3).encode()


def _message(**changes: Any) -> tuple[bytes, bytes]:
    body = {"layout": 1, "number": 1, "published_at": 0, "needs": 0, "digest": "", "content": {}} | changes
    return b"1", gzip.compress(orjson.dumps(body))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"1", b""),
        (b"1", b"\x1f\x8b garbage"),
        (b"1", gzip.compress(b"{")),
        (b"1", gzip.compress(b"[]")),
        (b"1", gzip.compress(b"{}")),
        (b"1", gzip.compress(b"[" * 100_000)),
        (b"1", gzip.compress(bytes(300_000_000))),
        _message(layout=2),
        _message(number=True),
        _message(number=-1),
        _message(number="1"),
        _message(digest="0" * 64),
        (b"2", Numbered(1, 0, 0, {}).encode()),
        (b"1", Numbered(1, 0, 0, None).encode()),
        (b"1", Numbered(1, 0, 0, {}).encode()),
        (b"1", Numbered(1, 0, 0, {"datasets": [], "regions": [], "units": [], "assignments": []}).encode()),
        (b"1", Numbered(1, 0, 0, {}).encode()[:-1]),
        (b"1", Numbered(1, 0, 0, {}).encode() + b"more"),
    ],
    ids=range(18),
)
def test_what_is_no_release_is_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(ReleaseError):
        Release.decode(key, value)


@pytest.mark.parametrize(
    "part", [{"datasets": [{}]}, {"regions": []}, {"units": [{"code": 1}]}, {"assignments": [{"dataset": "none"}]}]
)
def test_a_release_with_one_broken_part_is_refused_as_a_whole(content: dict[str, Any], part: dict[str, Any]) -> None:
    with pytest.raises(ReleaseError):
        Release.decode(b"1", Numbered(1, 0, 0, content | part).encode())


def test_a_dataset_that_is_there_twice_is_refused(content: dict[str, Any]) -> None:
    twice = content | {"datasets": [*content["datasets"], content["datasets"][0]]}
    with pytest.raises(ReleaseError, match="twice"):
        Release.decode(b"1", Numbered(1, 0, 0, twice).encode())
