"""Fetches of a consumer to whom nothing comes: the broker holds them for longer, and ends them with the first record.

While records come, a fetch is held for a few milliseconds so that it brings a batch. At night that would be fifty
requests a second for nothing, each of which has the broker look into every partition.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

#: Seconds without a record after which a stream is quiet.
QUIET_AFTER = 1.0
#: Milliseconds for which a fetch is held then. Apache Kafka answers when the first record is there; the embedded broker
#: looks for one only about twice in this time.
QUIET_WAIT_MS = 200


def amend(fetcher: Any, clock: Callable[[], float] = monotonic) -> None:
    """Have an aiokafka fetcher wait as it was told to while records come, and longer while none do."""
    busy = (fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes)
    quiet = (max(QUIET_WAIT_MS, fetcher._fetch_max_wait_ms), 1)
    proceed = fetcher._proc_fetch_request
    last = clock()

    async def proc_fetch_request(assignment: Any, node_id: int, request: Any) -> bool:
        nonlocal last
        brought: bool = await proceed(assignment, node_id, request)
        now = clock()
        if brought:
            last = now
        waits = quiet if now - last > QUIET_AFTER else busy
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = waits
        return brought

    fetcher._proc_fetch_request = proc_fetch_request
