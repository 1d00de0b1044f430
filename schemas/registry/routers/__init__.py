"""One router for each resource of the protocol: thin, from HTTP to the registry's operations and back."""

from __future__ import annotations

from starlette.routing import Route

from schemas.registry.routers import compatibility, config, mode, schemas, server, subjects, versions
from schemas.registry.service import Registry


def all_routes(registry: Registry) -> list[Route]:
    """The routes of every resource."""
    return [
        *schemas.routes(registry),
        *subjects.routes(registry),
        *versions.routes(registry),
        *compatibility.routes(registry),
        *config.routes(registry.settings),
        *mode.routes(registry.settings),
        *server.routes(),
    ]
