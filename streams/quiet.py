"""Fetches of a consumer to whom little comes: quiet partitions are asked about less often, quiet streams held longer.

While records come, a fetch is held for a few milliseconds so that it brings a batch. Most partitions of most datasets
are quiet for most of the day all the same, and each costs worker and broker as much in every fetch as a busy one. So a
partition from which nothing has come for a while is left out of most fetches; and where nothing comes at all, as at
night, the broker holds a fetch of all of them for longer, and ends it with the first record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

#: Seconds without a record after which a partition, or all of them, are quiet.
QUIET_AFTER = 1.0
#: Milliseconds for which a fetch is held then. Apache Kafka answers when the first record is there; the embedded broker
#: looks for one only about twice in this time.
QUIET_WAIT_MS = 200
#: Seconds at least between two fetches of a quiet partition beside busy ones; or so many times as long as one is held.
ASK_QUIET_EVERY, _HOLDS = 0.1, 2


@dataclass(frozen=True, slots=True)
class _Part:
    """As much of an assignment as the fetcher looks at when it makes its requests."""

    tps: list[Any]
    state_value: Callable[[Any], Any]


class _Attention:
    """Which partitions are worth asking about."""

    def __init__(self, fetcher: Any, clock: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._every = max(ASK_QUIET_EVERY, _HOLDS * fetcher._fetch_max_wait_ms / 1000)
        #: By partition: when records came, and when it was in a request.
        self._heard: dict[Any, float] = {}
        self._asked: dict[Any, float] = {}
        self._last = clock()

    def heard(self, partitions: Iterable[Any]) -> None:
        """Records of *partitions* are there."""
        self._last = self._clock()
        self._heard.update(dict.fromkeys(partitions, self._last))

    def asked(self, requests: Iterable[tuple[int, Any]]) -> None:
        """Fetch requests that will be sent."""
        now = self._clock()
        for _, request in requests:
            for topic, partitions in request.topics:
                self._asked.update(((topic, partition), now) for partition, *_ in partitions)

    @property
    def quiet(self) -> bool:
        """Whether nothing comes at all."""
        return self._clock() - self._last > QUIET_AFTER

    def part_of(self, assignment: Any) -> Any:
        """The partitions to look at now; all where none of them is busy."""
        now, long_ago = self._clock(), float("-inf")
        busy = [tp for tp in assignment.tps if now - self._heard.get(tp, long_ago) <= QUIET_AFTER]
        if not busy:
            return assignment
        due = [
            tp
            for tp in assignment.tps
            if now - self._asked.get(tp, long_ago) >= self._every or self._needs_more(assignment, tp)
        ]
        return _Part(list({*busy, *due}), assignment.state_value)

    def _needs_more(self, assignment: Any, tp: Any) -> bool:
        """Whether the fetcher has something else to do with a partition than to fetch it."""
        state = assignment.state_value(tp)
        return tp in self._fetcher._records or state.paused or not state.has_valid_position


def amend(fetcher: Any, clock: Callable[[], float] = monotonic) -> None:
    """Have an aiokafka fetcher do so; while records come it waits as it was told to."""
    busy = (fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes)
    quiet = (max(QUIET_WAIT_MS, fetcher._fetch_max_wait_ms), 1)
    attention = _Attention(fetcher, clock)
    fetch, plan = fetcher._proc_fetch_request, fetcher._get_actions_per_node

    async def proc_fetch_request(assignment: Any, node_id: int, request: Any) -> bool:
        brought: bool = await fetch(assignment, node_id, request)
        if brought:
            attention.heard(fetcher._records)
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = quiet if attention.quiet else busy
        return brought

    def get_actions_per_node(assignment: Any) -> Any:
        actions = plan(attention.part_of(assignment))
        attention.asked(actions[0])
        return actions

    fetcher._proc_fetch_request, fetcher._get_actions_per_node = proc_fetch_request, get_actions_per_node
