"""What the live page shows, gathered once a second for all viewers together.

A snapshot is the whole state of the page, so a viewer that was away or is slow needs the newest one only: nothing
queues up for anyone. The store is asked for as long as somebody looks, and some minutes more, so that the charts of the
next viewer have a past.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from dashboards.deps import ApiDeps
from dashboards.text import plain
from sinks.read import CityFreshness, RejectRow

_log = structlog.get_logger(__name__)
WINDOW_SECONDS = 180
_LATENCY_SECONDS = 10
_REJECTS = 30
#: An age in seconds up to which a city counts as fresh, and up to which as late; older is stale.
FRESH_SECONDS, LATE_SECONDS = 60, 600


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the page: a number that grows, and the JSON that viewers are sent."""

    number: int
    body: str


class SumCheck:
    """Holds what the broker received against what was judged: 收到 = 通过 + 退回 + 隔离 + 在途.

    States: ``balanced`` (nothing under way), ``moving`` (some under way), ``stuck`` (some under way and no verdict for
    *patience* seconds), ``over`` (more judged than received, which cannot be) and ``unknown`` (no broker).
    """

    def __init__(self, patience: float = 30.0) -> None:
        self._patience = patience
        self._judged = -1
        self._since = 0.0

    def look(self, now: float, received: int | None, totals: dict[str, int]) -> dict[str, Any]:
        """The totals for the page; *now* in seconds."""
        counts = {verdict: totals.get(verdict, 0) for verdict in ("accepted", "suspect", "rejected", "quarantined")}
        accepted = counts["accepted"] + counts["suspect"]
        judged = accepted + counts["rejected"] + counts["quarantined"]
        if judged != self._judged:
            self._judged, self._since = judged, now
        in_flight = None if received is None else received - judged
        if in_flight is None:
            state = "unknown"
        elif in_flight == 0:
            state = "balanced"
        elif in_flight < 0:
            state = "over"
        else:
            state = "stuck" if now - self._since >= self._patience else "moving"
        # Suspects are among the accepted: they enter the store, flagged.
        return {**counts, "accepted": accepted, "received": received, "in_flight": in_flight, "state": state}


