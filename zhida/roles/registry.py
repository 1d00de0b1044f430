"""The registry role: the embedded schema registry, and the platform's schemas in it."""

from __future__ import annotations

import asyncio
from functools import partial

from schemas.connection import RegistryConnection
from schemas.registry.security import RegistryAuth, RegistryToken, RegistryUser
from schemas.registry.server import create_registry
from zhida.preparation import register_in_force
from zhida.roles import RoleContext


def _auth(login: RegistryConnection) -> RegistryAuth | None:
    """Who may come in: whoever shows what the platform itself shows; anyone where it shows nothing."""
    if login.username:
        return RegistryAuth(users=(RegistryUser(login.username, login.password, "writer"),))
    if login.token:
        return RegistryAuth(tokens=(RegistryToken("platform", login.token, "writer"),))
    return None


async def run_registry(context: RoleContext) -> None:
    """Serve schemas until asked to stop; says ``registry_ready`` when the catalog's schemas are registered."""
    settings = context.settings
    auth = _auth(settings.registry())
    server = create_registry(settings.kafka(), host=settings.registry_host, port=settings.registry_port, auth=auth)
    await server.start()
    try:
        await context.following.begin("registry", "", partial(register_in_force, settings))
        context.registry_ready.set()
        serving = asyncio.create_task(server.serve())
        stopped = asyncio.create_task(context.stopping.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if serving.done() and not context.stopping.is_set():
            raise RuntimeError("the schema registry ended by itself")
    finally:
        await server.stop()
