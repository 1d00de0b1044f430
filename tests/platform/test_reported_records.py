"""What units send in all its variety: compression, headers, times, schemas; and who is told what."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from wire import Sent, Wire, header_list

from schemas.catalog import Dataset
from schemas.registry.client import RegistryClient
from schemas.rowcodec import RowCodec
from schemas.topics import HEADER_PREFIX, VERDICT_HEADER, VIOLATIONS_HEADER
from schemas.units import Units

pytestmark = pytest.mark.real
COMMIT_INTERVAL = 1.0


@pytest.fixture
def dataset(wire: Wire) -> Dataset:
    return wire.catalog["administrative_penalty"]


def _as_sent(wire: Wire, dataset: Dataset, sent: list[Sent]) -> None:
    """All of *sent* are accepted on the same partition with the same key, bytes and time."""
    wire.wait_judged(sent)
    accepted = wire.accepted(dataset)
    for one in sent:
        message = accepted[one.place]
        assert message.partition() == one.place[1]
        assert (message.key(), message.value(), message.timestamp()[1]) == (one.key, one.value, one.timestamp)


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "zstd", "snappy"])
def test_records_are_accepted_byte_for_byte_however_their_batch_is_compressed(
    wire: Wire, dataset: Dataset, codec: str
) -> None:
    sent = wire.send(wire.pairs(wire.sound(300)), compression_type=codec)
    assert len(sent) == 300
    _as_sent(wire, dataset, sent)


def test_a_units_own_headers_are_kept_and_those_that_would_pass_for_ours_are_not(wire: Wire, dataset: Dataset) -> None:
    own = [("trace", b"00-1"), ("来源", "乙".encode()), ("empty", b""), ("none", None), ("trace", b"00-2")]
    forged = [(HEADER_PREFIX + name, b"verdict=accepted") for name in ("verdict", "violations", "reason", "other")]
    sent = wire.send(wire.pairs(wire.sound(3)), headers=[*forged[:2], *own, *forged[2:]])
    wire.wait_judged(sent)
    accepted = wire.accepted(dataset)
    for one in sent:
        headers = header_list(accepted[one.place])
        ours = [name for name, _ in headers if name.startswith(HEADER_PREFIX)]
        assert ours in ([VERDICT_HEADER], [VERDICT_HEADER, VIOLATIONS_HEADER])
        assert headers[len(ours) :] == own
        assert b"verdict=accepted" not in [value for _, value in headers]


@pytest.mark.parametrize("timestamp", [1, 1_500_000_000_000], ids=["1970", "2017"])
def test_the_time_that_a_unit_gives_is_kept(wire: Wire, dataset: Dataset, timestamp: int) -> None:
    sent = wire.send(wire.pairs(wire.sound(2)), timestamp=timestamp)
    assert {one.timestamp for one in sent} == {timestamp}
    _as_sent(wire, dataset, sent)


def test_offsets_are_committed_within_an_interval_and_a_second_after_the_last_record(wire: Wire) -> None:
    # Faust's own bookkeeping falls ever further behind: that would show in every round, a busy machine only in some.
    waited = []
    for _ in range(3):
        sent = []
        for _ in range(10):
            sent += wire.send(wire.pairs(wire.sound(40)), linger_ms=1)
        began = time.monotonic()
        wire.wait_judged(sent)
        waited.append(time.monotonic() - began)
        if waited[-1] <= COMMIT_INTERVAL + 1:
            break
    print(f"committed after {', '.join(f'{seconds:.2f} s' for seconds in waited)}")
    assert min(waited) <= COMMIT_INTERVAL + 1
    assert all(committed == end for committed, end in wire.committed().values())


def test_a_schema_that_is_registered_later_is_accepted_later(wire: Wire, dataset: Dataset) -> None:
    extra = {"name": "XIN_ZIDUAN", "type": ["null", "string"], "default": None}
    schema = {**dataset.avro_schema, "fields": [*dataset.avro_schema["fields"], extra]}
    with RegistryClient(wire.platform.settings.registry()) as registry:
        coming = registry.register("test.the-newest-id", {"type": "string"}) + 1
        codec = RowCodec(dataset, coming, schema)
        early, late = wire.sound(2)
        assert early.record is not None
        assert late.record is not None
        first = wire.send([(early.key, codec.encode(early.record | {"XIN_ZIDUAN": "早"}))])
        wire.wait_judged(first)
        assert registry.register(dataset.subject_name, schema) == coming
    # That an id is unknown is remembered for a second.
    time.sleep(1.2)
    second = wire.send([(late.key, codec.encode(late.record | {"XIN_ZIDUAN": "晚"}))])
    wire.wait_judged(second)
    quarantined = wire.quarantined()
    assert dict(header_list(quarantined[first[0].place]))["zhida-reason"] == b"unknown_schema"
    assert second[0].place in wire.accepted(dataset)
    assert second[0].place not in quarantined


def test_feedback_goes_to_the_topic_of_the_unit_that_it_concerns_and_to_no_other(wire: Wire, dataset: Dataset) -> None:
    units = [unit.code for unit in Units.load() if unit.line == "市场监管"][:3]
    sound, suspect, rejected, unreadable = wire.sound(4)
    for message, unit in zip((sound, suspect, rejected), units, strict=True):
        assert message.record is not None
        message.record["unit"] = unit
    assert suspect.record is not None
    assert rejected.record is not None
    suspect.record.update(CF_NR_FK=Decimal(900_000_000), CF_CFLB="罚款")
    rejected.record.update(CF_WSH=None)
    keys = [f"{unit}|1".encode() for unit in units]
    values = [wire.encoder.value(message) for message in (sound, suspect, rejected, unreadable)]
    assert values[3] is not None
    sent = wire.send(
        [
            (keys[0], values[0]),
            (keys[1], values[1]),
            (keys[2], values[2]),
            (keys[0], values[3][:40]),
            ("没有这个单位|1".encode(), values[3][:41]),
            (None, values[3][:42]),
        ],
        partition=0,
    )
    wire.wait_judged(sent)
    told = {unit: wire.feedback(unit) for unit in units}
    mine = {unit: {one.place: told[unit][one.place] for one in sent if one.place in told[unit]} for unit in units}
    assert {unit: [item.verdict for item in items.values()] for unit, items in mine.items()} == {
        units[0]: ["quarantined"],
        units[1]: ["suspect"],
        units[2]: ["rejected"],
    }
    assert mine[units[0]][sent[3].place].violations[0].rule == "truncated"
    rejection = mine[units[2]][sent[2].place]
    assert rejection.record == values[2]
    assert "CF_WSH" in {violation.field for violation in rejection.violations}
    assert mine[units[1]][sent[1].place].record is None
    accepted = wire.accepted(dataset)
    assert [one.place in accepted for one in sent] == [True, True, False, False, False, False]
    violations = dict(header_list(accepted[sent[1].place])).get(VIOLATIONS_HEADER) or b""
    assert b'"severity":"suspect"' in violations
    quarantined = wire.quarantined()
    assert [one.place in quarantined for one in sent] == [False, False, False, True, True, True]


@pytest.mark.slow
def test_while_the_registry_is_away_workers_wait_and_nothing_is_quarantined(wire: Wire, dataset: Dataset) -> None:
    platform = wire.platform
    extra = {"name": "XIN_ZIDUAN_2", "type": ["null", "string"], "default": None}
    schema = {**dataset.avro_schema, "fields": [*dataset.avro_schema["fields"], extra]}
    with RegistryClient(platform.settings.registry()) as registry:
        registry.set_compatibility("NONE", dataset.subject_name)
        fresh = registry.register(dataset.subject_name, schema)
    real = "registry" in platform.workers
    platform.stop_worker("registry" if real else "services")
    try:
        codec = RowCodec(dataset, fresh, schema)
        messages = wire.sound(20)
        sent = wire.send([(message.key, codec.encode(message.record or {})) for message in messages])
        end = time.monotonic() + 8
        while time.monotonic() < end:
            platform.watch()
            time.sleep(0.1)
        assert not {one.place for one in sent} & wire.quarantined().keys()
        assert not {one.place for one in sent} & wire.accepted(dataset).keys()
    finally:
        if real:
            platform.start_worker("registry", ["registry"])
        else:
            platform.start_services()
    wire.wait_judged(sent, 90)
    assert not {one.place for one in sent} & wire.quarantined().keys()
    assert {one.place for one in sent} <= wire.accepted(dataset).keys()
