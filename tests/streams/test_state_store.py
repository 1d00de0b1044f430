from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state_cases import LICENCE, PENALTY, PERSON, Call, Told, cut, lives, plans
from state_servers import OwnRedis
from texts_of import texts_of

from rules.state.definitions import Distribution, Index, Question, Replies, StatePlan
from rules.state.memory import MemoryState
from schemas.connection import RedisConnection
from streams.state.due import DueList
from streams.state.errors import StateError, StateLost, StateUnavailable
from streams.state.marks import IndexMarks
from streams.state.packing import Packer, topic_code
from streams.state.store import RedisState
from zhida.stack import RunningStack

SECRET = b"a secret of tests"
ALL = 2**62
#: Commands whose work does not grow with what is kept, or with its logarithm only (ranges: as long as asked for).
BOUNDED = {
    *("GET", "SET", "INCRBY", "EXISTS", "HSETNX", "HGET", "HMGET", "HSET", "HDEL", "EXPIRE", "RENAME", "PERSIST"),
    *("RPUSH", "SADD", "ZADD", "ZREM", "ZSCORE", "ZRANGE", "ZREVRANGE"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A state, its due lists and a client of the same server."""

    state: RedisState
    due: DueList
    client: redis.Redis
    connection: RedisConnection

    def drain(self, topic: str, partitions: int = 3) -> set[tuple[str, int, int]]:
        places = [(topic, partition) for partition in range(partitions)]
        found: set[tuple[str, int, int]] = set()
        while taken := self.due.take(places, dict.fromkeys(places, ALL), 5000):
            for (name, partition), offsets in taken.items():
                assert offsets == sorted(offsets)
                found |= {(name, partition, offset) for offset in offsets}
                self.due.done(name, partition, offsets)
        return found


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["stack", "oldest"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """On the stack's Redis, and on one of the oldest version."""
    if request.param == "stack":
        stack: RunningStack = request.getfixturevalue("stack")
        connection = stack.settings.redis()
    else:
        connection = request.getfixturevalue("own_redis").connection
    client = redis.Redis.from_url(connection.url, **connection.options())
    opened = Place(RedisState(connection, secret=SECRET, wait_days=3), DueList(connection), client, connection)
    yield opened
    opened.state.close()
    opened.due.close()
    client.close()


@pytest.fixture
def salt() -> str:
    return secrets.token_hex(6)


def row(identity: str, offset: int, *pairs: str, version: int = 1) -> tuple[str, ...]:
    return Told(identity, version, offset, pairs).row


def unique(salt: str) -> StatePlan:
    """Who held a number first?"""
    index = Index(LICENCE.code, (salt,), "v")
    question = Question(index, "first", ("number",))
    return StatePlan(LICENCE, (index,), (question,), waiting=frozenset({question}))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=lives(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_redis_answers_and_wakes_as_the_state_in_memory_does_however_batches_are_cut(
    place: Place, calls: list[Call], sizes: list[int]
) -> None:
    salt = secrets.token_hex(6)
    memory, both = MemoryState(), plans(salt)
    for call in calls:
        plan, topic = both[call.plan], f"{salt}.{call.plan}"
        expected = memory.ask(plan, topic, call.partition, call.texts, write=call.write)
        found: dict[int, object] = {}
        stale: set[int] = set()
        at = 0
        for part in cut(call, sizes):
            replies = place.state.ask(plan, topic, part.partition, part.texts, write=part.write)
            found |= {at + number: what for number, what in replies.found.items()}
            stale |= {at + number for number in replies.stale}
            at += len(part.told)
        assert (found, stale) == (expected.found, expected.stale)
        assert set[object]().union(*(place.drain(f"{salt}.{number}") for number in range(len(both)))) == memory.due
        memory.due.clear()


@settings(max_examples=30, deadline=None)
@given(calls=lives(), size=st.integers(1, 4))
def test_a_frame_and_tuples_are_packed_into_the_same_bytes(calls: list[Call], size: int) -> None:
    packer = Packer(SECRET)
    for call in calls:
        rows = [one.row for one in call.told]
        packed = [
            list(packer.pack(plans("")[call.plan], ("t", 1), texts_of(*rows, frame=frame), size, write=True, wait=9))
            for frame in (True, False)
        ]
        assert packed[0] == packed[1]


def test_indexes_that_the_rules_of_the_moment_do_not_have_are_left_as_they_are(place: Place, salt: str) -> None:
    (one,), (two,) = unique(f"{salt}1").indexes, unique(f"{salt}2").indexes
    asked = (Question(one, "known", ("k",)), Question(two, "known", ("k",)))
    first, second = StatePlan(LICENCE, (one,)), StatePlan(LICENCE, (two,))

    def holders(key: str) -> list[bool]:
        row_asked = texts_of(row("u|asks", 99, key, "", key, ""))
        missing = place.state.ask(StatePlan(PERSON, (), asked), "asks", 0, row_asked, write=False).found.get(0, {})
        return [number not in missing for number in range(2)]

    place.state.ask(first, salt, 0, texts_of(row("u|a", 1, "old", "v")))
    place.state.ask(second, salt, 0, texts_of(row("u|a", 1, "old", "")))
    assert holders("old") == [True, True]
    place.state.ask(second, salt, 0, texts_of(row("u|a", 2, "new", "", version=2)))
    assert (holders("old"), holders("new")) == ([True, False], [False, True])
    # As when the first is built again.
    place.state.ask(first, salt, 0, texts_of(row("u|a", 1, "old", "v"), row("u|a", 2, "new", "v", version=2)))
    assert (holders("old"), holders("new")) == ([False, False], [True, True])
    place.state.ask(StatePlan(LICENCE, (two, one)), salt, 0, texts_of(row("u|a", 3, "", "", "new", "w", version=3)))
    assert (holders("old"), holders("new")) == ([False, False], [True, False])


def test_batches_of_several_calls_are_answered_as_one(place: Place, salt: str) -> None:
    plan, memory = plans(salt)[0], MemoryState()
    for frame in (True, False):
        rows = [
            row(f"u|{n % 900}", n, *([f"k{n % 311}", f"{n % 7}"] * 6), version=n // 900 + frame) for n in range(1203)
        ]
        texts = texts_of(*rows, frame=frame)
        assert place.state.ask(plan, salt, 0, texts) == memory.ask(plan, salt, 0, texts)
    assert place.drain(salt) == memory.due


def test_what_was_answered_once_is_answered_again_after_a_crash(place: Place, salt: str) -> None:
    plan = unique(salt)
    rows = [row(f"u|{n}", n, *([f"k{n % 50}", f"{n % 7}"] * 2)) for n in range(200)]
    first = place.state.ask(plan, salt, 0, texts_of(*rows))
    assert first.found
    before = place.client.get("z:came")
    assert place.state.ask(plan, salt, 0, texts_of(*rows, frame=True)) == first
    assert place.client.get("z:came") == before, "a repeated call must write nothing new"


def test_without_writing_nothing_is_changed(place: Place, salt: str) -> None:
    rows = [row("u|a", 1, "k", "", "k", ""), row("u|b", 2, "k", "", "k", "")]
    assert place.state.ask(unique(salt), salt, 0, texts_of(*rows), write=False) == Replies()
    assert not list(place.client.scan_iter(f"*{unique(salt).indexes[0].id}*"))


def test_no_key_is_stored_in_clear(place: Place, salt: str) -> None:
    number = "91320000MA1XXXXX0X" + salt
    rows = [row(f"u|{n}", n, number, "", number, "") for n in range(2)]
    place.state.ask(unique(salt), salt, 0, texts_of(*rows))
    names = list(place.client.scan_iter(f"*{unique(salt).indexes[0].id}*", count=10_000))
    assert len(names) >= 3
    for name in names:
        assert number.encode() not in name + place.client.dump(name)


def test_another_secret_finds_nothing(place: Place, salt: str) -> None:
    place.state.ask(unique(salt), salt, 0, texts_of(row("u|a", 1, "k", "", "k", "")))
    other = RedisState(place.connection, secret=b"another", wait_days=3)
    assert not other.ask(unique(salt), salt, 0, texts_of(row("u|b", 2, "k", "", "k", ""))).found
    other.close()


def test_halves_of_surrogate_pairs_come_back_as_they_went(place: Place, salt: str) -> None:
    odd = "u|\ud800"
    place.state.ask(unique(salt), salt, 0, texts_of(row(odd, 1, odd, odd, odd, "")))
    assert place.state.ask(unique(salt), salt, 0, texts_of(row("u|b", 2, odd, "", odd, ""))).found == {0: {0: (odd,)}}


def test_texts_longer_than_the_state_keeps_are_refused(place: Place, salt: str) -> None:
    rows = [row("u" * 301, 1, "k", "", "k", "")]
    for frame in (True, False):
        with pytest.raises(ValueError, match="300"):
            place.state.ask(unique(salt), salt, 0, texts_of(*rows, frame=frame))


def test_a_key_that_a_multitude_holds_costs_no_more_than_any_other(place: Place, salt: str) -> None:
    index = Index(LICENCE.code, (salt,), "v")
    modes = [Question(index, mode, ("k",), "v") for mode in ("known", "agrees", "first", "clear")]
    plan = StatePlan(LICENCE, (index,), tuple(modes), waiting=frozenset(modes))
    crowd = 20_000
    rows = [row(f"u|{n}", n, "k", f"{n}") for n in range(crowd)]
    place.state.ask(plan.index_only, salt, 0, texts_of(*rows, frame=True))
    asked = [row(f"u|{n}", crowd + n, *["k", f"{n}x"] * 5, version=2) for n in range(0, crowd, 1000)]
    asked += [row(f"u|{n}", crowd + n, *["other", ""] * 5, version=3) for n in range(5)]
    commands: list[list[str]] = []
    with place.client.monitor() as monitor:
        place.state.ask(plan, salt, 0, texts_of(*asked))
        place.client.echo(salt)
        for heard in monitor.listen():
            if heard["command"] == f"ECHO {salt}":
                break
            if heard["client_type"] == "lua":
                commands.append(heard["command"].upper().split())
    assert {"ZRANGE", "ZREVRANGE", "ZREM", "ZADD"} <= {command[0] for command in commands}
    for name, *arguments in commands:
        assert name in BOUNDED
        if name in ("ZRANGE", "ZREVRANGE"):
            assert int(arguments[2]) < 8
    assert len(commands) < 20 * len(asked)
    place.drain(salt)


def test_many_that_wait_for_one_event_are_spread_in_portions(place: Place, salt: str) -> None:
    licence, person, _ = plans(salt)
    known = licence.questions[1]
    asks = StatePlan(LICENCE, (), (known,), waiting=frozenset({known}))
    crowd, before = 2600, place.due.size()
    place.state.ask(asks, salt, 1, texts_of(*(row(f"u|{n}", 10**12 + n, "k", "") for n in range(crowd)), frame=True))
    place.state.ask(person.index_only, f"{salt}.1", 0, texts_of(row("p|1", 1, "k", "")))
    assert place.due.size() == before + crowd
    sizes = [0]
    while sizes[-1] < crowd:
        place.due.take([(salt, 1)], {(salt, 1): 5})
        sizes.append(place.client.zcard(f"z:due:{topic_code(salt)}:1"))
        assert sizes[-2] < sizes[-1] < sizes[-2] + 1200
    assert place.drain(salt) == {(salt, 1, 10**12 + n) for n in range(crowd)}


def test_all_that_wait_for_the_first_holder_of_a_key_are_woken_however_many_they_are(place: Place, salt: str) -> None:
    penalties = Index(PENALTY.code, (salt,))
    revoked = Question(penalties, "clear", ("number",))
    asks = StatePlan(LICENCE, (), (revoked,), waiting=frozenset({revoked}))
    # Partition 12 begins as partition 1 does, and the offsets are the same.
    calls = [(partition, texts_of(row(f"u|{partition}.{n}", n, "k", ""))) for n in range(60) for partition in (12, 1)]
    memory = MemoryState()
    for partition, texts in [*calls, *calls[:7]]:
        assert place.state.ask(asks, salt, partition, texts) == memory.ask(asks, salt, partition, texts)
    comes = StatePlan(PENALTY, (penalties,), (), waiting=frozenset())
    for state in (place.state, memory):
        state.ask(comes, f"{salt}.1", 0, texts_of(row("p|1", 1, "k", "")))
    assert len(memory.due) == 120
    assert place.drain(salt, 13) == memory.due


def test_who_waits_longer_than_the_given_days_is_forgotten(place: Place, salt: str) -> None:
    plan = unique(salt)
    place.state.ask(plan, salt, 0, texts_of(row("u|a", 1, "k", "", "k", ""), row("u|b", 2, "k", "", "k", "")))
    (name,) = place.client.scan_iter(f"z:w:{plan.indexes[0].id}*", count=10_000)
    assert 2 * 86_400 < place.client.ttl(name) <= 3 * 86_400
    place.state.ask(plan, salt, 0, texts_of(row("u|a", 3, "", "", "", "", version=2)))
    # What was woken must not be lost before it is spread over the lists.
    assert place.client.ttl(place.client.lindex("z:woken", -1)) == -1
    assert place.drain(salt) == {(salt, 0, 2)}


def test_due_offsets_stay_until_they_are_done_and_come_when_they_are_committed(place: Place, salt: str) -> None:
    one, two = (salt, 0), (salt, 7)
    place.due.add(*one, [5, 3, 9])
    place.due.add(*two, [1])
    assert place.due.take([one], {}) == {}
    assert place.due.take([one, two], {one: 6, two: 1}) == {one: [3, 5]}
    assert place.due.take([one, two], {one: 100, two: 2}) == {one: [3, 5], two: [1]}
    place.due.done(*one, [3, 5])
    assert place.due.take([one], {one: 100}) == {one: [9]}
    place.due.done(*one, [9])
    place.due.done(*two, [1])
    assert place.due.take([one, two], {one: 100, two: 100}) == {}


def test_what_is_woken_while_it_is_judged_again_is_due_once_more(place: Place, salt: str) -> None:
    where = (salt, 0)
    place.due.add(*where, [5])
    assert place.due.take([where], {where: 9}) == {where: [5]}
    place.due.add(*where, [5])
    place.due.done(*where, [5])
    assert place.due.take([where], {where: 9}) == {where: [5]}
    place.due.done(*where, [5])
    assert place.due.take([where], {where: 9}) == {}


def test_a_partition_that_gets_nothing_done_does_not_keep_others_waiting(place: Place, salt: str) -> None:
    places = [(salt, number) for number in range(3)]
    for where in places:
        place.due.add(*where, range(1000))
    taken = place.due.take(places, dict.fromkeys(places, ALL), 300)
    assert {where: len(offsets) for where, offsets in taken.items()} == dict.fromkeys(places, 100)
    place.drain(salt)


def test_an_idle_look_at_the_due_lists_is_one_round_trip(place: Place, salt: str) -> None:
    places = [(salt, number) for number in range(64)]
    place.due.take(places, dict.fromkeys(places, ALL))
    with redis.Redis.from_url(place.connection.url, **place.connection.options()) as teller:
        # It greets the server before anybody listens: that is none of the look's commands.
        teller.ping()
        with place.client.monitor() as monitor:
            assert place.due.take(places, dict.fromkeys(places, ALL)) == {}
            teller.echo(salt)
            heard = []
            for command in monitor.listen():
                if command["command"] == f"ECHO {salt}":
                    break
                heard.append((command["client_type"], command["command"].split()[0]))
    assert [command for kind, command in heard if kind != "lua"] == ["EVALSHA"]
    assert len(heard) <= 3


def test_two_workers_at_once_agree_on_who_was_first(place: Place, salt: str) -> None:
    plan, keys = unique(salt), 100
    flagged: dict[str, str] = {}
    rounds = 6

    def work(worker: str) -> None:
        state = RedisState(place.connection, secret=SECRET, wait_days=3)
        for number in range(rounds):
            rows = [row(f"{worker}|{number}.{n}", n, f"{n}", "", f"{n}", "") for n in range(keys)]
            for at, found in state.ask(plan, salt, 0, texts_of(*rows, frame=True)).found.items():
                flagged[rows[at][0]] = found[0][0]
        state.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(flagged) == 2 * rounds * keys - keys
    assert len(set(flagged.values())) == keys
    assert not flagged.keys() & set(flagged.values())


def test_a_server_that_was_restarted_is_sent_the_programs_again(place: Place, salt: str) -> None:
    place.state.ask(unique(salt), salt, 0, texts_of(row("u|a", 1, "k", "", "k", "")))
    place.due.take([], {})
    place.client.script_flush()
    assert place.state.ask(unique(salt), salt, 0, texts_of(row("u|b", 2, "k", "", "k", ""))).found == {0: {0: ("u|a",)}}
    assert place.due.take([(salt, 0)], {(salt, 0): ALL}) == {}


def test_the_days_limit_is_fixed_by_the_first_who_asks(place: Place, salt: str) -> None:
    today = date(2026, 11, 23)
    usual = Distribution(LICENCE.code, salt, days=3, quantile=0.5, times=2.0, least=10)
    other = Distribution(LICENCE.code, salt, days=3, quantile=0.5, times=2.0, least=10_000)
    memory = MemoryState()
    for back, buckets in enumerate([{1: 100}, {8: 4, 16: 3}, {}, {24: 4}, {80: 1000}]):
        for state in (memory, place.state):
            state.count(usual, today - timedelta(days=back), buckets)
    expected = memory.limits([usual, other], today)
    assert list(expected) == [usual]
    assert place.state.limits([usual, other], today) == expected
    place.state.count(usual, today - timedelta(days=1), {50: 1000})
    worker = RedisState(place.connection, secret=SECRET, wait_days=3)
    assert worker.limits([usual, other], today) == expected
    assert worker.limits([usual], today + timedelta(days=1)) != expected
    worker.close()
    assert 0 < place.client.ttl(f"z:h:{usual.id}:{today}") <= 5 * 86_400
    (name,) = place.client.scan_iter(f"z:u:{usual.name.removeprefix('@usual.')}:{today}", count=10_000)
    assert 0 < place.client.ttl(name) <= 2 * 86_400


def test_marks_locks_and_the_deletion_of_an_index(place: Place, salt: str) -> None:
    marks = IndexMarks(place.connection)
    plan, other = unique(salt), unique(salt + "other")
    ids = [one.indexes[0].id for one in (plan, other)]
    assert marks.not_ready(ids) == set(ids)
    marks.mark_ready(ids[:1])
    assert marks.not_ready(ids) == {ids[1]}
    assert marks.not_ready([]) == set()

    assert marks.lock_building(salt, "a", 60)
    assert marks.lock_building(salt, "a", 60)
    assert not marks.lock_building(salt, "b", 60)
    marks.unlock_building(salt, "b")
    assert not marks.lock_building(salt, "b", 60)
    marks.unlock_building(salt, "a")
    assert marks.lock_building(salt, "b", 0.001)

    for one in (plan, other):
        rows = [row("u|a", 1, "k", "", "k", ""), row("u|b", 2, "k", "", "k", "")]
        place.state.ask(one, salt, 0, texts_of(*rows))
    assert marks.size().entries > 0
    assert marks.size().memory > 0
    assert marks.forget(ids[0]) == 4  # a mark of many holders, the holders, who waits, and that somebody does
    assert not list(place.client.scan_iter(f"*{ids[0]}*", count=10_000))
    assert place.state.ask(other, salt, 0, texts_of(*rows[1:])).found == {0: {0: ("u|a",)}}
    # What is told of once more is there again.
    assert place.state.ask(plan, salt, 0, texts_of(*rows)).found == {1: {0: ("u|a",)}}
    assert place.state.ask(plan, salt, 0, texts_of(*rows)).found == {1: {0: ("u|a",)}}
    marks.close()


def test_a_server_that_may_evict_any_key_is_refused(own_redis: OwnRedis) -> None:
    client = redis.Redis.from_url(own_redis.connection.url)
    state = RedisState(own_redis.connection, secret=SECRET, wait_days=3)
    state.check()
    client.config_set("maxmemory", "1gb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StateError, match="allkeys-lru"):
        state.check()
    client.config_set("maxmemory-policy", "noeviction")
    state.check()
    client.config_set("maxmemory", "0")
    state.close()


def test_each_fault_of_the_server_is_told_with_its_remedy(own_redis: OwnRedis, salt: str) -> None:
    client = redis.Redis.from_url(own_redis.connection.url)
    state = RedisState(own_redis.connection, secret=SECRET, wait_days=3)

    def fault(kind: type[StateError]) -> str:
        with pytest.raises(StateError) as caught:
            state.ask(unique(salt), salt, 0, texts_of(row("u|a", 1, "k", "", "k", "")))
        assert type(caught.value) is kind
        return str(caught.value)

    client.config_set("maxmemory", "1")
    assert "maxmemory" in fault(StateError)
    client.config_set("maxmemory", "0")
    client.replicaof("127.0.0.1", "1")
    assert "primary" in fault(StateUnavailable)
    client.replicaof("no", "one")
    client.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+x"])
    client.close()
    state.close()
    assert "password" in fault(StateError)
    client = redis.Redis.from_url(own_redis.connection.url, password="x")
    client.acl_setuser("default", enabled=True, nopass=True)
    state.ask(unique(salt), salt, 0, texts_of(row("u|a", 1, "k", "", "k", "")))
    client.close()
    state.close()


def test_a_server_that_has_lost_its_data_knows_of_no_index(own_redis: OwnRedis, salt: str) -> None:
    state, marks = RedisState(own_redis.connection, secret=SECRET, wait_days=3), IndexMarks(own_redis.connection)
    texts = texts_of(row("u|a", 1, "k", "", "k", ""))
    state.ask(unique(salt), salt, 0, texts)
    marks.mark_ready([salt])
    own_redis.stop()
    with pytest.raises(StateUnavailable, match="runs"):
        state.ask(unique(salt), salt, 0, texts)
    own_redis.start()
    assert marks.not_ready([salt]) == {salt}
    for _ in range(2):
        with pytest.raises(StateLost, match="built again"):
            state.ask(unique(salt), salt, 0, texts)
    state.close()
    another = RedisState(own_redis.connection, secret=SECRET, wait_days=3)
    assert not another.ask(unique(salt), salt, 0, texts_of(row("u|b", 2, "k", "", "k", ""))).found
    with pytest.raises(StateLost):
        state.ask(unique(salt), salt, 0, texts)
    another.close()
    state.close()
    marks.close()


def test_an_index_that_is_not_told_any_more_is_not_built(place: Place, salt: str) -> None:
    marks = IndexMarks(place.connection)
    kept, other = f"{salt}k", f"{salt}o"
    marks.mark_ready([kept, other])
    assert other in marks.retire([kept])
    assert marks.not_ready([kept, other]) == {other}
    assert other not in marks.retire([kept])
    marks.close()
