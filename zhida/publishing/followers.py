"""Who follows: what each role says that it uses, and which of them the broker still counts among the living."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import orjson
from aiokafka.errors import KafkaError

from schemas.announcements import Announced, Follower
from schemas.connection import KafkaConnection
from streams.eviction import clients_of
from zhida.following import FOLLOWERS_TOPIC
from zhida.groups import groups

#: Seconds between two questions to the broker who is there.
_ASK_SECONDS = 1.0
#: Seconds for which a member may be missing, as it is in the middle of a rebalance, before it counts as gone.
_GONE_SECONDS = 10.0
#: Seconds that a role which cannot take something on has to try again, before nobody waits for it any more.
_PATIENCE = 6.0


@dataclass(frozen=True, slots=True)
class Follows:
    """What one role of one process uses. ``error`` says why it is not the newest, ``broken`` what cannot be used."""

    client: str
    role: str
    catalog: int
    rules: int
    error: str
    broken: dict[str, str]
    alive: bool

    def uses(self, numbers: tuple[int, int]) -> bool:
        """True when it uses this release and rule set, or newer ones."""
        return self.catalog >= numbers[0] and self.rules >= numbers[1]


class FollowerWatch:
    """Watches the roles of all processes while the block runs."""

    def __init__(self, kafka: KafkaConnection, *, start_seconds: float = 20.0) -> None:
        self._kafka = kafka
        self._start_seconds = start_seconds
        self._states: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._follower = Follower(kafka, [FOLLOWERS_TOPIC], self._told)

    def __enter__(self) -> FollowerWatch:
        """Raises AnnouncementError when the broker does not answer."""
        self._follower.start()
        self._follower.wait_until_read(self._start_seconds)
        self.look()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._follower.stop()

    def look(self) -> None:
        """Ask the broker who is there."""
        try:
            found = asyncio.run(clients_of(self._kafka, groups()))
        except KafkaError:
            # A cluster without any consumer yet has nobody to coordinate groups; any other trouble shows as silence.
            return
        now = time.monotonic()
        self._seen |= {client: now for clients in found.values() for client in clients}

    def all(self) -> list[Follows]:
        """Every role that works on records, and every other that has told what it uses, by name."""
        now = time.monotonic()
        with self._lock:
            states = dict(self._states)
        alive = {client for client, seen in self._seen.items() if now - seen < _GONE_SECONDS}
        return [
            Follows(
                client=client,
                role=str(states.get(client, {}).get("role", "")),
                catalog=int(states.get(client, {}).get("catalog", 0)),
                rules=int(states.get(client, {}).get("rules", 0)),
                error=str(states.get(client, {}).get("error", "")),
                broken=dict(states.get(client, {}).get("broken") or {}),
                alive=client in alive,
            )
            for client in sorted(alive | {name for name, state in states.items() if state.get("role") == "api"})
        ]

    def wait(self, numbers: tuple[int, int], seconds: float) -> list[Follows]:
        """Those that work on records, when all of them use *numbers*, or at the latest after *seconds*."""
        began = asked = time.monotonic()
        while True:
            working = [one for one in self.all() if one.alive]
            waited = time.monotonic() - began
            late = [one for one in working if not one.uses(numbers)]
            hopeless = waited > _PATIENCE and all(one.error for one in late)
            if not late or hopeless or waited > seconds:
                return working
            if time.monotonic() - asked > _ASK_SECONDS:
                self.look()
                asked = time.monotonic()
            time.sleep(0.02)

    def _told(self, announced: Announced) -> None:
        client = announced.key.decode("utf-8", "replace")
        with self._lock:
            if announced.value is None:
                self._states.pop(client, None)
                self._seen.pop(client, None)
            else:
                state = orjson.loads(announced.value)
                if isinstance(state, dict):
                    self._states[client] = state
