"""A registry of our own on the stack's broker, in a thread or as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from registry_support import JSON, RegistryProcess, RegistryThread

from schemas.connection import RegistryConnection
from schemas.registry.client import RegistryClient
from zhida.stack import RunningStack
from zhida.stack.testing import unique_name


@pytest.fixture(scope="session")
def registry(stack: RunningStack) -> Iterator[RegistryThread]:
    """One registry for all tests that keep to subjects of their own."""
    running = RegistryThread(stack.settings.kafka(), unique_name("_schemas"))
    yield running
    running.stop()


@pytest.fixture
def start_registry(stack: RunningStack) -> Iterator[Callable[..., RegistryThread]]:
    """``start_registry(topic, auth=…)``: one more instance, stopped after the test."""
    running: list[RegistryThread] = []

    def start(topic: str | None = None, **options: Any) -> RegistryThread:
        running.append(RegistryThread(stack.settings.kafka(), topic or unique_name("_schemas"), **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def start_process(stack: RunningStack, tmp_path: Path) -> Iterator[Callable[[str], RegistryProcess]]:
    """``start_process(topic)``: an instance as a process, killed after the test."""
    running: list[RegistryProcess] = []

    def start(topic: str) -> RegistryProcess:
        command = [sys.executable, "-m", "zhida", "registry", "serve", "--port", "0", "--topic", topic]
        # Without a stack of its own in this folder, the command is told where the broker is.
        environment = os.environ | {
            "ZHIDA_KAFKA_BOOTSTRAP": stack.settings.kafka().bootstrap,
            "ZHIDA_DATA_DIR": str(tmp_path / "var"),
        }
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            found = re.search(r"schema registry: (http://\S+)", line)
            if found:
                running.append(RegistryProcess(process, found[1], lines))
                threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True).start()
                return running[-1]
        raise AssertionError(f"the registry did not start:\n{''.join(lines)}")

    yield start
    for one in running:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def http(registry: RegistryThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry.url, headers=JSON, timeout=30) as client:
        yield client


@pytest.fixture
def client(registry: RegistryThread) -> Iterator[RegistryClient]:
    with RegistryClient(RegistryConnection(registry.url)) as made:
        yield made


@pytest.fixture
def subject() -> str:
    return unique_name("subject")
