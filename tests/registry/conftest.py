"""A registry of our own on the stack's broker, in a thread or as a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from registry_process import RegistryProcess, start_registry_process
from registry_support import JSON, RegistryThread

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
        running.append(start_registry_process(stack.settings.kafka(), tmp_path, topic))
        return running[-1]

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
