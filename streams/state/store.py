"""The state in Redis: what every govern worker tells and asks. ``rules.state.memory`` says plainly what it means.

A batch costs one round trip, of Lua calls that are atomic each. Calls may be repeated: what the state was told already
changes nothing. The module's programs need Redis 6.2 or later, not a Redis cluster.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import redis

from rules.state.definitions import Ask, Distribution, Packed, Replies, StatePlan, Texts
from rules.state.memory import limit_of
from schemas.connection import RedisConnection
from schemas.redis_script import Script
from streams.state.client import state_client
from streams.state.errors import StateError, explained
from streams.state.packing import Packer

#: A call holds the server for one to two milliseconds at this size: nobody waits longer than that.
ROWS_A_CALL = 500
#: Calls sent before their answers are awaited; bounds what the client holds in memory.
_CALLS_A_ROUND = 20
_DAY_SECONDS = 86_400
_EPOCH = "z:epoch"

APPLY = (Path(__file__).parent / "apply.lua").read_text(encoding="utf-8")


class RedisState:
    """Satisfies ``rules.state.StateSource``. May be used from several threads.

    *secret* keys the hashes of keys; with another one nothing is found of what was told before. A record that was
    flagged waits *wait_days* days for the event that may clear it.
    """

    def __init__(self, connection: RedisConnection, *, secret: bytes, wait_days: int) -> None:
        self._client = state_client(connection)
        self._apply = Script(self._client, APPLY)
        self._packer = Packer(secret)
        self._wait = wait_days * _DAY_SECONDS
        #: Names the state from its first use on. Another name, or none, says that what was told before is gone.
        self._epoch = ""
        self._limits: dict[tuple[Distribution, date], float | None] = {}

    def ask(self, plan: StatePlan, topic: str, partition: int, texts: Texts, *, write: bool = True) -> Replies:
        """See ``StateSource``. Raises StateUnavailable, StateLost or StateError."""
        return self.ask_all([self.pack(Ask(plan, topic, partition, texts), write=write)])[0]

    def pack(self, ask: Ask, *, write: bool = True) -> Packed:
        """See ``StateSource``."""
        if not len(ask.texts) or not (ask.plan.indexes or ask.plan.questions):
            return ()
        place = (ask.topic, ask.partition)
        return tuple(self._packer.pack(ask.plan, place, ask.texts, ROWS_A_CALL, write=write, wait=self._wait))

    def ask_all(self, packed: Sequence[Packed]) -> list[Replies]:
        """See ``StateSource``. Raises what :meth:`ask` raises."""
        calls = [(number, start, arguments) for number, one in enumerate(packed) for start, arguments in one]
        found: list[dict[int, dict[int, tuple[str, ...]]]] = [{} for _ in packed]
        stale: list[set[int]] = [set() for _ in packed]
        epoch = (self._epoch or self._begin()) if calls else ""
        for at in range(0, len(calls), _CALLS_A_ROUND):
            sent = calls[at : at + _CALLS_A_ROUND]
            with explained("state"):
                answers = self._apply.call([(epoch, *arguments) for _, _, arguments in sent])
            for (number, start, _), answer in zip(sent, answers, strict=True):
                for row, question, texts_found in _entries(answer):
                    if question < 0:
                        stale[number].add(start + row)
                    else:
                        found[number].setdefault(start + row, {})[question] = texts_found
        return [Replies(one, frozenset(gone)) for one, gone in zip(found, stale, strict=True)]

    def limits(self, distributions: Sequence[Distribution], today: date) -> Mapping[Distribution, float]:
        """See ``StateSource``: the first worker that asks fixes the day's limit for all."""
        known = self._limits
        if any(day != today for _, day in known):
            self._limits = known = {key: limit for key, limit in known.items() if key[1] == today}
        for one in distributions:
            if (one, today) not in known:
                known[one, today] = self._limit(one, today)
        return {one: limit for one in distributions if (limit := known[one, today]) is not None}

    def count(self, distribution: Distribution, today: date, buckets: Mapping[int, int]) -> None:
        """See ``StateSource``. Not exactly once: a histogram's use does not depend on single numbers."""
        if not buckets:
            return
        key = _histogram(distribution, today)
        with explained("counting"):
            pipeline = self._client.pipeline(transaction=False)
            for bucket, count in buckets.items():
                pipeline.hincrby(key, str(bucket), count)
            pipeline.expire(key, (distribution.days + 2) * _DAY_SECONDS)
            pipeline.execute()

    def check(self) -> None:
        """Raise StateUnavailable when the server does not answer, StateError when it may forget what it was told."""
        with explained("health check"):
            try:
                memory = self._client.info("memory")
            except redis.exceptions.NoPermissionError:
                self._client.ping()
                return  # a managed Redis may hide it; its operator has read the documentation
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if int(memory.get("maxmemory", 0)) and policy.startswith("allkeys"):
            raise StateError(
                f"Redis may evict any key (maxmemory-policy {policy}): who holds a key could be "
                "forgotten; set maxmemory-policy noeviction or volatile-ttl"
            )

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _begin(self) -> str:
        with explained("state"):
            self._client.set(_EPOCH, secrets.token_hex(8), nx=True)
            epoch: Any = self._client.get(_EPOCH)
        self._epoch = (epoch or b"").decode()
        return self._epoch

    def _limit(self, distribution: Distribution, today: date) -> float | None:
        key = f"z:u:{distribution.name.removeprefix('@usual.')}:{today.isoformat()}"
        with explained("limits"):
            fixed: Any = self._client.get(key)
            if fixed is None:
                computed = limit_of(distribution, self._histograms(distribution, today))
                text = "" if computed is None else repr(computed)
                self._client.set(key, text, nx=True, ex=2 * _DAY_SECONDS)
                fixed = self._client.get(key)
        return float(fixed) if fixed else None

    def _histograms(self, distribution: Distribution, today: date) -> Iterator[Mapping[int, int]]:
        pipeline = self._client.pipeline(transaction=False)
        for back in range(1, distribution.days + 1):
            pipeline.hgetall(_histogram(distribution, today - timedelta(days=back)))
        for histogram in pipeline.execute():
            yield {int(bucket): int(count) for bucket, count in histogram.items()}


def _histogram(distribution: Distribution, day: date) -> str:
    return f"z:h:{distribution.id}:{day.isoformat()}"


def _entries(flat: Sequence[Any]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    at = 0
    while at < len(flat):
        row, question, count = flat[at : at + 3]
        at += 3
        yield row, question, tuple(text.decode("utf-8", "surrogatepass") for text in flat[at : at + count])
        at += count
