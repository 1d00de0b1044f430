"""``/subjects``: the names, look-up of a schema under one, and deletion."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry.http import body_of, check_may_write, flag, json_response, page, subject_of
from schemas.registry.requests import read_schema_request
from schemas.registry.service import Registry


def routes(registry: Registry) -> list[Route]:
    """The routes of this resource."""

    async def names(request: Request) -> Response:
        # confluent-kafka for Python writes deleted_only and subject for what others call deletedOnly, subjectPrefix.
        prefix = request.query_params.get("subjectPrefix", request.query_params.get("subject", ""))
        deleted_only = flag(request, "deletedOnly") or flag(request, "deleted_only")
        found = registry.state.subjects(deleted=flag(request, "deleted"), deleted_only=deleted_only)
        return json_response(page(request, [name for name in found if name.startswith(prefix)]))

    async def look_up(request: Request) -> Response:
        wanted = read_schema_request(await body_of(request))
        found = await registry.look_up(
            subject_of(request), wanted, normalize=flag(request, "normalize"), deleted=flag(request, "deleted")
        )
        return json_response(found.as_json())

    async def delete(request: Request) -> Response:
        check_may_write(request)
        gone = await registry.delete_subject(subject_of(request), permanent=flag(request, "permanent"))
        return json_response(gone)

    return [
        Route("/subjects", names),
        Route("/subjects/{subject}", look_up, methods=["POST"]),
        Route("/subjects/{subject}", delete, methods=["DELETE"]),
    ]
