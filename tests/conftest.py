"""Fixtures for every room: the real engines, started once a run, and names of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from zhida.stack import RunningStack
from zhida.stack.testing import create_topic, running_stack, unique_name


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Broker, Redis and ClickHouse; ZHIDA_TEST_STACK=embedded (default) or real."""
    with running_stack(tmp_path_factory.mktemp("stack") / "var") as running:
        yield running


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """``new_name("group")`` is a name that no other test uses."""
    return unique_name


@pytest.fixture
def new_topic(stack: RunningStack) -> Callable[..., str]:
    """``new_topic("reports", partitions=4)`` creates a topic with a name of its own on the stack's broker."""

    def make(prefix: str, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        return create_topic(stack.settings.kafka(), unique_name(prefix), partitions, config)

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the stack is worth running again on the real engines."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)
