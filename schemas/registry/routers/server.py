"""``/``, ``/contexts`` and ``/v1/metadata``: what clients ask to see whether, and as what, a registry is there."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry.http import json_response


def routes() -> list[Route]:
    """The routes of this resource."""

    async def root(_: Request) -> Response:
        return json_response({})

    async def contexts(_: Request) -> Response:
        # Contexts are not supported: there is the default one only.
        return json_response(["."])

    async def identity(_: Request) -> Response:
        return json_response({"id": "", "scope": {"path": [], "clusters": {"schema-registry-cluster": "zhida"}}})

    return [Route("/", root), Route("/contexts", contexts), Route("/v1/metadata/id", identity)]
