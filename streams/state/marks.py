"""Which indexes are built, who builds, and how large the state is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.connection import RedisConnection
from schemas.redis_script import Script
from streams.state.client import state_client
from streams.state.errors import explained

#: The set of indexes that are built, and everybody tells of what is accepted.
_READY = "z:ready"
#: Kinds of entries of an index; see ``apply.lua``.
_KINDS = "imnw"
_SCAN, _PORTION = 1000, 500
#: Keys whose size is asked for, to know about all.
_SAMPLE = 400

# Takes the lock, or keeps it; ARGV: name, owner, milliseconds.
_LOCK = """
local name = 'z:building:' .. ARGV[1]
if redis.call('GET', name) == ARGV[2] then return redis.call('PEXPIRE', name, ARGV[3]) end
return redis.call('SET', name, ARGV[2], 'NX', 'PX', ARGV[3]) and 1 or 0
"""
_UNLOCK = """
local name = 'z:building:' .. ARGV[1]
return redis.call('GET', name) == ARGV[2] and redis.call('DEL', name) or 0
"""


# Takes an index out of guards; ARGV: index, names of guards.
_STRIP = """
local index = ARGV[1]
for number = 2, #ARGV do
  local guard = redis.call('GET', ARGV[number]) or ''
  local kept, at = string.sub(guard, 1, 39), 40
  while at <= #guard do
    local last = at + 42 + tonumber(string.sub(guard, at + 40, at + 42))
    if string.sub(guard, at, at + 7) ~= index then kept = kept .. string.sub(guard, at, last) end
    at = last + 1
  end
  if kept ~= guard then redis.call('SET', ARGV[number], kept) end
end
"""


@dataclass(frozen=True, slots=True)
class StateSize:
    """``memory`` in bytes and ``entries`` are estimates, by a sample of the server's keys."""

    memory: int
    entries: int


class IndexMarks:
    """Marks of the indexes by id. They are lost with the state, so that what is lost is known to be not built."""

    def __init__(self, connection: RedisConnection) -> None:
        self._client = state_client(connection)
        self._lock = Script(self._client, _LOCK)
        self._unlock = Script(self._client, _UNLOCK)
        self._strip = Script(self._client, _STRIP)

    def not_ready(self, index_ids: Collection[str]) -> set[str]:
        """Those of *index_ids* that are not built."""
        ids = list(index_ids)
        if not ids:
            return set()
        with explained("marks of the indexes"):
            found: Any = self._client.smismember(_READY, ids)
        return {index for index, mark in zip(ids, found, strict=True) if not mark}

    def mark_ready(self, index_ids: Collection[str]) -> None:
        """These hold all that was accepted so far."""
        if index_ids:
            with explained("marks of the indexes"):
                self._client.sadd(_READY, *index_ids)

    def retire(self, kept: Collection[str]) -> set[str]:
        """Nobody tells any index but *kept* any more: whoever wants another one again has to build it anew.

        Returns those others.
        """
        with explained("marks of the indexes"):
            marked: Any = self._client.smembers(_READY)
            others = {index.decode() for index in marked} - set(kept)
            if others:
                self._client.srem(_READY, *others)
        return others

    def lock_building(self, name: str, owner: str, seconds: float) -> bool:
        """True when *owner* alone builds *name* for *seconds*; to go on longer, ask again before they are over."""
        with explained("lock for building"):
            return bool(self._lock.call([(name, owner, int(seconds * 1000))])[0])

    def unlock_building(self, name: str, owner: str) -> None:
        """Somebody else may build *name*; nothing happens when *owner* does not hold the lock any more."""
        with explained("lock for building"):
            self._unlock.call([(name, owner)])

    def forget(self, index_id: str) -> int:
        """Delete an index that no rule asks any more, in portions; returns how many entries it had.

        Guards go first: an index that is built again holds only what its records' guards do not say already.
        """
        deleted = 0
        with explained("deleting an index"):
            self._client.srem(_READY, index_id)
            for names in self._portions("z:g:*"):
                self._strip.call([(index_id, *names)])
            for kind in _KINDS:
                for names in self._portions(f"z:{kind}:{index_id}[-+:]*"):
                    unlinked: Any = self._client.unlink(*names)
                    deleted += unlinked
        return deleted

    def size(self) -> StateSize:
        """How large the state is, roughly: the server may hold other things too."""
        with explained("size of the state"):
            total: Any = self._client.dbsize()
            pipeline = self._client.pipeline(transaction=False)
            for _ in range(min(_SAMPLE, total)):
                pipeline.randomkey()
            drawn = [name for name in pipeline.execute() if name is not None]
            ours = [name for name in drawn if name.startswith(b"z:")]
            for name in ours:
                pipeline.memory_usage(name)
            sizes = [size for size in pipeline.execute() if size]
        if not sizes:
            return StateSize(0, 0)
        return StateSize(round(total * sum(sizes) / len(drawn)), round(total * len(ours) / len(drawn)))

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _portions(self, pattern: str) -> Iterator[list[bytes]]:
        names: list[bytes] = []
        for name in self._client.scan_iter(match=pattern, count=_SCAN):
            names.append(name)
            if len(names) == _PORTION:
                yield names
                names = []
        if names:
            yield names
