"""Columns and rows are two ways to read the same bytes: on every byte string they must say the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_samples import DATASETS, TOY, Schemas, Spoiler, random_record

from schemas.catalog import Dataset
from schemas.columnar import ColumnarDecoder, Columns
from schemas.framing import schema_id_of
from schemas.rowcodec import RecordError, RowCodec
from streams.decoding import ROW_LIMIT, BatchDecoder, CodecCache, Decoded, UnknownIdsError

SCHEMA_ID = 7
LIMIT = 100_000
Refused = dict[int, tuple[str, str]]

LONGEST = 1 << 30


class Reader:
    """Both ways to read messages of one dataset."""

    def __init__(self, dataset: Dataset, schemas: Schemas, random: Random) -> None:
        self.dataset = dataset
        self.schemas = schemas
        self.cache = CodecCache(schemas)
        self.batches = BatchDecoder(dataset, self.cache, max_record_bytes=LIMIT, random_bytes=random.randbytes)

    def batch(self, values: Sequence[bytes | None]) -> tuple[Decoded, Refused]:
        """As the govern agent does it: unknown ids are asked for, and the batch is read again."""
        refused: Refused = {}
        while True:
            try:
                return self.batches.decode(values, refused), refused
            except UnknownIdsError as unknown:
                for schema_id in unknown.ids:
                    if reason := self.cache.learn(self.dataset, schema_id):
                        refused[schema_id] = reason

    def alone(self, value: bytes | None, refused: Refused) -> dict[str, Any] | str:
        """The record, or the reason why nobody can read it."""
        if not value:
            return "empty"
        if len(value) > LIMIT:
            return "too_large"
        schema_id = schema_id_of(value)
        if schema_id is None:
            return "bad_magic"
        if schema_id in refused:
            return refused[schema_id][0]
        codec = self.cache.get(self.dataset, schema_id)
        assert codec is not None
        return _read(codec.rows, value)


def _read(codec: RowCodec, value: bytes) -> dict[str, Any] | str:
    """The record, or the reason why it cannot be read; as fastavro says, whoever has read it."""
    found: list[dict[str, Any] | str] = []
    for decode in (codec.decode, codec.decode_carefully):
        try:
            found.append(decode(value))
        except RecordError as error:
            found.append(error.reason)
    assert found[0] == found[1], value
    if isinstance(found[0], dict):
        assert list(found[0]) == list(codec.dataset.by_name)
        assert [type(one) for one in found[0].values()] == [type(one) for one in found[1].values()]  # type: ignore[union-attr]
    return found[0]


def assert_agree(reader: Reader, values: Sequence[bytes | None]) -> tuple[int, int]:
    """Every message is read, or broken for the same reason, in a batch and alone; how many of each."""
    decoded, refused = reader.batch(values)
    rows = decoded.records if decoded.frame is None else decoded.frame.rows(named=True)
    if decoded.frame is not None:
        assert decoded.frame.schema == reader.dataset.polars_schema
    assert list(decoded.positions) == sorted(decoded.positions)
    together: dict[int, Any] = dict(zip(decoded.positions, rows, strict=True))
    together |= {broken.position: broken.reason for broken in decoded.broken}
    assert len(together) == len(values) == len(rows) + len(decoded.broken)
    for position, value in enumerate(values):
        assert together[position] == reader.alone(value, refused), (position, value)
    for row, position in enumerate(decoded.positions):
        assert decoded.schema_of_row(row) == schema_id_of(values[position] or b"")
    return len(rows), len(decoded.broken)


@pytest.fixture
def random() -> Random:
    return Random(20260101)


def _reader(dataset: Dataset, random: Random) -> tuple[Reader, RowCodec]:
    schemas = Schemas()
    schemas.add(SCHEMA_ID, dataset)
    return Reader(dataset, schemas, random), RowCodec(dataset, SCHEMA_ID, dataset.avro_schema)


@pytest.mark.parametrize("code", DATASETS)
def test_good_messages_are_read_as_columns_and_come_out_as_they_went_in(code: str, random: Random) -> None:
    dataset = DATASETS[code]
    codec = RowCodec(dataset, SCHEMA_ID, dataset.avro_schema)
    records = [random_record(dataset, random) for _ in range(500)]
    values = [codec.encode(record) for record in records]
    columns = ColumnarDecoder(codec, dataset.avro_schema).decode(values, random.randbytes(8), longest=LONGEST)
    assert columns is not None
    assert columns.doubtful == []
    assert columns.frame.schema == dataset.polars_schema
    assert columns.frame.rows(named=True) == records
    assert [codec.decode(value) for value in values] == records


# The toy has every type in every place; a real dataset beside it is the proof that nothing hangs on toys.
@pytest.mark.parametrize("code", ["toy", "administrative_penalty"])
@pytest.mark.parametrize("share", [0.002, 0.02, 0.4])
def test_of_a_batch_with_spoiled_messages_both_ways_read_the_same_and_every_neighbour(
    code: str, share: float, random: Random
) -> None:
    reader, codec = _reader(DATASETS[code], random)
    spoiler = Spoiler(codec, random)
    good = [codec.encode(random_record(reader.dataset, random)) for _ in range(300)]
    spoiled = broken = 0
    for _ in range(round(2 / share**0.3) * 3):
        values: list[bytes | None] = []
        for _ in range(random.choice((ROW_LIMIT - 1, ROW_LIMIT, 2 * ROW_LIMIT + 1, 500))):
            message = random.choice(good)
            if random.random() < share:
                values.append(spoiler.spoil(message))
                spoiled += 1
            else:
                values.append(message)
        broken += assert_agree(reader, values)[1]
    assert spoiled >= broken > spoiled // 4


def test_on_a_hundred_thousand_spoiled_messages_both_ways_agree(random: Random) -> None:
    reader, codec = _reader(TOY, random)
    spoiler = Spoiler(codec, random)
    good = [codec.encode(random_record(TOY, random)) for _ in range(300)]
    reader.cache.learn(TOY, SCHEMA_ID)
    columns = ColumnarDecoder(codec, TOY.avro_schema)
    # What rows can read, however strange, goes together in batches: what columns make of it is then seen. What rows
    # cannot read would hide in a batch of broken ones that rows decide on, so every tenth stands among good ones.
    strange: list[bytes] = []
    broken: list[bytes] = []
    for number in range(100_000):
        value = spoiler.spoil(random.choice(good))
        if value and schema_id_of(value) == SCHEMA_ID:
            if not isinstance(_read(codec, value), str):
                strange.append(value)
            elif number % 10 == 0:
                broken.append(value)
    assert len(strange) > 5000
    assert len(broken) > 5000
    for start in range(0, len(strange), 400):
        assert_agree(reader, strange[start : start + 400])
    for group in _groups(broken, random):
        for batch, found in _as_columns(columns, group, random, good):
            assert found.doubtful == list(range(1, len(batch), 2)), batch
            assert found.frame.rows(named=True) == [codec.decode(value) for value in batch[::2]]
    for group in _groups(strange[:4000], random):
        for batch, found in _as_columns(columns, group, random):
            read = [value for position, value in enumerate(batch) if position not in set(found.doubtful)]
            assert found.frame.rows(named=True) == [codec.decode(value) for value in read]


def _groups(values: list[bytes], random: Random) -> Iterator[list[bytes]]:
    """All of *values*: some alone, the others in groups so small that few of these hold one that spoils it for all."""
    start = 0
    while start < len(values):
        size = random.choice((1, 5, 10, 20))
        yield values[start : start + size]
        start += size


def _as_columns(
    columns: ColumnarDecoder, values: list[bytes], random: Random, good: Sequence[bytes] = ()
) -> Iterator[tuple[list[bytes], Columns]]:
    """What is made of *values*, each of them between two *good* ones where there are any, and of halves where need be.

    Each pair holds all that was given at a time, and what came of it. A value that even alone is left to rows is left
    out.
    """
    given = values
    if good:
        given = [random.choice(good), *(each for value in values for each in (value, random.choice(good)))]
    found = columns.decode(given, random.randbytes(8), longest=LONGEST)
    if found is not None:
        yield given, found
    elif len(values) > 1:
        half = len(values) // 2
        yield from _as_columns(columns, values[:half], random, good)
        yield from _as_columns(columns, values[half:], random, good)


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 2**32))
def test_any_body_at_all_is_read_by_made_code_as_by_fastavro(body: bytes, seed: int) -> None:
    codec = RowCodec(TOY, SCHEMA_ID, TOY.avro_schema)
    good = codec.encode(random_record(TOY, Random(seed)))
    cut = seed % (len(good) + 1)
    for value in (good[:5] + body, good[:cut] + body + good[cut:], good[:cut] + body, good + body, good[:cut]):
        if len(value) >= 5:
            _read(codec, value)


@pytest.mark.parametrize("code", DATASETS)
def test_messages_that_are_plainly_right_are_read_without_fastavro(code: str, random: Random) -> None:
    dataset = DATASETS[code]
    codec = RowCodec(dataset, SCHEMA_ID, dataset.avro_schema)
    assert codec._plain is not None
    records = [record for _ in range(300) if _is_usual(record := random_record(dataset, random))]
    assert len(records) > 50
    for record in records:
        assert codec._plain(codec.encode(record)) == record


def _is_usual(record: dict[str, Any]) -> bool:
    """No text of 8 KB or more, and no number that takes ten bytes."""
    return all(
        len(one.encode()) < 8192 if isinstance(one, str) else not isinstance(one, int) or abs(one) < 2**61
        for one in record.values()
    )


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**32))
def test_any_bytes_at_all_are_read_alike(body: bytes, seed: int) -> None:
    random = Random(seed)
    reader, codec = _reader(TOY, random)
    good = codec.encode(random_record(TOY, random))
    assert_agree(reader, [good] * 50 + [good[:5] + body, body] + [good] * 50)


def test_a_forged_message_that_knows_the_layout_but_not_the_nonce_is_found_out(random: Random) -> None:
    reader, codec = _reader(TOY, random)
    good = codec.encode(random_record(TOY, random))
    # Two messages in one and one that has nothing left: the number of records in the batch would be right.
    values: list[bytes | None] = [good] * 400
    values[100] = good + random.randbytes(8) + good
    values[101] = None
    values[102] = b""
    assert assert_agree(reader, values) == (397, 3)


def test_text_that_is_no_utf8_is_found_without_reading_its_neighbours_again(random: Random) -> None:
    codec = RowCodec(TOY, SCHEMA_ID, TOY.avro_schema)
    records = [random_record(TOY, random) | {"F0": f"text {number}"} for number in range(400)]
    values = [codec.encode(record) for record in records]
    for number in (0, 7, 399):
        values[number] = values[number].replace(f"text {number}".encode(), b"\xff" * len(f"text {number}"))
    columns = ColumnarDecoder(codec, TOY.avro_schema).decode(values, random.randbytes(8), longest=LONGEST)
    assert columns is not None
    assert columns.doubtful == [0, 7, 399]
    assert columns.frame.rows(named=True) == records[1:7] + records[8:399]


def test_a_message_longer_than_allowed_is_in_doubt_whatever_it_holds(random: Random) -> None:
    codec = RowCodec(TOY, SCHEMA_ID, TOY.avro_schema)
    values = [codec.encode(random_record(TOY, random) | {"F0": "x" * size}) for size in (10, 5_000, 10)]
    columns = ColumnarDecoder(codec, TOY.avro_schema).decode(values, random.randbytes(8), longest=5_000)
    assert columns is not None
    assert columns.doubtful == [1]


def test_a_message_with_a_branch_that_no_union_has_is_not_passed_on(random: Random) -> None:
    reader, codec = _reader(TOY, random)
    blank = {"unit": "u", "record_id": "r", "version": 1, "deleted": False}
    good = codec.encode(dict.fromkeys(TOY.by_name) | blank | {"F0": "text"})
    assert good.count(b"\x02\x08text") == 1
    for branch in (b"\x04", b"\x01", b"\x03", b"\x7f", b"\x82\x01", b"\xff\xff\xff\xff\x0f"):
        bad = good.replace(b"\x02\x08text", branch + b"\x08text")
        assert assert_agree(reader, [good] * 150 + [bad] + [good] * 150) == (300, 1)


def _evolved(dataset: Dataset, change: str) -> dict[str, Any]:
    """The dataset's schema as another version of the catalog would have it."""
    schema = dataset.avro_schema
    fields: list[dict[str, Any]] = [dict(field) for field in schema["fields"]]
    nullable = {"name": "XIN", "type": ["null", "string"], "default": None}
    if change == "older, without two fields":
        fields = [field for field in fields if field["name"] not in (fields[6]["name"], fields[-1]["name"])]
    elif change == "newer, with an optional field in the middle":
        fields.insert(7, nullable)
    elif change == "newer, with fields of every kind that must be there":
        kinds = ("string", "boolean", "int", "long", "float", "double", "bytes", {"type": "int", "logicalType": "date"})
        fields += [{"name": f"XIN_{i}", "type": kind} for i, kind in enumerate(kinds)]
    elif change == "one field for another":
        fields[7] = nullable
    elif change == "newer, null last":
        fields.append({"name": "XIN", "type": ["string", "null"], "default": ""})
    elif change == "newer, with a list":
        fields.append({"name": "XIN", "type": {"type": "array", "items": ["null", "string"]}, "default": []})
    elif change == "fields in another order":
        fields = fields[::-1]
    elif change == "text that has to be there":
        fields = [field | {"type": "string"} if field["type"] == ["null", "string"] else field for field in fields]
        for field in fields:
            field.pop("default", None)
    return {**schema, "fields": fields}


