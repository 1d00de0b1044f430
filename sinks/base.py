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


@dataclass(frozen=True, slots=True)
class SinkKind:
    """What a sink's module says of it before any is made: ``SINK = SinkKind(create, …)``.

    ``create`` makes one from the configuration, and imports heavy clients only then. ``wants_all_verdicts`` is true for
    a sink that is given rejected and quarantined messages too. ``hold`` is how many seconds the broker may keep a fetch
    back until there is more, ``gather`` how many a write waits for more: a store of columns wants fewer and larger
    inserts than a cache.
    """

    create: Callable[[SinkConfig], Sink]
    wants_all_verdicts: bool = False
    hold: float = 0.12
    gather: float = 0.0


def discover() -> dict[str, SinkKind]:
    """Every sink in this folder by name (the module's own)."""
    found: dict[str, SinkKind] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        kind = getattr(importlib.import_module(f"sinks.{info.name}"), "SINK", None)
        if isinstance(kind, SinkKind):
            found[info.name] = kind
    return found
