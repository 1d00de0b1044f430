from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from sink_batches import START, Message, batches

from schemas.catalog import Catalog
from schemas.connection import RedisConnection
from sinks.base import SinkError, SinkUnavailable
from sinks.clickhouse.sink import ClickHouseSink
from sinks.models import MovedRecord
from sinks.read import CreditStore, HotCache, SubjectReader
from sinks.redis.client import NONE_KEY, SUBJECT_KEY, key
from sinks.redis.sink import RedisSink

LICENCE = "administrative_licence"


class Clock:
    def __init__(self) -> None:
        self.time = START.timestamp()

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def client(redis_connection: RedisConnection) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(redis_connection.url, **redis_connection.options())
    yield client
    client.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(redis_connection: RedisConnection, clock: Clock) -> Iterator[HotCache]:
    cache = HotCache.connect(redis_connection, clock)
    yield cache
    cache.close()


@pytest.fixture
def reader(cache: HotCache, store: CreditStore) -> SubjectReader:
    return SubjectReader(cache, store)


@pytest.fixture
def write(catalog: Catalog, clickhouse_sink: ClickHouseSink, redis_sink: RedisSink) -> Callable[..., None]:
    """``write(message, …)`` to both sinks; ``to="redis"`` or ``to="clickhouse"`` to one."""

    def both(*messages: Message, to: str = "both") -> None:
        if to != "redis":
            clickhouse_sink.write(batches(catalog, messages))
        if to != "clickhouse":
            redis_sink.write(batches(catalog, messages))

    return both


def forget(client: redis.Redis, *messages: Message) -> None:
    """Lose what Redis holds of these messages' subjects and records."""
    for message in messages:
        client.delete(key(SUBJECT_KEY, message.subject), key(NONE_KEY, message.subject))
        client.delete(f"zhida:record:{message.dataset}|{message.unit}|{message.record_id}")


def ids(records: list[object] | None) -> list[str] | None:
    return None if records is None else [record.record_id for record in records]  # type: ignore[attr-defined]


def test_a_subject_is_answered_from_the_cache_only_after_it_was_seen_whole(
    write: Callable[..., None], reader: SubjectReader, cache: HotCache, token: Callable[[], str]
) -> None:
    name = token()
    write(Message(LICENCE, name, "a", 1, 0, name))
    assert cache.subject_records(name) is None
    assert ids(cache.many([name])[0]) == ["a"]
    assert reader.read(name) == (cache.many([name])[0], "store")
    write(Message(LICENCE, name, "b", 1, 1, name))
    records, source = reader.read(name)
    assert (ids(records), source) == (["a", "b"], "cache")


def test_cache_and_store_hand_out_equal_records(
    write: Callable[..., None], store: CreditStore, cache: HotCache, catalog: Catalog, token: Callable[[], str]
) -> None:
    name = token()
    write(*(Message(item.code, name, f"{n}", 3, n, name, verdict="suspect") for item in catalog for n in range(4)))
    assert len(store.subject_records(name)) == 4 * len(catalog)
    assert cache.many([name]) == [store.subject_records(name)]


def test_after_a_loss_of_redis_the_whole_file_comes_from_the_store(
    write: Callable[..., None], reader: SubjectReader, client: redis.Redis, token: Callable[[], str]
) -> None:
    name = token()
    old, new = Message(LICENCE, name, "old", 1, 0, name), Message(LICENCE, name, "new", 1, 1, name)
    write(old)
    reader.read(name)
    forget(client, old)
    write(new)
    assert [ids(reader.read(name)[0]), reader.read(name)[1]] == [["new", "old"], "cache"]


def test_after_a_loss_of_redis_a_withdrawn_record_that_came_back_is_removed_again(
    write: Callable[..., None], reader: SubjectReader, client: redis.Redis, token: Callable[[], str]
) -> None:
    name = token()
    first = Message(LICENCE, name, "r", 1, 0, name)
    write(first, replace(first, version=2, offset=1, deleted=True, subject=""))
    forget(client, first)
    write(first)
    assert reader.read(name) == ([], "store")
    assert reader.read(name) == ([], "cache")


def test_after_a_loss_of_redis_a_record_that_moved_is_not_the_old_subjects(
    write: Callable[..., None], reader: SubjectReader, client: redis.Redis, token: Callable[[], str]
) -> None:
    name = token()
    first = Message(LICENCE, name, "r", 1, 0, name + "-from")
    moved = replace(first, version=2, offset=1, subject=name + "-to")
    write(first, moved)
    forget(client, first, moved)
    write(first, to="redis")
    assert reader.read(first.subject)[0] == []
    assert ids(reader.read(moved.subject)[0]) == ["r"]
    assert reader.read(first.subject) == ([], "cache")
    assert [ids(reader.read(moved.subject)[0]), reader.read(moved.subject)[1]] == [["r"], "cache"]


def test_asking_for_the_old_subject_does_not_take_a_moved_record_from_the_new_one(
    write: Callable[..., None], reader: SubjectReader, cache: HotCache, token: Callable[[], str]
) -> None:
    name = token()
    first = Message(LICENCE, name, "r", 1, 0, name + "-from")
    write(first, replace(first, version=2, offset=1, subject=name + "-to"))
    assert reader.read(first.subject)[0] == []
    assert ids(cache.many([name + "-to"])[0]) == ["r"]


def test_what_the_cache_has_before_the_store_is_read_too(
    write: Callable[..., None], reader: SubjectReader, token: Callable[[], str]
) -> None:
    name = token()
    first = Message(LICENCE, name, "r", 1, 0, name)
    write(first)
    write(replace(first, version=2, offset=1), to="redis")
    records, source = reader.read(name)
    assert ([record.version for record in records], source) == ([2], "store")


