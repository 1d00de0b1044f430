"""``GET /v1/verdicts/{feedback id}``: the verdict that stands on one reported message, for as long as the store lasts.

The record itself is not answered: the store keeps what was said of a message, with personal values masked as in its
unit's feedback, and not the message. Every answer is noted in the audit journal before it leaves.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.audit import AuditLog
from dashboards.deps import ApiDeps
from dashboards.notes import Notes
from dashboards.problems import ApiError, JsonBytes
from dashboards.subjects import unit_label
from schemas.release import Release
from schemas.verdict import feedback_id as id_of
from schemas.verdict import parse_feedback_id
from sinks.read import StoredVerdict

_log = structlog.get_logger(__name__)
_VERDICTS = {
    "accepted": ("通过", "accepted"),
    "suspect": ("疑问", "suspect"),
    "rejected": ("退回", "rejected"),
    "quarantined": ("隔离", "quarantined"),
}
#: For the description of the service; every error has the same shape.
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "结论及违反的规则，个人信息已遮盖 the verdict and its violations, personal values masked"},
    401: {"description": "未登录或令牌无效 no valid token"},
    404: {"description": "没有这条结论 there is no such verdict"},
    422: {"description": "不是反馈编号 not a feedback id"},
    503: {"description": "暂时无法查询，或无法写入审计日志 cannot be read, or not noted, now"},
}


def verdict_routes(deps: ApiDeps, audit: AuditLog) -> APIRouter:
    """The route of single verdicts."""
    router = APIRouter(prefix="/v1/verdicts", tags=["verdicts"])
    notes = Notes(deps, audit)

    # `:path`, so that an id with a slash in it is told what is wrong with it and not just "not found".
    @router.get("/{feedback_id:path}", response_class=JsonBytes, responses=_RESPONSES, name="read_verdict")
    async def read_verdict(feedback_id: str, request: Request) -> Response:
        """单条结论 the verdict on one reported message, by its feedback id ``<topic>-<partition>-<offset>``."""
        place = _place(feedback_id)
        what = f"verdict.read {id_of(*place)}"
        try:
            found = await run_sync(deps.store.verdict_of, *place)
        except Exception as error:
            _log.error("a verdict could not be read", error=type(error).__name__)
            notes.note(request, what, "error")
            raise ApiError(
                503, "store_unavailable", "结论暂时无法查询，请稍后重试", "the verdict cannot be read now; try again"
            ) from error
        notes.note(request, what, "ok:store" if found else "not_found")
        if found is None:
            raise ApiError(
                404,
                "no_verdict",
                "没有这条消息的结论：尚未判定，或编号有误",
                "there is no verdict on that message: it has not been judged yet, or there is no such message",
            )
        return JsonBytes(_shape(found, deps.in_force(), datetime.fromtimestamp(deps.clock(), UTC)))

    return router


def _place(text: str) -> tuple[str, int, int]:
    """Source coordinates; raises ApiError 422 that does not repeat the text."""
    try:
        return parse_feedback_id(text.strip())
    except ValueError:
        raise ApiError(
            422,
            "bad_feedback_id",
            "这不是反馈编号；反馈编号是 <报送主题>-<分区>-<偏移>",
            "not a feedback id, which is <topic>-<partition>-<offset>",
        ) from None


def _shape(found: StoredVerdict, release: Release, now: datetime) -> dict[str, Any]:
    zh, en = _VERDICTS.get(found.verdict, (found.verdict, found.verdict))
    return {
        "feedback_id": id_of(found.topic, found.partition, found.offset),
        "topic": found.topic,
        "partition": found.partition,
        "offset": found.offset,
        "source": "store",
        "answered_at": now,
        "dataset": found.dataset,
        "unit": unit_label(found.unit, release.units, release.regions),
        "record_id": found.record_id or None,
        "version": found.version,
        "verdict": found.verdict,
        "verdict_zh": zh,
        "verdict_en": en,
        "rule_set": found.rule_set,
        "schema_id": found.schema_id,
        "reported_at": found.reported_at,
        "governed_at": found.governed_at,
        "judged_again": found.again,
        "violations": found.violations,
    }