_CHANGES = (
    "older, without two fields",
    "newer, with an optional field in the middle",
    "newer, with fields of every kind that must be there",
    "one field for another",
    "newer, null last",
    "newer, with a list",
    "fields in another order",
    "text that has to be there",
)
_EXTRA = {"XIN": None, **{f"XIN_{i}": v for i, v in enumerate(("新", True, 5, -7, 1.5, 2.5, b"\0\1", 20_000))}}


@pytest.mark.parametrize("change", _CHANGES)
def test_records_of_older_and_newer_schemas_are_read_with_the_fields_that_the_catalog_knows(
    change: str, random: Random
) -> None:
    schema = _evolved(TOY, change)
    schemas = Schemas()
    schemas.add(SCHEMA_ID, TOY)
    schemas.add(SCHEMA_ID + 1, TOY, schema)
    reader = Reader(TOY, schemas, random)
    codec = RowCodec(TOY, SCHEMA_ID + 1, schema)
    written = {field["name"]: field["type"] for field in schema["fields"]}
    expected, values = [], []
    for number in range(300):
        record = random_record(TOY, random)
        record |= {name: "" for name in TOY.by_name if written.get(name) == "string" and record[name] is None}
        extra = _EXTRA | {"XIN": [None, "新"] if "list" in change else random.choice((None, "新"))}
        values.append(codec.encode({name: (record | extra)[name] for name in written}))
        expected.append(record | {name: None for name in TOY.by_name if name not in written})
        assert codec.decode(values[-1]) == expected[-1], number
    decoded, _ = reader.batch(values)
    assert decoded.frame is not None
    assert decoded.frame.rows(named=True) == expected
    spoiler = Spoiler(codec, random)
    current = RowCodec(TOY, SCHEMA_ID, TOY.avro_schema)
    mixed = values + [current.encode(random_record(TOY, random)) for _ in range(300)]
    for _ in range(10):
        batch = random.sample(mixed, 400)
        assert_agree(reader, [spoiler.spoil(value) if random.random() < 0.02 else value for value in batch])


