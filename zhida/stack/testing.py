"""For tests of every room: one real stack for a whole test run, and names that no other test uses.

``tests/conftest.py`` makes the fixtures of these. ``ZHIDA_TEST_STACK`` chooses ``embedded`` (default) or ``real``.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from schemas.connection import KafkaConnection
from zhida.settings import Settings
from zhida.stack import RunningStack, start_stack

VARIABLE = "ZHIDA_TEST_STACK"


def chosen_stack() -> str:
    """``embedded`` or ``real``; raises ValueError for anything else."""
    choice = os.environ.get(VARIABLE) or "embedded"
    if choice not in {"embedded", "real"}:
        raise ValueError(f"{VARIABLE} must be embedded or real, not {choice!r}")
    return choice


@contextmanager
def running_stack(folder: Path, *, real: bool | None = None, brokers: int = 1) -> Iterator[RunningStack]:
    """A stack with its data in *folder*, for as long as the block runs."""
    wanted = chosen_stack() == "real" if real is None else real
    settings = Settings.load(data_dir=folder)
    with start_stack(settings, real=wanted, brokers=brokers) as stack:
        try:
            yield stack
        finally:
            if not wanted:
                # Asked to stop, it waits five seconds for clients that a test has left, and has nothing to keep.
                stack.kill("tansu")


def unique_name(prefix: str) -> str:
    """A name for a topic, a consumer group or a key that nobody else uses."""
    return f"{prefix}.{secrets.token_hex(4)}"


def free_port() -> int:
    """A port that nobody uses at this moment.

    Whatever a test starts beside the stack needs ports of its own: the usual ones are free when two platforms that
    start at the same time look, and then only one of them gets them.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def create_topic(
    connection: KafkaConnection, name: str, partitions: int = 1, config: dict[str, str] | None = None
) -> str:
    """Create a topic and wait until it is there; returns its name."""
    client = AdminClient(connection.confluent())
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
    client.create_topics([topic])[name].result(timeout=30)
    return name
