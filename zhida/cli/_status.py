"""Asks every part whether it answers, and the broker how far govern has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from schemas.catalog import Catalog
from schemas.connection import KafkaConnection
from schemas.topics import GOVERN_GROUP
from zhida.settings import Settings, SettingsError

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part of the platform: does it answer, and what it said."""

    name: str
    address: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """Messages of one report topic: there, and committed by govern."""

    code: str
    zh: str
    received: int
    governed: int
    lag: int


def parts(settings: Settings) -> list[PartStatus]:
    """The state of every part, asked at the same time; each within about three seconds."""
    checks: dict[str, Callable[[], tuple[str, str]]] = {
        "kafka": lambda: _kafka(settings),
        "redis": lambda: _redis(settings),
        "state": lambda: _state(settings),
        "clickhouse": lambda: _clickhouse(settings),
        "registry": lambda: _registry(settings),
        "api": lambda: _api(settings),
    }
    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(_checked, checks, checks.values()))


def _checked(name: str, check: Callable[[], tuple[str, str]]) -> PartStatus:
    try:
        address, detail = check()
    except SettingsError as error:
        return PartStatus(name, "", False, str(error))
    except _DownError as error:
        return PartStatus(name, error.address, False, str(error))
    return PartStatus(name, address, True, detail)


class _DownError(Exception):
    def __init__(self, address: str, reason: object) -> None:
        super().__init__(str(reason).splitlines()[0] if str(reason) else type(reason).__name__)
        self.address = address


def _kafka(settings: Settings) -> tuple[str, str]:
    from confluent_kafka import KafkaException

    kafka = settings.kafka()
    try:
        metadata = _consumer(kafka).list_topics(timeout=_SECONDS)
    except KafkaException as error:
        raise _DownError(kafka.bootstrap, error.args[0].str()) from error
    topics = [name for name in metadata.topics if name.startswith("zhida.")]
    return kafka.bootstrap, f"{len(metadata.brokers)} 个节点 brokers, {len(topics)} 个主题 topics"


def _redis(settings: Settings) -> tuple[str, str]:
    import redis

    connection = settings.redis()
    address = _redis_address(connection.url)
    client = redis.Redis.from_url(
        connection.url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, **connection.options()
    )
    try:
        memory = client.info("memory")["used_memory_human"]
    except redis.RedisError as error:
        raise _DownError(address, error) from error
    finally:
        client.close()
    return address, f"内存 memory {memory}"


def _redis_address(url: str) -> str:
    parsed = urlsplit(url)
    # The URL itself may hold the password.
    return f"{parsed.hostname or parsed.path}" + (f":{parsed.port}" if parsed.port else "")


def _state(settings: Settings) -> tuple[str, str]:
    """What rules over several records know, and what has to be judged again."""
    from streams.state.due import DueList
    from streams.state.errors import StateError
    from streams.state.marks import IndexMarks

    if not settings.govern_state:
        return "", "已停用 switched off (ZHIDA_GOVERN_STATE)"
    connection = settings.redis()
    address = _redis_address(connection.url)
    try:
        with closing(IndexMarks(connection)) as marks, closing(DueList(connection)) as due:
            size, waiting = marks.size(), due.size()
    except StateError as error:
        raise _DownError(address, error) from error
    megabytes = size.memory / (1 << 20)
    return address, (
        f"约 about {size.entries:,} 项 entries, {megabytes:,.1f} MB；待重新判定 to be judged again {waiting:,}"
    )


def _clickhouse(settings: Settings) -> tuple[str, str]:
    connection = settings.clickhouse()
    if connection.path is not None:
        # One process a folder: only the service process may open it, and the API's /readyz asks it.
        if not connection.path.is_dir():
            raise _DownError(str(connection.path), "没有数据目录 no data folder yet")
        return str(connection.path), "嵌入在服务进程中，见 api embedded in the service process, see api"
    from sinks.base import SinkUnavailable
    from sinks.clickhouse.engine import open_client, where

    address = where(connection)
    try:
        client = open_client(connection, seconds=_SECONDS)
    except SinkUnavailable as error:
        # The client's own words may be a page long, or quote what the server said.
        raise _DownError(address, type(error.__cause__ or error).__name__) from error
    version = client.server_version
    client.close()
    return address, f"版本 version {version}"


def _registry(settings: Settings) -> tuple[str, str]:
    from schemas.registry.client import RegistryClient, RegistryClientError

    connection = settings.registry()
    try:
        with RegistryClient(connection, attempts=1, timeout=_SECONDS) as registry:
            subjects = registry.subjects()
    except (RegistryClientError, OSError) as error:
        raise _DownError(connection.url, error) from error
    return connection.url, f"{len(subjects)} 个主题 subjects"


def _api(settings: Settings) -> tuple[str, str]:
    import httpx

    from zhida.own_api import api_client

    url, headers = settings.api_url, {"authorization": f"Bearer {settings.api_token()}"}
    try:
        with api_client(settings, _SECONDS) as client:
            response = client.get("/readyz", headers=headers)
    except (httpx.TransportError, OSError) as error:
        raise _DownError(url, type(error).__name__) from error
    if not response.is_success:
        raise _DownError(url, f"HTTP {response.status_code}")
    return url, ""


def datasets(kafka: KafkaConnection, catalog: Catalog) -> list[DatasetStatus]:
    """Received, governed and lag of each dataset of *catalog* whose report topic exists."""
    from confluent_kafka import TopicPartition

    from connectors.kafka import watermarks

    consumer = _consumer(kafka)
    try:
        there = consumer.list_topics(timeout=_SECONDS).topics
        found = [dataset for dataset in catalog if dataset.report_topic in there]
        if not found:
            return []
        places = [
            (dataset.report_topic, partition)
            for dataset in found
            for partition in range(len(there[dataset.report_topic].partitions))
        ]
        marks = watermarks(consumer, places, _SECONDS)
        committed = consumer.committed([TopicPartition(*place) for place in places], timeout=_SECONDS)
    finally:
        consumer.close()
    # All that was ever received: retention takes messages away, but not the verdicts on them.
    received: Counter[str] = Counter()
    lag: Counter[str] = Counter()
    for at in committed:
        low, high = marks[at.topic, at.partition]
        received[at.topic] += high
        lag[at.topic] += high - min(max(at.offset, low), high)
    return [
        DatasetStatus(dataset.code, dataset.zh, received[topic], received[topic] - lag[topic], lag[topic])
        for dataset, topic in ((dataset, dataset.report_topic) for dataset in found)
    ]


def _consumer(kafka: KafkaConnection) -> Any:
    from connectors.kafka import Trouble, new_consumer

    return new_consumer(kafka, Trouble(), GOVERN_GROUP)
