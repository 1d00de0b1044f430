"""The sinks and their read side on the stack's engines, each test run in a ClickHouse database of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from schemas.catalog import Catalog
from schemas.connection import ClickHouseConnection, RedisConnection
from sinks import SinkConfig, discover
from sinks.clickhouse.engine import ClientPool, open_client
from sinks.clickhouse.sink import ClickHouseSink
from sinks.read import CreditStore, HotCache
from sinks.redis.sink import RedisSink
from zhida.stack import RunningStack


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture(scope="session")
def clickhouse(stack: RunningStack) -> Iterator[ClickHouseConnection]:
    connection = replace(stack.settings.clickhouse(), database=f"zhida_test_{secrets.token_hex(4)}")
    yield connection
    client = open_client(connection)
    client.command(f"DROP DATABASE IF EXISTS {connection.database}")
    client.close()


@pytest.fixture
def empty_clickhouse(clickhouse: ClickHouseConnection) -> Iterator[ClickHouseConnection]:
    """A database with nothing in it."""
    connection = replace(clickhouse, database=f"zhida_test_{secrets.token_hex(4)}")
    yield connection
    client = open_client(connection)
    client.command(f"DROP DATABASE IF EXISTS {connection.database}")
    client.close()


@pytest.fixture(scope="session")
def redis_connection(stack: RunningStack) -> RedisConnection:
    return stack.settings.redis()


@pytest.fixture(scope="session")
def clickhouse_sink(clickhouse: ClickHouseConnection, catalog: Catalog) -> Iterator[ClickHouseSink]:
    sink = discover()["clickhouse"].create(SinkConfig(clickhouse=clickhouse))
    assert isinstance(sink, ClickHouseSink)
    sink.setup(catalog)
    yield sink
    sink.close()


@pytest.fixture(scope="session")
def redis_sink(redis_connection: RedisConnection, catalog: Catalog) -> Iterator[RedisSink]:
    sink = discover()["redis"].create(SinkConfig(redis=redis_connection))
    assert isinstance(sink, RedisSink)
    sink.setup(catalog)
    yield sink
    sink.close()


@pytest.fixture(scope="session")
def store(clickhouse: ClickHouseConnection, catalog: Catalog) -> Iterator[CreditStore]:
    store = CreditStore.connect(clickhouse, catalog)
    yield store
    store.close()


@pytest.fixture(scope="session")
def cache(redis_connection: RedisConnection) -> Iterator[HotCache]:
    cache = HotCache.connect(redis_connection)
    yield cache
    cache.close()


@pytest.fixture(scope="session")
def pool(clickhouse: ClickHouseConnection) -> Iterator[ClientPool]:
    pool = ClientPool(clickhouse)
    yield pool
    pool.close()


@pytest.fixture
def token() -> Callable[[], str]:
    """A prefix for units and subjects that nobody else uses, new with each call."""
    return lambda: secrets.token_hex(5)
