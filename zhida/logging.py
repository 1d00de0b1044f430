"""Structured logging: one event a line, a sentence with fields beside it.

Never pass a record, a field's value, a key, a token or a password to a logger: coordinates (topic, partition, offset),
counts and rule ids are enough to find what happened. As a net under that rule, fields with telling names are blanked.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

#: Fields that must never reach a log, whoever passes them.
FORBIDDEN_FIELDS = frozenset(
    {"record", "value", "payload", "body", "password", "token", "secret", "authorization", "id_number", "phone"}
)


def _blank_forbidden(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in FORBIDDEN_FIELDS & event.keys():
        event[name] = "***"
    return event


def configure(*, json: bool, level: str = "info", stream: TextIO | None = None) -> None:
    """Set structlog and the standard library's logging up for this process; call once, at its start.

    ``json``: one JSON object a line (services), else text for a console. ``level``: debug, info, warning or error.
    ``stream``: where to, standard error by default.
    """
    output = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _blank_forbidden,
        # A traceback would otherwise take many lines; its locals are never shown (they hold records).
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Clients that log every request at INFO would drown what matters.
    for chatty in ("httpx", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
