"""Hostile messages in the middle of a batch of good ones: exactly those are set apart, and nothing stops."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer
from odd_batches import PLACEHOLDER, with_odd_names
from wire import Sent, Wire, header_list

from schemas.framing import frame_header
from schemas.topics import DETAIL_HEADER, REASON_HEADER
from zhida.demo import drain

pytestmark = pytest.mark.real
GOOD = 3000
MEGABYTE = 1 << 20


def _after_number(good: bytes, at: int) -> int:
    while good[at] > 127:
        at += 1
    return at + 1


def _name_field(good: bytes) -> int:
    """Where the name of the party stands, the first field after unit, record id, version and deleted."""
    at = 5
    for _ in range(2):
        at = _after_number(good, at) + good[at] // 2
    at = _after_number(good, at) + 1
    assert good[at] == 2
    return at


def _not_utf8(good: bytes) -> bytes:
    at = _after_number(good, _name_field(good) + 1)
    return good[:at] + b"\xff\xfe\xfd" + good[at + 3 :]


def _no_such_branch(good: bytes) -> bytes:
    """Branch 3 of a union of two."""
    at = _name_field(good)
    return good[:at] + b"\x06" + good[at + 1 :]


#: Reason → what is sent instead of a good message. The first six are those that the platform promises to bear.
POISON: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "invalid UTF-8": ("undecodable", _not_utf8),
    "20 MB": ("too_large", lambda good: good + b"x" * (20 * MEGABYTE)),
    "unknown schema id": ("unknown_schema", lambda good: frame_header(2_000_000_000) + good[5:]),
    "wrong magic byte": ("bad_magic", lambda good: b"\1" + good[1:]),
    "extra bytes": ("trailing_bytes", lambda good: good + b"\0\0"),
    "forged two records": ("trailing_bytes", lambda good: good + secrets.token_bytes(8) + good),
    "the body twice": ("trailing_bytes", lambda good: good + good[5:]),
    "cut short": ("truncated", lambda good: good[:-7]),
    "no value": ("empty", lambda good: None),
    "nothing but a header": ("truncated", lambda good: good[:5]),
    "a negative schema id": ("bad_magic", lambda good: b"\0\xff\xff\xff\xff" + good[5:]),
    "a branch that no union has": ("undecodable", _no_such_branch),
    "JSON": ("bad_magic", lambda good: b'{"unit": "x"}'),
    "a number that never ends": ("truncated", lambda good: good[:5] + b"\xff" * 40),
}


def test_poison_in_the_middle_of_a_batch_is_set_apart_alone_and_its_neighbours_are_accepted(wire: Wire) -> None:
    platform, dataset = wire.platform, wire.catalog["administrative_penalty"]
    started = {name: worker.child.pid for name, worker in platform.workers.items() if not name.startswith("govern")}
    messages = wire.sound(GOOD)
    good = wire.pairs(messages)
    victims = wire.pairs(wire.sound(len(POISON)))
    spoiled = [(key, spoil(value or b"")) for (key, value), (_, spoil) in zip(victims, POISON.values(), strict=True)]
    # Nobody reads while they are sent, so that good and bad ones are fetched together.
    platform.stop_worker("govern-1")
    half = GOOD // 2
    before = wire.send(good[:half], partition=1)
    bad = wire.send(spoiled, partition=1)
    # One more after each: an undetected shift would show in the message behind it.
    mixed = wire.send([pair for i, one in enumerate(spoiled) for pair in (good[half + i], one)], partition=1)
    after = wire.send(good[half + len(spoiled) :], partition=1)
    platform.start_worker("govern-1", ["govern"])
    every = [*before, *bad, *mixed, *after]
    wire.wait_judged(every, 120)

    reasons = [reason for reason, _ in POISON.values()]
    expected = {one.place: reason for one, reason in zip(bad, reasons, strict=True)}
    expected |= {one.place: reason for one, reason in zip(mixed[1::2], reasons, strict=True)}
    quarantined = wire.quarantined()
    found = {
        place: (dict(header_list(message))[REASON_HEADER] or b"").decode() for place, message in quarantined.items()
    }
    assert found == expected
    sent: dict[tuple[str, int, int], Sent] = {one.place: one for one in every}
    for place, message in quarantined.items():
        assert (message.key(), message.value(), message.timestamp()[1]) == (
            sent[place].key,
            sent[place].value,
            sent[place].timestamp,
        )
        assert dict(header_list(message))[DETAIL_HEADER]
    accepted = wire.accepted(dataset)
    for place, one in sent.items():
        if place not in expected:
            assert accepted[place].value() == one.value
    assert not accepted.keys() & expected.keys()
    told = wire.feedback(messages[0].unit or "")
    assert not told.keys() & {one.place for one in before}
    # The sinks have taken all of it, and nobody has died of it.
    drain(platform.settings, platform.watch)
    now = {name: worker.child.pid for name, worker in platform.workers.items() if not name.startswith("govern")}
    assert now == started


def test_units_are_told_why_their_message_could_not_be_read(wire: Wire) -> None:
    victim = wire.sound(1)[0]
    value = wire.encoder.value(victim) or b""
    sent = wire.send([(victim.key, spoil(value)) for _, spoil in POISON.values()], partition=0)
    wire.wait_judged(sent)
    told = wire.feedback(victim.unit or "")
    assert [told[one.place].verdict for one in sent] == ["quarantined"] * len(POISON)
    assert [told[one.place].violations[0].rule for one in sent] == [reason for reason, _ in POISON.values()]
    assert {told[one.place].record for one in sent} == {None}


def test_header_names_that_are_not_utf8_stop_nobody(wire: Wire) -> None:
    platform, dataset = wire.platform, wire.catalog["administrative_penalty"]
    started = {name: worker.child.pid for name, worker in platform.workers.items()}
    pairs = wire.pairs(wire.sound(20))
    first = asyncio.run(_send_odd(wire, pairs[:10], dataset.report_topic, 0))
    after = wire.send(pairs[10:], partition=0)
    wire.wait_judged(after)
    accepted = wire.accepted(dataset)
    for offset, (key, value) in enumerate(pairs[:10], start=first):
        message = accepted[dataset.report_topic, 0, offset]
        assert (message.key(), message.value()) == (key, value)
        assert header_list(message)[-2:] == [("\\xb2\\xbf\\xc3\\xc5", b"1"), ("trace", b"2")]
    assert {one.place for one in after} <= accepted.keys()
    drain(platform.settings, platform.watch)
    assert {name: worker.child.pid for name, worker in platform.workers.items()} == started


async def _send_odd(wire: Wire, pairs: list[tuple[bytes | None, bytes | None]], topic: str, partition: int) -> int:
    """Send a batch as a client in C could; the offset of its first record."""
    producer = AIOKafkaProducer(**wire.kafka.aiokafka(), acks="all")
    await producer.start()
    try:
        batch = producer.create_batch()
        now = int(time.time() * 1000)
        for key, value in pairs:
            batch.append(timestamp=now, key=key, value=value, headers=[(PLACEHOLDER, b"1"), ("trace", b"2")])
        batch.close()
        build = batch._build
        batch._build = lambda: with_odd_names(bytes(build()))
        return (await (await producer.send_batch(batch, topic, partition=partition))).offset
    finally:
        await producer.stop()