def test_a_fill_never_replaces_a_newer_version(
    write: Callable[..., None], cache: HotCache, store: CreditStore, token: Callable[[], str]
) -> None:
    name = token()
    first = Message(LICENCE, name, "r", 1, 0, name)
    write(first)
    read_before = store.subject_records(name)
    write(replace(first, version=2, offset=1, deleted=True, subject=""))
    cache.fill(name, read_before)
    assert cache.subject_records(name) is None or cache.subject_records(name) == []
    assert cache.many([name]) == [[]]


def test_the_mark_of_a_whole_subject_is_not_believed_for_ever(
    write: Callable[..., None], reader: SubjectReader, clock: Clock, token: Callable[[], str]
) -> None:
    name = token()
    write(Message(LICENCE, name, "r", 1, 0, name))
    reader.read(name)
    clock.time += timedelta(minutes=9).total_seconds()
    assert reader.read(name)[1] == "cache"
    clock.time += timedelta(minutes=2).total_seconds()
    assert reader.read(name)[1] == "store"
    assert reader.read(name)[1] == "cache"


def test_a_subject_without_records_is_remembered_briefly_and_seen_as_soon_as_it_has_one(
    write: Callable[..., None], reader: SubjectReader, client: redis.Redis, token: Callable[[], str]
) -> None:
    name = token()
    assert reader.read(name) == ([], "store")
    assert reader.read(name) == ([], "cache")
    assert 0 < client.pttl(key(NONE_KEY, name)) <= 2000
    assert not client.exists(key(SUBJECT_KEY, name))
    write(Message(LICENCE, name, "r", 1, 0, name))
    assert ids(reader.read(name)[0]) == ["r"]


def test_records_whose_names_contain_the_separator_are_told_apart(
    write: Callable[..., None], cache: HotCache, token: Callable[[], str]
) -> None:
    name = token()
    pairs = [("a|b", "c"), ("a", "b|c"), ("a%7Cb", "c"), ("a", "b%7Cc"), ("a", "\0|}")]
    write(*(Message(LICENCE, f"{name}{unit}", record, 1, n, name) for n, (unit, record) in enumerate(pairs)))
    found = {(record.unit, record.record_id) for record in cache.many([name])[0]}
    assert found == {(name + unit, record) for unit, record in pairs}


def test_a_very_long_record_id_is_kept_whole_and_its_neighbours_untouched(
    write: Callable[..., None], cache: HotCache, token: Callable[[], str]
) -> None:
    name = token()
    names = ["x" * 100_000, "y"]
    write(*(Message(LICENCE, name, record_id, 1, n, name) for n, record_id in enumerate(names)))
    assert ids(cache.many([name])[0]) == names


def test_a_moved_record_leaves_its_old_subject_and_a_withdrawal_needs_none(
    write: Callable[..., None], cache: HotCache, token: Callable[[], str]
) -> None:
    name = token()
    first = Message(LICENCE, name, "r", 1, 0, name + "1")
    moved = replace(first, version=2, offset=1, subject=name + "2")
    both = [first.subject, moved.subject]
    write(first, moved, to="redis")
    assert [ids(found) for found in cache.many(both)] == [[], ["r"]]
    write(replace(moved, version=3, offset=2, subject="", deleted=True), to="redis")
    write(first, moved, to="redis")
    assert cache.many(both) == [[], []]


def test_a_restarted_server_is_sent_the_program_again(
    write: Callable[..., None], cache: HotCache, client: redis.Redis, token: Callable[[], str]
) -> None:
    name = token()
    write(Message(LICENCE, name, "a", 1, 0, name), to="redis")
    client.script_flush()
    write(Message(LICENCE, name, "b", 1, 1, name), to="redis")
    assert ids(cache.many([name])[0]) == ["a", "b"]


def test_a_write_larger_than_one_call_keeps_every_record_in_order(
    write: Callable[..., None], cache: HotCache, token: Callable[[], str]
) -> None:
    name = token()
    count = 1203
    write(*(Message(LICENCE, name, f"{n % 700:04}", n // 700, n, name) for n in range(count)), to="redis")
    versions = [record.version for record in cache.many([name])[0]]
    assert versions == [1] * (count - 700) + [0] * (1400 - count)


def test_a_server_that_may_evict_guards_is_refused(
    client: redis.Redis, redis_connection: RedisConnection, catalog: Catalog
) -> None:
    before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
    sink = RedisSink(redis_connection)
    try:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "1gb")
        with pytest.raises(SinkError, match="allkeys-lru"):
            sink.setup(catalog)
    finally:
        for name, value in before.items():
            client.config_set(name, value)
        sink.close()


def test_a_cache_that_does_not_answer_is_left_out_of_reads(
    write: Callable[..., None], store: CreditStore, token: Callable[[], str]
) -> None:
    name = token()
    write(Message(LICENCE, name, "a", 1, 0, name))
    dead = HotCache.connect(RedisConnection("redis://127.0.0.1:1/0"))
    with pytest.raises(SinkUnavailable):
        dead.check()
    records, source = SubjectReader(dead, store).read(name)
    assert (ids(records), source) == (["a"], "store")


def test_a_moved_record_that_the_cache_does_not_know_is_guarded(cache: HotCache, token: Callable[[], str]) -> None:
    name = token()
    assert cache.merge(name, [], [MovedRecord(LICENCE, name, "r", 5, 0, "")]) == []
    assert cache.subject_records(name) == []
