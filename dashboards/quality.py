"""``GET /v1/quality``: completeness, timeliness, compliance and reporting rate, by ``sinks.indicators``.

``GET /v1/quality/choices`` says what can be asked for. The page of the indicators asks these two and computes nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dashboards.audit import AuditLog
from dashboards.deps import ApiDeps
from dashboards.notes import Notes
from dashboards.problems import ApiError, JsonBytes
from dashboards.text import plain
from schemas.release import Release
from sinks.indicators import GROUPINGS, LONGEST, Indicators, Quality, Question, quality

_log = structlog.get_logger(__name__)
#: Each reads history; the store is there for the sinks first.
_AT_A_TIME = 2
#: What is shown where nobody says which days: a week, today included.
_USUAL_DAYS = 7
_CHINA = timezone(timedelta(hours=8))
_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 31)
_Text = Annotated[str, Query(max_length=64)]


def quality_routes(deps: ApiDeps, audit: AuditLog) -> APIRouter:
    """The route of the quality indicators."""
    router = APIRouter(prefix="/v1/quality", tags=["quality"])
    notes = Notes(deps, audit)
    limiter = CapacityLimiter(_AT_A_TIME)

    @router.get("", response_class=JsonBytes)
    async def read_quality(
        request: Request,
        by: _Text = "city",
        dataset: _Text = "",
        city: _Text = "",
        first: Annotated[str, Query(alias="from", max_length=64)] = "",
        last: Annotated[str, Query(alias="to", max_length=64)] = "",
        own: bool = False,
    ) -> Response:
        """质量指标 the indicators by unit, dataset, city, county or day, of whole days in China, both included."""
        release = deps.in_force()
        today = datetime.fromtimestamp(deps.clock(), _CHINA).date()
        question = _question(by, dataset, city, own, first, last, today, release)
        what = f"quality.read by={question.by} from={question.first} to={question.last}"
        what += f" dataset={question.dataset or '*'} region={question.region or '*'}{' own' if own else ''}"
        try:
            found = await run_sync(lambda: quality(question, deps.store, release, deps.timed()), limiter=limiter)
        except Exception as error:
            _log.error("quality indicators could not be computed", error=type(error).__name__)
            notes.note(request, what, "error")
            raise ApiError(
                503,
                "store_unavailable",
                "指标暂时无法计算，请缩短时间范围或稍后重试",
                "the indicators cannot be computed now; ask for fewer days or try again",
            ) from error
        notes.note(request, what, "ok:store")
        return JsonBytes(_shape(question, found, datetime.fromtimestamp(deps.clock(), UTC)))

    @router.get("/choices", response_class=JsonBytes)
    async def read_choices() -> Response:
        """可选范围 the datasets and regions in force, the usual and the longest period in days, and what time it is."""
        release = deps.in_force()
        return JsonBytes(
            {
                "now": datetime.fromtimestamp(deps.clock(), UTC),
                "usual_days": _USUAL_DAYS,
                "longest_days": LONGEST,
                "datasets": [{"code": one.code, "zh": one.zh, "en": one.en} for one in release.catalog],
                "regions": [asdict(region) for region in sorted(release.regions, key=lambda region: region.code)],
            }
        )

    return router


def _question(
    by: str, dataset: str, region: str, own: bool, first: str, last: str, today: date, release: Release
) -> Question:
    """What is asked; raises ApiError 400 that says what is wrong, without repeating it."""
    grouping = next((one for one in GROUPINGS if one == by), None)
    if grouping is None:
        known = ", ".join(GROUPINGS)
        raise _wrong("bad_by", f"by 应为下列之一：{known}", f"by must be one of {known}")
    if dataset and dataset not in release.catalog:
        raise _wrong("unknown_dataset", "目录中没有这个数据集", "the catalog has no such dataset")
    if region and region not in release.regions:
        raise _wrong("unknown_region", "没有这个地区编码", "there is no region of that code")
    if own and not region:
        raise _wrong("no_region", "own 须与 city 同用", "own goes with city")
    end = _day(last) if last else (max(today, _day(first)) if first else today)
    begin = _day(first) if first else end - timedelta(days=_USUAL_DAYS - 1)
    question = Question(grouping, begin, end, dataset, region, own)
    if not 1 <= question.days <= LONGEST:
        raise _wrong(
            "bad_period",
            f"起始日期不得晚于截止日期，最长 {LONGEST} 天",
            f"'from' must not be after 'to', and the period at most {LONGEST} days",
        )
    return question


def _day(text: str) -> date:
    wrong = _wrong("bad_day", "日期应写作 2026-01-31", "a day is written 2026-01-31")
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise wrong from None
    if not _EARLIEST <= found <= _LATEST:
        raise wrong
    return found


def _wrong(code: str, zh: str, en: str) -> ApiError:
    return ApiError(400, code, zh, en)


def _shape(question: Question, found: Quality, now: datetime) -> dict[str, Any]:
    return {
        "by": question.by,
        "from": question.first,
        "to": question.last,
        "dataset": question.dataset or None,
        "region": question.region or None,
        "own": question.own,
        "answered_at": now,
        "rows": [_row(row) for row in found.rows],
        "total": _row(found.total),
    }


def _row(row: Indicators) -> dict[str, Any]:
    rates = {
        "completeness": row.completeness,
        "timeliness": row.timeliness,
        "compliance": row.compliance,
        "reporting_rate": row.reporting_rate,
    }
    # What nobody could read may name any unit and any dataset.
    named = {"key": plain(row.key, 64), "name": plain(row.name, 64)}
    return asdict(row) | named | {"corrected": row.corrected} | rates
