"""What the engines of a stack say of themselves at this moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.connection import KafkaConnection
from zhida.settings import Settings
from zhida.stack.children import log_tail
from zhida.stack.health import broker_answers, clickhouse_answers, redis_answers
from zhida.stack_state import Service, StackState

Condition = Literal["ok", "silent", "crashed", "in-process"]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One engine: ``silent`` runs and does not answer; ``crashed`` has ended by itself, ``log_tail`` says how."""

    service: Service
    condition: Condition
    log_tail: str = ""


def look(state: StackState, settings: Settings) -> Iterator[ServiceStatus]:
    """The condition of every engine of *state*; *settings* hold the addresses and passwords of that stack."""
    for service in state.services:
        if service.process is None:
            yield ServiceStatus(service, "in-process")
        elif not service.alive():
            yield ServiceStatus(service, "crashed", log_tail(service.log))
        else:
            yield ServiceStatus(service, "ok" if _answers(service, settings) else "silent")


def _answers(service: Service, settings: Settings) -> bool:
    if service.name == "redis":
        return redis_answers(settings.redis())
    if service.name == "clickhouse":
        return clickhouse_answers(settings.clickhouse())
    # Each node is asked by itself: the others would answer for one that hangs.
    return broker_answers(KafkaConnection(bootstrap=service.address))
