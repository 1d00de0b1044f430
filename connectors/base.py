"""What every connector is made of: its description, what it is handed, its events and its errors."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from schemas.catalog import Catalog
from schemas.connection import KafkaConnection
from schemas.units import Units

#: One thing that happened, as plain data that can be printed as JSON; the key ``event`` names its kind.
Event = dict[str, Any]
Emit = Callable[[Event], None]


class ConnectorError(Exception):
    """Something expected went wrong: what and where (Chinese and English), and what to do about it."""

    def __init__(self, message_zh: str, message_en: str, remedy: str = "") -> None:
        super().__init__(message_en)
        self.message_zh = message_zh
        self.message_en = message_en
        self.remedy = remedy


class UnreachableError(ConnectorError):
    """The other side does not answer; trying again later may help."""


class UnknownNameError(ConnectorError):
    """The caller named something that does not exist, such as a unit."""


class SchemaRegistry(Protocol):
    """What a connector needs of a schema registry client."""

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register *schema* under *subject*, or look it up where it is known, and return its id."""
        ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a connector is handed; it reads neither settings nor the clock by itself."""

    kafka: KafkaConnection
    registry: SchemaRegistry
    catalog: Catalog
    units: Units
    #: Milliseconds since the epoch.
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector's description.

    ``run`` is given a validated ``config`` and works until it is done or interrupted; it emits events and returns True
    when everything went well. It raises ConnectorError.
    """

    name: str
    direction: Literal["in", "out"]
    zh: str
    en: str
    config: type[BaseModel]
    run: Callable[[Any, Wiring, Emit], bool]


def discover() -> dict[str, Connector]:
    """Every connector of this package by name; raises ConnectorError where two have the same name."""
    import connectors

    found: dict[str, Connector] = {}
    for module in pkgutil.iter_modules(connectors.__path__):
        connector = getattr(importlib.import_module(f"connectors.{module.name}"), "CONNECTOR", None)
        if connector is None:
            continue
        if connector.name in found:
            raise ConnectorError(
                f"两个连接器同名：{connector.name}", f"two connectors are called {connector.name}", "rename one of them"
            )
        found[connector.name] = connector
    return found


def known_unit(units: Units, code: str) -> str:
    """*code* if it is a reporting unit; raises UnknownNameError that names the nearest one."""
    import difflib

    if code in units:
        return code
    near = difflib.get_close_matches(code.upper(), [unit.code for unit in units], n=1, cutoff=0.8)
    hint_zh = f"，是否为 {near[0]}（{units[near[0]].name}）" if near else ""
    hint_en = f"; did you mean {near[0]}?" if near else ""
    raise UnknownNameError(
        f"没有编码为 {code} 的报送单位{hint_zh}", f"no reporting unit {code}{hint_en}", "zhida unit list --find <名称>"
    )
