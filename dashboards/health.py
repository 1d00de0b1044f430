"""``/healthz`` (the process lives), ``/readyz`` (what it needs answers) and ``/metrics`` (Prometheus text)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from dashboards.audit import AuditLog
from dashboards.deps import ApiDeps
from dashboards.live import Live
from dashboards.problems import JsonBytes
from dashboards.subjects import Subjects

_log = structlog.get_logger(__name__)
_CHECK_SECONDS = 5.0


def health_routes(deps: ApiDeps, audit: AuditLog, live: Live, subjects: Subjects) -> APIRouter:
    """The routes for those who run the service."""
    router = APIRouter(tags=["operations"])
    checks: Mapping[str, Callable[[], object]] = {
        "store": deps.store.check,
        "broker": deps.broker.received,
        **deps.checks,
    }

    @router.get("/healthz", response_class=JsonBytes)
    async def healthz() -> Response:
        """存活 the process answers."""
        return JsonBytes({"status": "ok"})

    @router.get("/readyz", response_class=JsonBytes)
    async def readyz() -> Response:
        """就绪 every dependency answers; 503 and its name otherwise."""
        results = await asyncio.gather(*(_check(name, check) for name, check in checks.items()))
        parts = dict(zip(checks, results, strict=True))
        ready = all(state == "ok" for state in parts.values())
        return JsonBytes(
            {"status": "ok" if ready else "unavailable", "parts": parts}, status_code=200 if ready else 503
        )

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text: messages by verdict, messages received, reads, audit backlog, viewers."""
        totals = await asyncio.to_thread(deps.store.totals)
        received = await asyncio.to_thread(deps.broker.received)
        families = [
            _family("zhida_messages_total", "counter", "Judged messages by verdict.", _by("verdict", totals)),
            _family("zhida_received_total", "counter", "Messages the report topics were sent.", {"": received}),
            _family(
                "zhida_subject_reads_total", "counter", "Reads of subjects by outcome.", _by("outcome", subjects.reads)
            ),
            _family("zhida_audit_backlog_bytes", "gauge", "Audit rows not yet stored.", {"": audit.backlog_bytes}),
            _family("zhida_live_viewers", "gauge", "Open live pages.", {"": live.viewers}),
        ]
        return PlainTextResponse("".join(families), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


async def _check(name: str, check: Callable[[], object]) -> str:
    """``ok``, or what kind of error there was; the error's own words go to the log, they may hold addresses."""
    try:
        await asyncio.wait_for(asyncio.to_thread(check), timeout=_CHECK_SECONDS)
    except Exception as error:
        _log.warning("a dependency is not ready", part=name, error=type(error).__name__)
        return type(error).__name__
    return "ok"


def _by(label: str, values: Mapping[str, int]) -> dict[str, int]:
    return {f'{{{label}="{key}"}}': value for key, value in sorted(values.items())}


def _family(name: str, kind: str, help_text: str, samples: Mapping[str, int]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"
