"""The registry role: the embedded schema registry, and the platform's schemas in it."""

from __future__ import annotations

import asyncio
from functools import partial

from rules.ruleset import RuleSet
from schemas.registry.security import RegistryAuth, RegistryUser
from schemas.registry.server import create_registry
from zhida.in_force import InForce
from zhida.preparation import register_schemas
from zhida.roles import RoleContext
from zhida.settings import Settings


def _register(settings: Settings, in_force: InForce) -> None:
    """Register what a catalog in force needs; one whose publisher died in between gets what it lacks."""
    catalog = in_force.release.catalog
    register_schemas(settings, catalog, RuleSet.from_document(in_force.rules, catalog))


async def run_registry(context: RoleContext) -> None:
    """Serve schemas until asked to stop; says ``registry_ready`` when the catalog's schemas are registered."""
    settings = context.settings
    login = settings.registry()
    auth = None
    if login.username:
        auth = RegistryAuth(users=(RegistryUser(login.username, login.password, "writer"),))
    server = create_registry(settings.kafka(), host=settings.registry_host, port=settings.registry_port, auth=auth)
    await server.start()
    try:
        await context.following.begin("registry", "", partial(_register, settings))
        context.registry_ready.set()
        serving = asyncio.create_task(server.serve())
        stopped = asyncio.create_task(context.stopping.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if serving.done() and not context.stopping.is_set():
            raise RuntimeError("the schema registry ended by itself")
    finally:
        await server.stop()
