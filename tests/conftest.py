"""Fixtures for every room: the real engines, started once a run, and names of one's own."""

from __future__ import annotations

import faulthandler
import gc
import os
from collections.abc import Callable, Iterator

import pytest

from zhida.stack import RunningStack
from zhida.stack.testing import create_topic, running_stack, unique_name

#: Seconds that may pass until all that a test has used is gone, and a process when all its tests are done.
_TEARDOWN_SECONDS, _END_SECONDS = 180, 60
_STDERR = pytest.StashKey[int]()


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


def pytest_configure(config: pytest.Config) -> None:
    # As in every command (``zhida.cli``): what tests make is mostly without cycles.
    gc.set_threshold(100_000, 20, 100)
    # Nothing is captured at this moment: what is written here is seen.
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """After a failure nothing else watches what comes: pytest ends its own watch there (``faulthandler_timeout``)."""
    faulthandler.dump_traceback_later(_TEARDOWN_SECONDS, exit=True, file=item.config.stash[_STDERR])


def pytest_unconfigure(config: pytest.Config) -> None:
    """A process that cannot end says where it hangs, and fails, instead of keeping everybody waiting."""
    faulthandler.dump_traceback_later(_END_SECONDS, exit=True, file=config.stash[_STDERR])
