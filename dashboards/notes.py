"""Reads are noted in the audit journal before they are answered: who, when, what, why, from where, how it ended."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import structlog
from fastapi import Request

from dashboards.audit import AuditLog, AuditUnavailableError
from dashboards.deps import ApiDeps
from dashboards.problems import ApiError
from dashboards.text import plain
from sinks.read import AuditRow

_log = structlog.get_logger(__name__)
PURPOSE_HEADER = b"x-zhida-purpose"


class Notes:
    """Notes one kind of reads. ``reads`` counts them by outcome."""

    def __init__(self, deps: ApiDeps, audit: AuditLog) -> None:
        self._deps = deps
        self._audit = audit
        self.reads: Counter[str] = Counter()

    def note(self, request: Request, what: str, outcome: str) -> None:
        """Put the read on disk; raises ApiError 503 when it cannot be, and then it must not be answered."""
        row = AuditRow(
            at=datetime.fromtimestamp(self._deps.clock(), UTC),
            who=str(request.scope["state"]["who"]),
            what=what,
            why=_purpose(request),
            source=request.client.host if request.client else "",
            outcome=outcome,
        )
        try:
            self._audit.record(row)
        except AuditUnavailableError as error:
            _log.error("a read was refused because it could not be noted", reason=str(error))
            self.reads["refused"] += 1
            raise ApiError(
                503,
                "audit_unavailable",
                "审计日志暂时无法写入，查询已拒绝",
                "the audit log cannot be written; read refused",
            ) from error
        self.reads[outcome] += 1


def _purpose(request: Request) -> str:
    """The stated purpose: UTF-8 in the header, made one line of at most 200 characters."""
    raw = next((value for name, value in request.headers.raw if name == PURPOSE_HEADER), b"")
    return plain(raw.decode("utf-8", "replace"), 200)
