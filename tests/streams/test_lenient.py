"""Header names that are not UTF-8 stop nobody."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition
from odd_batches import PLACEHOLDER, Record, batch_bytes, transactional

from streams.lenient import KeptRecords, LenientPartitionRecords, install

ESCAPED = "\\xb2\\xbf\\xc3\\xc5"
PLAIN: list[Record] = [(b"k%d" % i, b"v%d" % i, [("trace", b"1")] if i % 2 else []) for i in range(5)]
ODD: list[Record] = [
    (b"a", b"1", [("来源", b"x")]),
    (b"b", None, [("good", b"y"), (PLACEHOLDER, b"z"), ("none", None)]),
    (None, b"3", [(PLACEHOLDER, b"")]),
    (b"d", b"4", []),
]
CODECS = pytest.mark.parametrize("codec", range(5), ids=["none", "gzip", "snappy", "lz4", "zstd"])


def _read(raw: bytes, kind: Any = LenientPartitionRecords, fetch_offset: int = 0) -> list[Any]:
    place = TopicPartition("t", 0)
    return list(kind(place, KeptRecords(raw), None, fetch_offset, None, None, True, 0))


@CODECS
def test_a_record_with_a_strange_header_name_is_read_with_all_its_neighbours(codec: int) -> None:
    raw = batch_bytes(PLAIN, codec) + batch_bytes(ODD, codec, base_offset=5) + batch_bytes(PLAIN, codec, base_offset=9)
    with pytest.raises(UnicodeDecodeError):
        _read(raw, fetcher.PartitionRecords.__mro__[-2])
    records = _read(raw)
    assert [record.offset for record in records] == list(range(14))
    found = [(record.key, record.value, list(record.headers)) for record in records]
    escaped = [(k, v, [(ESCAPED if name == PLACEHOLDER else name, x) for name, x in h]) for k, v, h in ODD]
    assert found == [(k, v, list(h)) for k, v, h in [*PLAIN, *escaped, *PLAIN]]
    assert {record.timestamp for record in records} == {1_700_000_000_000}


@CODECS
def test_reading_goes_on_from_any_offset_in_the_middle(codec: int) -> None:
    raw = batch_bytes(ODD, codec) + batch_bytes(PLAIN, codec, base_offset=4)
    for begin in range(4):
        assert [record.offset for record in _read(raw, fetch_offset=begin)] == list(range(begin, 9))


def test_a_batch_that_the_broker_has_cut_off_is_left_for_the_next_fetch() -> None:
    whole = batch_bytes(ODD)
    cut = batch_bytes(PLAIN, base_offset=4)[:-3]
    assert [record.offset for record in _read(whole + cut)] == [0, 1, 2, 3]


def test_what_needs_no_leniency_is_read_as_aiokafka_reads_it() -> None:
    raw = batch_bytes(PLAIN) + batch_bytes(PLAIN, 3, base_offset=5)
    theirs = _read(raw, fetcher.PartitionRecords.__mro__[-2])
    assert [_parts(record) for record in _read(raw)] == [_parts(record) for record in theirs]


@pytest.mark.parametrize("odd", [PLAIN[:4], ODD], ids=["plain", "odd"])
def test_what_a_transaction_has_given_up_is_left_out_whatever_its_headers(odd: list[Record]) -> None:
    aborted, committed = 7, 8
    raw = (
        transactional(odd, aborted, 0)
        + transactional(odd, committed, 4)
        + transactional(ODD, aborted, 8)
        + transactional([(struct.pack(">HH", 0, 0), b"", [])], aborted, 12, mark=True)
        + transactional([(struct.pack(">HH", 0, 1), b"", [])], committed, 13, mark=True)
        + transactional(odd, aborted, 14)  # another one of the same producer, which it kept
    )
    given_up = [(aborted, 0)]
    place = TopicPartition("t", 0)
    strict = LenientPartitionRecords(place, KeptRecords(raw), given_up, 0, None, None, True, fetcher.READ_COMMITTED)
    assert [record.offset for record in strict] == [4, 5, 6, 7, 14, 15, 16, 17]
    assert strict.next_fetch_offset == 18
    anything = LenientPartitionRecords(place, KeptRecords(raw), given_up, 0, None, None, True, fetcher.READ_UNCOMMITTED)
    assert [record.offset for record in anything] == [*range(12), *range(14, 18)]


def test_installing_twice_is_installing_once() -> None:
    install()
    install()
    assert fetcher.PartitionRecords is LenientPartitionRecords
    assert fetcher.MemoryRecords is KeptRecords


def _parts(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, tuple(record.headers)
