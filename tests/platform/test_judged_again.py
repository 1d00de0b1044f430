"""A record that refers to what has not come yet: suspect at once, judged again when that comes, everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import redis
from wire import Sent, Wire

from schemas.verdict import Feedback
from sinks.redis.reader import HotCache
from zhida.platform import start_platform
from zhida.sample.generate import NO_FAULTS
from zhida.sample.message import SampleMessage
from zhida.settings import Settings
from zhida.stack.testing import chosen_stack, free_port

pytestmark = pytest.mark.real
PENALTY = "administrative_penalty"


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A platform of its own: what is flushed and killed here is nobody else's."""
    settings = Settings.load(
        data_dir=tmp_path_factory.mktemp("judged-again") / "var",
        registry_port=free_port(),
        api_port=free_port(),
        govern_session_timeout_s=3.0,
        partitions=2,
    )
    with start_platform(settings, real=chosen_stack() == "real", report=print) as platform:
        yield Wire(platform)


def _until(wire: Wire, look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline, what
        wire.platform.watch()
        time.sleep(0.05)


def _rules(told: Feedback) -> set[str]:
    return {violation.rule.split(".")[2] for violation in told.violations}


def _penalties(wire: Wire, count: int) -> list[SampleMessage]:
    """Of companies of the province, each one its own, whose registrations have not been reported."""
    made = [one for one in wire.sound(count * 6 + 20, faults=NO_FAULTS) if one.record and _local(one.record)]
    return list({one.record["CF_XDR_SHXYM"]: one for one in made if one.record}.values())[:count]


def _local(penalty: dict[str, Any]) -> bool:
    return penalty["CF_XDR_LB"] == "法人及非法人组织" and penalty["CF_XDR_SHXYM"].startswith("32", 2)


def _registration(wire: Wire, penalty: SampleMessage) -> SampleMessage:
    """The registration of the company that *penalty* is about."""
    (plain,) = wire.sound(1, "legal_person")
    assert plain.record is not None
    assert penalty.record is not None
    record = plain.record | {"TYSHXYDM": penalty.record["CF_XDR_SHXYM"], "JGMC": penalty.record["CF_XDR_MC"]}
    return replace(plain, record=record)


def _told(wire: Wire, penalty: SampleMessage, sent: Sent) -> Feedback | None:
    return wire.feedback(penalty.unit or "").get(sent.place)


def _stored_verdict(wire: Wire, penalty: SampleMessage) -> str:
    assert penalty.record is not None
    with closing(HotCache.connect(wire.platform.settings.redis())) as cache:
        (records,) = cache.many([penalty.record["CF_XDR_SHXYM"]])
    return next((one.verdict for one in records if one.record_id == penalty.record["record_id"]), "")


def test_a_penalty_before_its_company_is_suspect_and_accepted_once_that_is_registered(wire: Wire) -> None:
    penalties = _penalties(wire, 3)
    sent = wire.send(wire.pairs(penalties))
    wire.wait_judged(sent)
    for penalty, one in zip(penalties, sent, strict=True):
        told = _told(wire, penalty, one)
        assert told is not None
        assert (told.verdict, _rules(told)) == ("suspect", {"reference"})
        _until(wire, lambda penalty=penalty: _stored_verdict(wire, penalty) == "suspect", "not stored")
    registered = [_registration(wire, penalty) for penalty in penalties[:2]]
    wire.wait_judged(wire.send(wire.pairs(registered), dataset="legal_person"))
    for penalty, one in zip(penalties[:2], sent, strict=False):
        _until(wire, lambda penalty=penalty, one=one: _accepted(wire, penalty, one), "not judged again")
        _until(wire, lambda penalty=penalty: _stored_verdict(wire, penalty) == "accepted", "not stored again")
    third = _told(wire, penalties[2], sent[2])
    assert third is not None
    assert third.verdict == "suspect"


def _accepted(wire: Wire, penalty: SampleMessage, sent: Sent) -> bool:
    told = _told(wire, penalty, sent)
    return told is not None and (told.verdict, told.violations) == ("accepted", ())


def test_what_a_killed_worker_has_left_waiting_is_judged_again_by_the_next(wire: Wire) -> None:
    penalties = _penalties(wire, 2)
    sent = wire.send(wire.pairs(penalties))
    wire.wait_judged(sent)
    wire.platform.kill_worker("govern-1")
    registered = [_registration(wire, penalty) for penalty in penalties]
    confirmed = wire.send(wire.pairs(registered), dataset="legal_person")
    wire.wait_judged(confirmed)
    for penalty, one in zip(penalties, sent, strict=True):
        _until(wire, lambda penalty=penalty, one=one: _accepted(wire, penalty, one), "not judged again")


def test_of_two_records_with_one_number_the_second_is_suspect_until_the_first_is_corrected(wire: Wire) -> None:
    first, second = _penalties(wire, 2)
    assert first.record is not None
    assert second.record is not None
    same = ("CF_WSH", "CF_CFJGDM", "CF_CFJG", "CF_XDR_MC", "CF_XDR_SHXYM")
    second = replace(second, record=second.record | {name: first.record[name] for name in same})
    wire.wait_judged(wire.send(wire.pairs([_registration(wire, first)]), dataset="legal_person"))
    (sent_first,) = wire.send(wire.pairs([first]))
    wire.wait_judged([sent_first])
    (sent_second,) = wire.send(wire.pairs([second]))
    wire.wait_judged([sent_second])
    assert _told(wire, first, sent_first) is None
    told = _told(wire, second, sent_second)
    assert told is not None
    assert "uniqueness" in _rules(told)
    assert f"{first.record['unit']}" in told.violations[0].message_zh
    corrected = replace(first, record=first.record | {"CF_WSH": "苏更正〔2026〕1号", "version": 2})
    wire.wait_judged(wire.send(wire.pairs([corrected])))
    _until(wire, lambda: _accepted(wire, second, sent_second), "not judged again")


def test_after_a_loss_of_redis_what_was_accepted_is_known_again(wire: Wire) -> None:
    penalty, *_ = _penalties(wire, 1)
    wire.wait_judged(wire.send(wire.pairs([_registration(wire, penalty)]), dataset="legal_person"))
    with redis.Redis.from_url(wire.platform.settings.redis().url) as client:
        client.flushall()
    (sent,) = wire.send(wire.pairs([penalty]))
    wire.wait_judged([sent])
    assert _told(wire, penalty, sent) is None
