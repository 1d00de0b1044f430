"""Roles: the components of the platform, any of which can share a process.

``govern`` judges records, ``sink-<name>`` feeds one sink, ``registry`` serves schemas, ``api`` serves queries and
pages.
A role is an async function of a :class:`RoleContext` that returns when asked to stop and raises when it cannot go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from sinks.base import discover
from zhida.errors import ExitCode, UserError
from zhida.following import Following
from zhida.settings import Settings


@dataclass(frozen=True, slots=True)
class RoleContext:
    """What every role is given. ``registry_ready`` is set once schemas can be asked for.

    ``following`` knows what catalog and rules are in force; the roles of one process share it.
    """

    settings: Settings
    stopping: asyncio.Event
    registry_ready: asyncio.Event
    following: Following


Role = Callable[[RoleContext], Coroutine[None, None, None]]

#: Order in which roles of one process are named and started.
FIXED_ROLES = ("registry", "govern", "api")


def role_names() -> list[str]:
    """Every role that this installation knows."""
    return [*FIXED_ROLES, *_sink_roles()]


def service_roles(settings: Settings) -> list[str]:
    """The roles of a whole platform beside govern, in the order in which they start.

    Where another registry is named, ours is not among them.
    """
    registry = [] if settings.registry_url else ["registry"]
    return [*registry, *_sink_roles(), "api"]


def _sink_roles() -> list[str]:
    return [f"sink-{name}" for name in sorted(discover())]


def find_role(name: str) -> Role:
    """The role called *name*; raises UserError that lists what there is."""
    if name == "govern":
        from zhida.roles.govern import run_govern

        return run_govern
    if name == "registry":
        from zhida.roles.registry import run_registry

        return run_registry
    if name == "api":
        from zhida.roles.api import run_api

        return run_api
    if name.startswith("sink-") and name.removeprefix("sink-") in discover():
        from zhida.roles.sink import sink_role

        return sink_role(name.removeprefix("sink-"))
    known = "、".join(role_names())
    raise UserError(f"没有角色 {name}", f"no role {name!r}", f"可用 available: {known}", ExitCode.USAGE)
