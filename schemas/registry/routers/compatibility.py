"""``/compatibility``: whether a schema could follow a version, or all that a subject's level names."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry.http import body_of, decoded, flag, json_response, subject_of
from schemas.registry.requests import read_schema_request
from schemas.registry.service import Registry


def routes(registry: Registry) -> list[Route]:
    """The routes of this resource."""

    async def check(request: Request) -> Response:
        schema = read_schema_request(await body_of(request))
        version = request.path_params.get("version")
        messages = await registry.compatible(
            subject_of(request),
            None if version is None else decoded(version),
            schema,
            normalize=flag(request, "normalize"),
        )
        answer: dict[str, Any] = {"is_compatible": not messages}
        if flag(request, "verbose"):
            answer["messages"] = messages
        return json_response(answer)

    return [
        Route("/compatibility/subjects/{subject}/versions", check, methods=["POST"]),
        Route("/compatibility/subjects/{subject}/versions/{version}", check, methods=["POST"]),
    ]
