"""Due lists: messages whose verdict may have changed, by partition of the report topic. At least once.

What an event woke is spread over the lists in portions, by whoever looks at a list next; so an event that thousands
wait for costs those that come with it nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from schemas.connection import RedisConnection
from schemas.redis_script import Script
from streams.state.client import state_client
from streams.state.errors import explained
from streams.state.packing import topic_code

#: Entries that one look spreads over the lists: the server is held for about a millisecond.
_SPREAD = 500
#: Lists that one call looks at, and offsets in one command.
_AT_ONCE = 1000
#: Hashes that were woken and are not spread yet whose sizes are asked for; of more only the number is known.
_COUNTED = 1000

DUE = (Path(__file__).parent / "due.lua").read_text(encoding="utf-8")


class DueList:
    """The lists of all partitions. Blocking; may be used from several threads."""

    def __init__(self, connection: RedisConnection) -> None:
        self._client = state_client(connection)
        self._take = Script(self._client, DUE)

    def take(
        self, topic_partitions: Collection[tuple[str, int]], below: Mapping[tuple[str, int], int], limit: int = 500
    ) -> dict[tuple[str, int], list[int]]:
        """About *limit* offsets that are due, lower than what *below* says for their partition, in order.

        They stay until :meth:`done`, and are handed out again until then; nothing is taken of partitions that *below*
        does not name.
        """
        asked = [place for place in topic_partitions if place in below]
        calls: list[tuple[Any, ...]] = []
        for start in range(0, max(len(asked), 1), _AT_ONCE):
            portion = [part for place in asked[start : start + _AT_ONCE] for part in (_place(*place), below[place])]
            calls.append((0 if start else _SPREAD, limit, *portion))
        with explained("due lists"):
            answers = self._take.call(calls)
        taken: dict[tuple[str, int], list[int]] = {}
        for start, flat in zip(range(0, max(len(asked), 1), _AT_ONCE), answers, strict=True):
            at = 0
            while at < len(flat):
                number, count = flat[at : at + 2]
                taken[asked[start + number]] = [int(offset) for offset in flat[at + 2 : at + 2 + count]]
                at += 2 + count
        return taken

    def done(self, topic: str, partition: int, offsets: Collection[int]) -> None:
        """These were judged again. One that has been woken anew since it was taken is due once more."""
        self._in_portions(offsets, lambda pipeline, part: pipeline.zrem(f"z:try:{_place(topic, partition)}", *part))

    def add(self, topic: str, partition: int, offsets: Collection[int]) -> None:
        """These have to be judged again."""
        place = _place(topic, partition)

        def command(pipeline: Any, part: list[int]) -> None:
            pipeline.sadd("z:dues", place)
            pipeline.zadd(f"z:due:{place}", {str(offset): offset for offset in part})

        self._in_portions(offsets, command)

    def size(self) -> int:
        """How many have to be judged again; of those not yet spread over the lists at least as many."""
        with explained("size of the due lists"):
            head = self._client.pipeline(transaction=False)
            head.smembers("z:dues")
            head.llen("z:woken")
            head.lrange("z:woken", 0, _COUNTED - 1)
            places, woken, names = head.execute()
            pipeline = self._client.pipeline(transaction=False)
            for place in places:
                pipeline.zcard(b"z:due:" + place)
                pipeline.zcard(b"z:try:" + place)
            for name in names:
                pipeline.hlen(name)
            return int(sum(pipeline.execute()) + woken - len(names))

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _in_portions(self, offsets: Collection[int], command: Any) -> None:
        listed = list(offsets)
        with explained("due lists"):
            pipeline = self._client.pipeline(transaction=False)
            for start in range(0, len(listed), _AT_ONCE):
                command(pipeline, listed[start : start + _AT_ONCE])
            pipeline.execute()


def _place(topic: str, partition: int) -> str:
    return f"{topic_code(topic)}:{partition}"
