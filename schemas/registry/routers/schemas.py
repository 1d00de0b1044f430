"""``/schemas``: schemas by id, and all of them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.registry.errors import schema_not_found
from schemas.registry.http import flag, json_response, page
from schemas.registry.service import Registry
from schemas.registry.state import Content


def routes(registry: Registry) -> list[Route]:
    """The routes of this resource."""
    state = registry.state

    async def wanted(request: Request) -> tuple[int, Content]:
        text = request.path_params["id"]
        if not (text.isascii() and text.isdigit() and len(text) < 11):
            raise schema_not_found()
        return int(text), await registry.content(int(text))

    async def by_id(request: Request) -> Response:
        _, content = await wanted(request)
        answer = content.as_json()
        if flag(request, "fetchMaxId"):
            answer["maxId"] = state.highest_id
        return json_response(answer)

    async def by_guid(request: Request) -> Response:
        number = state.id_of_guid(request.path_params["guid"].lower())
        content = None if number is None else state.content(number)
        if content is None:
            raise schema_not_found()
        return json_response({"id": number} | content.as_json())

    async def text(request: Request) -> Response:
        return json_response((await wanted(request))[1].schema.encode())

    async def subjects(request: Request) -> Response:
        number, _ = await wanted(request)
        places = [place for place in state.places(number) if flag(request, "deleted") or not place.deleted]
        return json_response(page(request, list(dict.fromkeys(place.subject for place in places))))

    async def versions(request: Request) -> Response:
        number, _ = await wanted(request)
        places = [place for place in state.places(number) if flag(request, "deleted") or not place.deleted]
        return json_response(page(request, [{"subject": at.subject, "version": at.version} for at in places]))

    async def types(_: Request) -> Response:
        return json_response(["AVRO"])

    async def everything(request: Request) -> Response:
        prefix = request.query_params.get("subjectPrefix", "")
        found = [
            version
            for version in state.all_versions()
            if version.subject.startswith(prefix) and (flag(request, "deleted") or not version.deleted)
        ]
        if flag(request, "latestOnly"):
            found = list({version.subject: version for version in found}.values())
        return json_response([version.as_json() for version in page(request, found)])

    return [
        Route("/schemas", everything),
        Route("/schemas/types", types),
        Route("/schemas/ids/{id}", by_id),
        Route("/schemas/guids/{guid}", by_guid),
        Route("/schemas/ids/{id}/schema", text),
        Route("/schemas/ids/{id}/subjects", subjects),
        Route("/schemas/ids/{id}/versions", versions),
    ]
