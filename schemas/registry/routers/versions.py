"""``/subjects/{subject}/versions``: registering, reading and deleting the versions of a subject."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry import errors
from schemas.registry.http import body_of, check_may_write, decoded, flag, json_response, page, subject_of
from schemas.registry.requests import read_schema_request
from schemas.registry.service import Registry
from schemas.registry.state import SchemaVersion


def routes(registry: Registry) -> list[Route]:
    """The routes of this resource."""

    def wanted(request: Request) -> SchemaVersion:
        number = decoded(request.path_params["version"])
        return registry.version(subject_of(request), number, deleted=flag(request, "deleted"))

    async def numbers(request: Request) -> Response:
        deleted_only = flag(request, "deletedOnly") or flag(request, "deleted_only")
        found = registry.existing(subject_of(request), deleted=flag(request, "deleted") or deleted_only)
        return json_response(page(request, [item.version for item in found if item.deleted or not deleted_only]))

    async def register(request: Request) -> Response:
        check_may_write(request)
        schema = read_schema_request(await body_of(request))
        made = await registry.register(subject_of(request), schema, normalize=flag(request, "normalize"))
        return json_response({"id": made.id, "version": made.version} | made.content.as_json())

    async def read(request: Request) -> Response:
        return json_response(wanted(request).as_json())

    async def text(request: Request) -> Response:
        return json_response(wanted(request).content.schema.encode())

    async def referenced_by(request: Request) -> Response:
        version = wanted(request)
        users = registry.state.users(version.subject, version.version)
        return json_response(page(request, sorted({user.id for user in users})))

    async def delete(request: Request) -> Response:
        check_may_write(request)
        number = decoded(request.path_params["version"])
        gone = await registry.delete_version(subject_of(request), number, permanent=flag(request, "permanent"))
        return json_response(gone)

    async def with_metadata(request: Request) -> Response:
        keys, values = request.query_params.getlist("key"), request.query_params.getlist("value")
        if len(keys) != len(values):
            raise errors.unprocessable("each key needs a value")
        pairs = {decoded(key): decoded(value) for key, value in zip(keys, values, strict=True)}
        for version in reversed(registry.existing(subject_of(request), deleted=flag(request, "deleted"))):
            if pairs.items() <= _properties(version).items():
                return json_response(version.as_json())
        raise errors.schema_not_found()

    return [
        Route("/subjects/{subject}/versions", numbers),
        Route("/subjects/{subject}/versions", register, methods=["POST"]),
        Route("/subjects/{subject}/versions/{version}", read),
        Route("/subjects/{subject}/versions/{version}", delete, methods=["DELETE"]),
        Route("/subjects/{subject}/versions/{version}/schema", text),
        Route("/subjects/{subject}/versions/{version}/referencedby", referenced_by),
        Route("/subjects/{subject}/metadata", with_metadata),
    ]


def _properties(version: SchemaVersion) -> dict[str, Any]:
    metadata = orjson.loads(version.content.metadata) if version.content.metadata is not None else {}
    return metadata.get("properties") or {}