@pytest.mark.parametrize(
    "schema",
    [
        ["null", "string"],
        "string",
        {"type": "enum", "name": "e", "symbols": ["A"]},
        {"type": "record", "name": "r", "fields": [{"name": "unit", "type": "no.such.type"}]},
        {"type": "object", "properties": {}},
    ],
    ids=["union", "primitive", "enum", "broken record", "not Avro"],
)
def test_a_schema_that_is_no_record_quarantines_its_messages_and_stops_nothing(schema: Any, random: Random) -> None:
    reader, codec = _reader(TOY, random)
    reader.schemas.add(8, TOY, schema)
    good = codec.encode(random_record(TOY, random))
    decoded, _ = reader.batch([good] * 120 + [b"\0\0\0\0\x08" + good[5:]])
    assert [(broken.position, broken.reason) for broken in decoded.broken] == [(120, "wrong_subject")]


def test_messages_of_another_datasets_schema_are_quarantined(random: Random) -> None:
    reader, codec = _reader(TOY, random)
    other = DATASETS["legal_person"]
    reader.schemas.add(8, other)
    good = codec.encode(random_record(TOY, random))
    foreign = RowCodec(other, 8, other.avro_schema).encode(random_record(other, random))
    decoded, _ = reader.batch([good] * 120 + [foreign])
    assert [(broken.position, broken.reason) for broken in decoded.broken] == [(120, "wrong_subject")]
