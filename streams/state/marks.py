"""Which indexes are built, who builds, and how large the state is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from schemas.connection import RedisConnection
from schemas.redis_script import Script
from streams.state.client import state_client
from streams.state.errors import explained

#: The set of indexes that are built, and everybody tells of what is accepted.
_READY = "z:ready"
_HASHES = "z:hashes"
#: Kinds of an index's keys that are no hash of holders; see ``apply.lua``.
_KINDS = "mnw"
_SCAN, _PORTION = 1000, 500
#: Entries of a hash whose size is asked for, to know about all.
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


# Takes an index out of guards; ARGV: index, name of their hash, identities.
_STRIP = """
local index, name = ARGV[1], ARGV[2]
for number = 3, #ARGV do
  local guard = redis.call('HGET', name, ARGV[number]) or ''
  local kept, at = string.sub(guard, 1, 39), 40
  while at <= #guard do
    local last = at + 42 + tonumber(string.sub(guard, at + 40, at + 42))
    if string.sub(guard, at, at + 7) ~= index then kept = kept .. string.sub(guard, at, last) end
    at = last + 1
  end
  if kept ~= guard then redis.call('HSET', name, ARGV[number], kept) end
end
"""


@dataclass(frozen=True, slots=True)
class StateSize:
    """``entries`` are guards and holders of keys; ``memory`` in bytes is what they take, by a sample of them."""

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
            for name in self._hashes():
                if name.startswith(b"z:g:"):
                    fields = (field for field, _ in self._client.hscan_iter(name, count=_SCAN))
                    for portion in _portions(fields):
                        self._strip.call([(index_id, name, *portion)])
            holders = f"z:i:{index_id}"
            held: Any = self._client.hlen(holders)
            deleted += int(held)
            self._client.unlink(holders)
            self._client.srem(_HASHES, holders)
            for kind in _KINDS:
                for names in _portions(self._client.scan_iter(match=f"z:{kind}:{index_id}[-+:]*", count=_SCAN)):
                    unlinked: Any = self._client.unlink(*names)
                    deleted += int(unlinked)
        return deleted

    def size(self) -> StateSize:
        """How large the state is; without who waits, who are few beside it."""
        with explained("size of the state"):
            names = self._hashes()
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.hlen(name)
                pipeline.memory_usage(name, samples=_SAMPLE)
            found = pipeline.execute()
        return StateSize(memory=sum(size or 0 for size in found[1::2]), entries=sum(found[::2]))

    def _hashes(self) -> list[bytes]:
        """The names of the hashes of guards and of holders."""
        names: Any = self._client.smembers(_HASHES)
        return sorted(names)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()


def _portions(names: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    left = iter(names)
    while portion := tuple(islice(left, _PORTION)):
        yield portion
