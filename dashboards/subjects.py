"""``GET /v1/subjects/{uscc}`` and ``POST /v1/subjects/search``: what is on record about one subject.

Every answer is noted in the audit journal before it leaves. A natural person is asked for by POST, so that document
numbers stand in no URL and no access log; the audit names such a subject by its keyed hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import structlog
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from dashboards.audit import AuditLog
from dashboards.deps import ApiDeps
from dashboards.identifiers import organisation_subject, person_number
from dashboards.notes import Notes
from dashboards.problems import ApiError, JsonBytes
from schemas.catalog import Dataset
from schemas.units import Regions, Units
from sinks.read import StoredRecord

_log = structlog.get_logger(__name__)
_VERDICTS = {"accepted": ("正常", "accepted"), "suspect": ("疑问", "suspect")}


class PersonSearch(BaseModel):
    """The body of a search: the document number of one natural person."""

    model_config = ConfigDict(extra="forbid")

    id_number: SecretStr = Field(max_length=128, description="证件号码 number of the person's document")


class Subjects:
    """Reads a subject, notes the read, shapes the answer. ``reads`` counts answers by outcome, for the metrics."""

    def __init__(self, deps: ApiDeps, audit: AuditLog) -> None:
        self._deps = deps
        self._notes = Notes(deps, audit)

    @property
    def reads(self) -> Counter[str]:
        """Answers by outcome."""
        return self._notes.reads

    async def answer(self, request: Request, subject: str, action: str) -> Response:
        """The answer for *subject*; raises ApiError 404 without records, 503 when it cannot be read or noted."""
        try:
            records, source = await run_sync(self._deps.subjects.read, subject)
        except Exception as error:
            _log.error("a subject could not be read", error=type(error).__name__)
            self._notes.note(request, f"{action} {subject}", "error")
            raise ApiError(
                503, "store_unavailable", "数据暂时无法查询，请稍后重试", "the records cannot be read now; try again"
            ) from error
        self._notes.note(request, f"{action} {subject}", f"ok:{source}" if records else "not_found")
        if not records:
            raise ApiError(
                404,
                "no_records",
                "未查询到该主体的信用记录；这不等于该主体不存在",
                "there are no records on this subject; that does not mean that it does not exist",
            )
        return JsonBytes(self._shape(subject, records, source))

    def _shape(self, subject: str, records: list[StoredRecord], source: str) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._deps.clock(), UTC)
        release = self._deps.in_force()
        datasets = []
        # The read side sorts by dataset, so one pass makes the groups.
        for code, group in groupby(records, key=lambda record: record.dataset):
            label = _describe(release.catalog[code]) if code in release.catalog else _unknown(code)
            rows = [_row(record, release.units, release.regions) for record in group]
            datasets.append({**label, "count": len(rows), "records": rows})
        return {
            "subject": subject,
            "source": source,
            "answered_at": now,
            "count": len(records),
            "suspect": sum(record.verdict == "suspect" for record in records),
            "datasets": datasets,
        }


def subject_routes(subjects: Subjects, deps: ApiDeps) -> APIRouter:
    """The routes of the query service."""
    router = APIRouter(prefix="/v1/subjects", tags=["subjects"])

    # `:path`, so that a code with a slash in it is told what is wrong with it and not just "not found".
    @router.get("/{uscc:path}", response_class=JsonBytes)
    async def read_subject(uscc: str, request: Request) -> Response:
        """主体的全部信用记录 all current records of an organisation, by USCC or ``reg:<registration number>``."""
        return await subjects.answer(request, organisation_subject(uscc), "subject.read")

    @router.post("/search", response_class=JsonBytes)
    async def search_person(search: PersonSearch, request: Request) -> Response:
        """自然人查询 all current records of a natural person, by the document number in the body."""
        number = person_number(search.id_number.get_secret_value())
        return await subjects.answer(request, deps.subject_of_person(number), "subject.search")

    return router


def unit_label(code: str, units: Units, regions: Regions) -> dict[str, str]:
    """A unit as answers name it: its code, and name and region where it is known."""
    unit = {"code": code}
    if code in units:
        known = units[code]
        unit["name"] = known.name
        unit["region"] = regions[known.region].name if known.region in regions else known.region
    return unit


def _row(record: StoredRecord, units: Units, regions: Regions) -> dict[str, Any]:
    zh, en = _VERDICTS.get(record.verdict, (record.verdict, record.verdict))
    return {
        "record_id": record.record_id,
        "version": record.version,
        "verdict": record.verdict,
        "verdict_zh": zh,
        "verdict_en": en,
        "unit": unit_label(record.unit, units, regions),
        "reported_at": record.reported_at,
        "fields": record.fields,
    }


def _describe(dataset: Dataset) -> Mapping[str, Any]:
    labels = {field.name: field.zh for field in dataset.business_fields}
    return {
        "dataset": dataset.code,
        "zh": dataset.zh,
        "en": dataset.en,
        "category": dataset.category,
        "sharing": dataset.sharing,
        "event_date": dataset.event_date,
        "labels": labels,
    }


def _unknown(code: str) -> Mapping[str, Any]:
    return {"dataset": code, "zh": code, "en": code, "labels": {}}
