"""The registry as a process and as part of one: the command line, signals, and a broker that goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from registry_process import RegistryProcess
from registry_support import JSON, STRING, A, B, RegistryThread, post, record, refused, register

from schemas.catalog import Catalog
from schemas.connection import KafkaConnection
from schemas.registry.errors import RegistryError
from schemas.registry.server import create_registry
from zhida.stack import RunningStack
from zhida.stack.testing import running_stack, unique_name


@pytest.fixture
def zhida(stack: RunningStack, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``zhida("registry", "show", …, url=…)``."""

    def run(*arguments: str, url: str = "http://127.0.0.1:1") -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "ZHIDA_KAFKA_BOOTSTRAP": stack.settings.kafka().bootstrap,
            "ZHIDA_DATA_DIR": str(tmp_path / "var"),
            "ZHIDA_REGISTRY_URL": url,
            "COLUMNS": "160",
        }
        command = [sys.executable, "-m", "zhida", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def test_the_command_line_serves_lists_and_shows(
    start_process: Callable[[str], RegistryProcess], zhida: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    process = start_process(unique_name("_schemas"))
    dataset = next(iter(Catalog.load()))
    with httpx.Client(base_url=process.url, headers=JSON, timeout=30) as http:
        number = http.post(
            f"/subjects/{dataset.subject_name}/versions", json={"schema": record(A, name="Shown"), "metadata": None}
        ).json()["id"]
    listed = zhida("registry", "subjects", url=process.url)
    assert listed.returncode == 0, listed.stderr
    assert dataset.subject_name in listed.stdout
    assert '"version": 1' in zhida("registry", "subjects", "--json", url=process.url).stdout
    assert "string" in zhida("registry", "show", dataset.subject_name, url=process.url).stdout
    assert '"Shown"' in zhida("registry", "show", str(number), "--json", url=process.url).stdout
    missing = zhida("registry", "show", "nothing", url=process.url)
    assert missing.returncode == 4
    assert "nothing" in missing.stderr


def test_sigterm_ends_it_in_order(start_process: Callable[[str], RegistryProcess]) -> None:
    process = start_process(unique_name("_schemas"))
    with httpx.Client(base_url=process.url, headers=JSON, timeout=30) as http:
        register(http, "s", STRING)
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(15) == 0
    assert not any("Traceback" in line for line in process.log), process.log


def test_a_port_that_is_taken_is_said(zhida: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = zhida("registry", "serve", "--port", str(port), "--topic", unique_name("_schemas"))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_does_not_open_a_registry_to_the_network(
    zhida: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = zhida("registry", "serve", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "--auth-file" in done.stderr
    users = tmp_path / "users.yaml"
    users.write_text("users: []")
    users.chmod(0o644)
    done = zhida("registry", "serve", "--auth-file", str(users))
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
    assert zhida("registry", "serve", "--tls-cert", "cert.pem").returncode == 2


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[tuple[KafkaConnection, Callable[[], None]]]:
    """A broker of this test's own, and what takes it away."""
    context = running_stack(tmp_path / "broker" / "var", real=False)
    stack = context.__enter__()
    gone = False

    def take_away() -> None:
        nonlocal gone
        gone = True
        context.__exit__(None, None, None)

    yield stack.settings.kafka(), take_away
    if not gone:
        take_away()


def test_without_its_broker_the_registry_reads_on_and_says_that_it_cannot_write(
    own_broker: tuple[KafkaConnection, Callable[[], None]],
) -> None:
    kafka, take_away = own_broker
    registry = RegistryThread(kafka, "_schemas", timeout=2.0)
    try:
        with httpx.Client(base_url=registry.url, headers=JSON, timeout=60) as http:
            number = register(http, "s", record(A))
            take_away()
            assert http.get(f"/schemas/ids/{number}").status_code == 200
            assert http.get("/subjects").json() == ["s"]
            refused(post(http, "t", record(B)), 500, 50002)
            assert register(http, "s", record(A)) == number, "what is there needs no write"
            # Nobody knows whether another instance has given this id: that is not a 404.
            assert http.get(f"/schemas/ids/{number + 1}").status_code == 500
    finally:
        registry.stop()


def test_a_broker_that_is_not_there_is_said_and_nothing_remains() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def start() -> None:
        server = create_registry(KafkaConnection(f"127.0.0.1:{port}"), port=0, timeout=1.0)
        try:
            with pytest.raises(RegistryError) as refusal:
                await server.start()
            assert refusal.value.code == 50001
        finally:
            await server.stop()

    asyncio.run(start())


def test_it_lives_on_one_loop_with_others_and_starts_and_stops(stack: RunningStack) -> None:
    async def live() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        other = asyncio.create_task(tick())
        topic = unique_name("_schemas")
        for round_ in range(2):
            server = create_registry(stack.settings.kafka(), port=0, topic=topic)
            await server.start()
            serving = asyncio.create_task(server.serve())
            async with httpx.AsyncClient(base_url=server.url, headers=JSON, timeout=30) as http:
                answer = await http.post(f"/subjects/s{round_}/versions", json={"schema": STRING})
                assert answer.json()["id"] == 1
            await server.stop()
            await asyncio.wait_for(serving, 10)
            await server.stop()
        assert ticks > 20
        other.cancel()

    handler = signal.getsignal(signal.SIGINT)
    asyncio.run(live())
    assert signal.getsignal(signal.SIGINT) is handler, "signals belong to the process, not to the registry"


def test_a_second_leader_takes_over_at_once_from_one_that_sleeps(
    start_process: Callable[[str], RegistryProcess],
) -> None:
    topic = unique_name("_schemas")
    sleeper, second = start_process(topic), start_process(topic)
    with (
        httpx.Client(base_url=sleeper.url, headers=JSON, timeout=60) as one,
        httpx.Client(base_url=second.url, headers=JSON, timeout=60) as two,
    ):
        first = register(one, "s", record(A))
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        started = time.monotonic()
        other = register(two, "t", record(B))
        assert other == first + 1
        assert time.monotonic() - started < 30
        os.kill(sleeper.process.pid, signal.SIGCONT)
        # It still believes that it leads; the broker knows better.
        assert register(one, "u", record(A, B)) == other + 1
        assert register(two, "u", record(A, B)) == other + 1
