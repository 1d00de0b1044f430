"""One running platform for the tests of a module that don't kill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire import Wire

from zhida.platform import start_platform
from zhida.settings import Settings
from zhida.stack.testing import chosen_stack, free_port


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A platform with one govern worker, on the chosen stack (ZHIDA_TEST_STACK), and the way to talk to it."""
    settings = Settings.load(
        data_dir=tmp_path_factory.mktemp("platform") / "var",
        # Of its own: while a test has stopped the registry, nobody else's may answer in its place.
        registry_port=free_port(),
        api_port=free_port(),
        # The embedded broker takes half of it for each join.
        govern_session_timeout_s=3.0,
        # Enough to tell partitions apart; whoever fetches pays for each of them, though nothing comes.
        partitions=2,
    )
    with start_platform(settings, real=chosen_stack() == "real", report=print) as platform:
        yield Wire(platform)