class Live:
    """The one poller and its viewers. :meth:`run` belongs to the application's lifespan."""

    def __init__(self, deps: ApiDeps, *, interval: float = 1.0, linger: float = 300.0) -> None:
        """*interval* and *linger* in seconds."""
        self._deps = deps
        self._interval = interval
        self._linger = linger
        # Part of every event id, so that ids from before a restart mean nothing here.
        self._boot = f"{int(deps.clock() * 1000):x}"
        self._sum = SumCheck()
        self._latency: deque[tuple[float, float | None, float | None]] = deque(maxlen=WINDOW_SECONDS)
        self._latest: Snapshot | None = None
        self._published = asyncio.Event()
        self._watched = asyncio.Event()
        self._stopped = False
        self._last_viewer = float("-inf")
        self.viewers = 0
        self.polls = 0

    async def run(self) -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if self.viewers == 0 and loop.time() - self._last_viewer > self._linger:
                self._watched.clear()
                self._latency.clear()
                self._latest = None
                await self._watched.wait()
            began = loop.time()
            body = await asyncio.to_thread(self._gather)
            self.polls += 1
            self._latest = Snapshot(self.polls, body)
            fresh, self._published = self._published, asyncio.Event()
            fresh.set()
            cost = loop.time() - began
            # On a store where looking is expensive the page slows down instead of the store.
            await asyncio.sleep(max(self._interval - cost, 3 * cost, 0.05))

    async def snapshots(self, last_event_id: str | None) -> AsyncIterator[tuple[str, str]]:
        """(event id, JSON) of every new state; the first at once unless the viewer has just seen it."""
        loop = asyncio.get_running_loop()
        seen = self._number_of(last_event_id)
        self.viewers += 1
        self._watched.set()
        try:
            while not self._stopped:
                published, latest = self._published, self._latest
                if latest is not None and latest.number != seen:
                    seen = latest.number
                    yield f"{self._boot}-{latest.number}", latest.body
                else:
                    await published.wait()
        finally:
            self.viewers -= 1
            self._last_viewer = loop.time()

    def stop(self) -> None:
        """End every viewer's stream; to be called on the loop that serves them."""
        self._stopped = True
        self._published.set()

    def _number_of(self, event_id: str | None) -> int | None:
        boot, _, number = (event_id or "").partition("-")
        return int(number) if boot == self._boot and number.isascii() and number.isdigit() else None

    def _gather(self) -> str:
        """One snapshot as JSON; parts that cannot be had are left out and named in ``problems``. Blocking."""
        now = self._deps.clock()
        problems: list[str] = []
        state: dict[str, Any] = {"at": int(now * 1000), "problems": problems}
        try:
            # Verdicts first, the broker after: what arrives in between is under way, never "too much judged".
            totals = self._deps.store.totals()
            state["totals"] = self._sum.look(now, self._received(problems), totals)
            state["rate"] = self._rate(int(now))
            state["latency"] = self._latencies(now)
            state["cities"] = self._cities(now, self._deps.store.freshness())
            state["rejects"] = [self._reject(row) for row in self._deps.store.newest_rejects(_REJECTS)]
        except Exception as error:
            _log.warning("the live page could not read the store", error=type(error).__name__)
            problems.append("store")
        return orjson.dumps(state).decode()

    def _received(self, problems: list[str]) -> int | None:
        try:
            return self._deps.broker.received()
        except Exception as error:
            _log.warning("the live page could not ask the broker", error=type(error).__name__)
            problems.append("broker")
            return None

    def _rate(self, now: int) -> dict[str, Any]:
        counted = dict(self._deps.store.per_second(WINDOW_SECONDS + 2))
        start = now - WINDOW_SECONDS
        # The current second is not over yet.
        return {"start": start, "values": [counted.get(second, 0) for second in range(start, now)]}

    def _latencies(self, now: float) -> dict[str, Any]:
        latency = self._deps.store.latency(_LATENCY_SECONDS)
        self._latency.append((now, latency.p50, latency.p99))
        at, p50, p99 = (list(column) for column in zip(*self._latency, strict=True))
        return {"at": [int(moment * 1000) for moment in at], "p50": p50, "p99": p99}

    def _cities(self, now: float, freshness: list[CityFreshness]) -> list[dict[str, Any]]:
        by_city = {row.city: row for row in freshness}
        cities = []
        for city in self._deps.regions.cities:
            row = by_city.get(city.code)
            age = max(0, int(now - row.reported_at.timestamp())) if row else None
            cities.append(
                {
                    "code": city.code,
                    "name": city.name,
                    "age": age,
                    "accepted": row.accepted if row else 0,
                    "level": _level(age),
                }
            )
        return cities

    def _reject(self, row: RejectRow) -> dict[str, Any]:
        units, regions, catalog = self._deps.units, self._deps.regions, self._deps.catalog
        first = row.violations[0] if row.violations else {}
        return {
            "time": int(row.time.timestamp() * 1000),
            "verdict": row.verdict,
            "unit": plain(units[row.unit].name if row.unit in units else row.unit, 60),
            "city": regions[row.city].name if row.city in regions else "",
            "dataset": catalog[row.dataset].zh if row.dataset in catalog else plain(row.dataset, 48),
            "record_id": plain(row.record_id, 64),
            "rule": plain(str(first.get("rule", "")), 64),
            "field": plain(str(first.get("field", "")), 64),
            "zh": plain(str(first.get("message_zh", "")), 200),
            "en": plain(str(first.get("message_en", "")), 200),
            "more": max(0, len(row.violations) - 1),
        }


def _level(age: int | None) -> str:
    if age is None:
        return "none"
    if age <= FRESH_SECONDS:
        return "fresh"
    return "late" if age <= LATE_SECONDS else "stale"
