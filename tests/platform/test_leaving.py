"""A worker that is asked to stop ends between two records: all it began is done, confirmed and committed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import cycle, islice

import pytest
from running import until
from wire import Sent, Wire

pytestmark = pytest.mark.real
LEAVES = 3
#: Messages in one go, and the seconds between two of these.
CHUNK, PAUSE = 50, 0.1


def test_a_worker_that_leaves_under_load_has_committed_exactly_what_it_has_done(wire: Wire) -> None:
    platform, dataset = wire.platform, wire.catalog["administrative_penalty"]
    pairs = cycle(wire.pairs(wire.sound(1000)))
    sent: list[Sent] = []
    enough = threading.Event()

    def report() -> None:
        while not enough.wait(PAUSE):
            sent.extend(wire.send(list(islice(pairs, CHUNK)), linger_ms=1))

    reporting = threading.Thread(target=report)
    reporting.start()
    seen = [0]
    try:
        for _ in range(LEAVES):
            until(lambda: _committed(wire) > seen[-1], 60, "the worker commits", platform.watch)
            time.sleep(0.7)
            platform.stop_worker("govern-1")
            done = Counter(place[:2] for place in wire.accepted(dataset))
            committed = {place: offset for place, (offset, _) in wire.committed().items() if offset}
            assert committed == done
            seen.append(sum(done.values()))
            platform.start_worker("govern-1", ["govern"])
    finally:
        enough.set()
        reporting.join()
    wire.wait_judged(sent)
    print(f"left with {', '.join(map(str, seen[1:]))} of {len(sent)} records done")
    # Nothing is missing, and nothing was done twice, which is more than is promised.
    assert len(wire.read(dataset.accepted_topic)) == len(sent)
    assert wire.accepted(dataset).keys() == {one.place for one in sent}


def _committed(wire: Wire) -> int:
    return sum(offset for offset, _ in wire.committed().values())
