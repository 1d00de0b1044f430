"""What all sinks share: their configuration, their errors and how they are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.batch import Sink
from schemas.connection import ClickHouseConnection, RedisConnection


class SinkError(Exception):
    """A sink cannot do what it was asked; the message says why and what to do."""


class SinkUnavailable(SinkError):  # noqa: N818 (what it is, not what went wrong)
    """The place behind the sink does not answer: trying again later may help.

    Remedy: see that the server runs and that address, user and password in the settings are right.
    """


class MigrationError(SinkError):
    """The place holds tables that this version must not write to; trying again does not help.

    Remedy: the message names the table and the column. A changed type needs a new field in the catalog, or the
    table moved aside by its operator; a newer layout needs the newer Zhida that made it.
    """


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """What sinks are made from. A sink takes what it needs and says by name what is missing.

    ``options`` holds settings of sinks that are not part of this distribution.
    """

    clickhouse: ClickHouseConnection | None = None
    redis: RedisConnection | None = None
    options: Mapping[str, str] = field(default_factory=dict)


SinkFactory = Callable[[SinkConfig], Sink]


def discover() -> dict[str, SinkFactory]:
    """Every sink in this folder by name (the module's own), each with the function that makes it."""
    found: dict[str, SinkFactory] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"sinks.{info.name}")
        create = getattr(module, "create", None)
        if callable(create):
            found[info.name] = create
    return found
