"""Apache Kafka, a ClickHouse server and Redis as processes; run by ``script/test --real``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import clickhouse_driver
import psutil
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from zhida.settings import Settings
from zhida.stack import AlreadyRunning, RunningStack, StackError, start_stack
from zhida.stack.children import marked
from zhida.stack.testing import create_topic, unique_name
from zhida.stack_state import read_state

pytestmark = pytest.mark.real_only
PATIENCE = 60.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real") / "var"


@pytest.fixture(scope="module")
def real(data_dir: Path) -> Iterator[RunningStack]:
    with start_stack(Settings.load(data_dir=data_dir), real=True) as stack:
        yield stack
    assert marked(data_dir) == []


def clickhouse(stack: RunningStack, **changes: object) -> object:
    at = stack.settings.clickhouse()
    known = {"host": at.host, "port": at.port, "username": at.username, "password": at.password}
    return clickhouse_connect.get_client(**(known | changes))  # type: ignore[arg-type]


def send(stack: RunningStack, topic: str, count: int) -> list[int]:
    """Offsets of *count* messages that the broker has confirmed."""
    offsets: list[int] = []

    def note(error: object, message: object) -> None:
        assert error is None
        offsets.append(message.offset())  # type: ignore[attr-defined]

    producer = Producer({**stack.settings.kafka().confluent(), "acks": "all", "enable.idempotence": True})
    for number in range(count):
        producer.produce(topic, str(number).encode(), on_delivery=note)
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0
    return offsets


def test_it_is_a_cluster_by_url_for_every_command_of_the_folder(real: RunningStack, data_dir: Path) -> None:
    found = Settings.load(data_dir=data_dir)
    assert found.profile == "cluster"
    assert found.kafka() == real.settings.kafka()
    assert found.clickhouse() == real.settings.clickhouse()
    assert found.pii_key() == real.settings.pii_key()
    assert found.api_token() == real.settings.api_token()


def test_topics_are_not_made_by_accident(real: RunningStack) -> None:
    client = AdminClient(real.settings.kafka().confluent())
    name = unique_name("accident")
    client.list_topics(name, timeout=10)
    assert name not in client.list_topics(timeout=10).topics


def test_two_thousand_topics_are_made_in_one_request(real: RunningStack) -> None:
    client = AdminClient(real.settings.kafka().confluent())
    topics = [NewTopic(unique_name(f"many{number}"), 1, 1) for number in range(2000)]
    futures = client.create_topics(topics, request_timeout=PATIENCE)
    for future in futures.values():
        future.result(PATIENCE)
    for future in client.delete_topics(list(futures), request_timeout=PATIENCE).values():
        future.result(PATIENCE)


def test_clickhouse_speaks_http_and_its_native_protocol(real: RunningStack) -> None:
    at = real.settings.clickhouse()
    assert clickhouse(real).query("SELECT currentUser()").result_rows == [("zhida",)]  # type: ignore[attr-defined]
    native = clickhouse_driver.Client(
        at.host, port=real.settings.clickhouse_native_port, user=at.username, password=at.password
    )
    assert native.execute("SELECT 1 + 1") == [(2,)]
    native.disconnect()


@pytest.mark.parametrize(
    "login", [{"password": "wrong"}, {"username": "nobody"}, {"username": "zhida", "password": ""}]
)
def test_clickhouse_refuses_a_wrong_login(real: RunningStack, login: dict[str, str]) -> None:
    with pytest.raises(DatabaseError):
        clickhouse(real, **login).query("SELECT 1")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count() FROM system.users",
        "SELECT number FROM system.numbers LIMIT 1",
        "CREATE TABLE intruder (a Int8) ENGINE = Memory",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SYSTEM STOP LISTEN HTTP",
        "SYSTEM SHUTDOWN",
    ],
)
def test_the_servers_own_user_without_a_password_can_do_nothing(real: RunningStack, query: str) -> None:
    at = real.settings.clickhouse()
    native = clickhouse_driver.Client(at.host, port=real.settings.clickhouse_native_port, user="default", password="")
    with pytest.raises(clickhouse_driver.errors.ServerException, match=r"QUOTA_EXCEEDED|Quota|privileges"):
        native.execute(query)
    native.disconnect()
    real.check()


def test_engines_listen_on_the_loopback_interface_only(real: RunningStack) -> None:
    for service in real.services:
        assert service.pid
        listening = [
            c.laddr.ip for c in psutil.Process(service.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert all(address.removeprefix("::ffff:").startswith("127.") for address in listening)


def test_a_second_start_is_refused_and_harms_nothing(real: RunningStack, data_dir: Path) -> None:
    for wanted in (True, False):
        with pytest.raises(AlreadyRunning):
            start_stack(Settings.load(data_dir=data_dir), real=wanted)
    real.check()


def test_nothing_acknowledged_is_lost_when_an_engine_is_killed(real: RunningStack) -> None:
    topic = create_topic(real.settings.kafka(), unique_name("kept"))
    assert send(real, topic, 100) == list(range(100))
    client = clickhouse(real)
    client.command("CREATE DATABASE IF NOT EXISTS kept")  # type: ignore[attr-defined]
    client.command("CREATE TABLE kept.rows (a Int32) ENGINE = MergeTree ORDER BY a")  # type: ignore[attr-defined]
    client.command("INSERT INTO kept.rows SELECT number FROM numbers(1000)")  # type: ignore[attr-defined]
    for name in ("kafka", "clickhouse"):
        real.kill(name)
        real.restart(name)
    assert send(real, topic, 1) == [100]
    assert clickhouse(real).query("SELECT count() FROM kept.rows").result_rows == [(1000,)]  # type: ignore[attr-defined]


def test_topics_offsets_and_tables_survive_down_and_up(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "var")
    topic = unique_name("kept")
    with start_stack(settings, real=True) as stack:
        create_topic(stack.settings.kafka(), topic)
        send(stack, topic, 10)
        clickhouse(stack).command("CREATE DATABASE kept")  # type: ignore[attr-defined]
    with start_stack(settings, real=True) as stack:
        assert send(stack, topic, 1) == [10]
        names = clickhouse(stack).query("SHOW DATABASES").result_rows  # type: ignore[attr-defined]
        assert ("kept",) in names
    with pytest.raises(StackError, match="--brokers 1"):
        start_stack(settings, real=True, brokers=3)
    assert marked(tmp_path / "var") == []


def test_three_brokers_keep_every_acknowledged_record_when_one_is_killed(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "var")
    with start_stack(settings, real=True, brokers=3) as stack:
        assert (stack.settings.replication_factor, stack.settings.min_insync_replicas) == (3, 2)
        client = AdminClient(stack.settings.kafka().confluent())
        topic = unique_name("copies")
        client.create_topics([NewTopic(topic, 3, 3)])[topic].result(PATIENCE)
        send(stack, topic, 500)
        stack.kill("kafka-2")
        assert len(send(stack, topic, 500)) == 500
        stack.restart("kafka-2")
        deadline = time.monotonic() + PATIENCE
        while any(len(p.isrs) < 3 for p in client.list_topics(topic, timeout=10).topics[topic].partitions.values()):
            assert time.monotonic() < deadline, "the restarted broker did not catch up"
            time.sleep(0.2)
        stack.check()
    assert marked(tmp_path / "var") == []


def test_a_real_stack_whose_owner_is_killed_leaves_no_process(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    owner = os.fork()
    if owner == 0:
        start_stack(Settings.load(data_dir=data_dir), real=True)
        time.sleep(PATIENCE)
        os._exit(1)
    deadline = time.monotonic() + PATIENCE
    while not ((state := read_state(data_dir)) and state.ready):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    while marked(data_dir):
        assert time.monotonic() < deadline
        time.sleep(0.1)
