"""The state in a few dictionaries: what ``streams/state`` does in Redis, plainly. Rules' examples are judged by it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from rules.state.definitions import CLEARED_BY, Ask, Distribution, Event, Packed, Question, Replies, StatePlan, Texts
from rules.state.texts import bucket_end

#: Of those who hold a key, so many of the newest are asked for their value.
NEWEST = 8
#: As many as are waiting for the first holder of a key before so many bytes are full are kept there, each in so many
#: and its partition's digits.
CROWDED, _WAITER_BYTES = 800, 49
#: Partition and offset of a message, by report topic.
Place = tuple[str, int, int]
#: Report topic, identity -> order and message.
_Waiting = dict[tuple[str, str], tuple[str, Place]]


@dataclass(slots=True)
class _Held:
    """What a record holds in one index; ``key`` is "" while it holds nothing."""

    order: str
    key: str
    value: str


@dataclass(slots=True)
class MemoryState:
    """Satisfies ``StateSource``. ``due`` gathers the messages that have to be judged again."""

    #: Index id, key -> identity -> (when it came, value); in the order in which they came.
    _holders: dict[tuple[str, str], dict[str, tuple[int, str]]] = field(default_factory=lambda: defaultdict(dict))
    #: Index id, identity -> what it holds.
    _held: dict[tuple[str, str], _Held] = field(default_factory=dict)
    #: By index id, event and key.
    _waiting: dict[tuple[str, Event, str], _Waiting] = field(default_factory=lambda: defaultdict(dict))
    #: By index id and key that nobody holds: who waits for the first holder though all is well, as long as it is few.
    _few: dict[tuple[str, str], list[tuple[str, Place]]] = field(default_factory=lambda: defaultdict(list))
    _histograms: dict[tuple[str, date], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    _came: int = 0
    due: set[Place] = field(default_factory=set)

    def ask(self, plan: StatePlan, topic: str, partition: int, texts: Texts, *, write: bool = True) -> Replies:
        """See ``StateSource``."""
        found: dict[int, dict[int, tuple[str, ...]]] = {}
        stale: set[int] = set()
        for row, (identity, order, offset, *rest) in enumerate(texts.rows()):
            pairs = list(zip(rest[::2], rest[1::2], strict=True))
            entries, asked = pairs[: len(plan.indexes)], pairs[len(plan.indexes) :]
            held = [self._held.get((index.id, identity)) for index in plan.indexes]
            if any(before and before.order > order for before in held):
                # Nothing that an older version says is so any more.
                stale.add(row)
                continue
            if write:
                for index, (key, value), before in zip(plan.indexes, entries, held, strict=True):
                    self._tell(index.id, identity, _Held(order, key, value), before)
            place = (topic, partition, int(offset))
            for number, (question, (key, value)) in enumerate(zip(plan.questions, asked, strict=True)):
                # Records of two datasets may go by the same number and are not the same.
                itself = identity if question.index.dataset == plan.dataset.code else ""
                answer = self._answer(question, itself, key, value) if key else None
                if answer is not None:
                    found.setdefault(row, {})[number] = answer
                if write and key and question in plan.waiting:
                    self._wait(question, identity, key, (order, place), flagged=answer is not None)
        return Replies(found, frozenset(stale))

    def pack(self, ask: Ask, *, write: bool = True) -> Packed:
        """See ``StateSource``."""
        return ask, write

    def ask_all(self, packed: Sequence[Packed]) -> list[Replies]:
        """See ``StateSource``."""
        return [self.ask(one.plan, one.topic, one.partition, one.texts, write=write) for one, write in packed]

    def limits(self, distributions: Sequence[Distribution], today: date) -> Mapping[Distribution, float]:
        """See ``StateSource``."""
        found = {one: limit_of(one, self._days(one, today)) for one in distributions}
        return {one: limit for one, limit in found.items() if limit is not None}

    def count(self, distribution: Distribution, today: date, buckets: Mapping[int, int]) -> None:
        """See ``StateSource``."""
        self._histograms[distribution.id, today].update(buckets)

    def _days(self, distribution: Distribution, today: date) -> Iterator[Mapping[int, int]]:
        for back in range(1, distribution.days + 1):
            yield self._histograms.get((distribution.id, today - timedelta(days=back)), {})

    def _tell(self, index: str, identity: str, now: _Held, before: _Held | None) -> None:
        self._held[index, identity] = now
        if before and (before.key, before.value) == (now.key, now.value):
            return
        holders = self._holders
        if before and before.key and before.key != now.key:
            del holders[index, before.key][identity]
            self._wake(index, "-", before.key)
        if now.key:
            self._came += 1
            came = holders[index, now.key].get(identity, (self._came, ""))[0]
            holders[index, now.key][identity] = (came, now.value)
            self._wake(index, "+", now.key)

    def _answer(self, question: Question, identity: str, key: str, value: str) -> tuple[str, ...] | None:
        holders = sorted((came, who, said) for who, (came, said) in self._holders[question.index.id, key].items())
        if question.mode == "known":
            return None if holders else ()
        if question.mode == "agrees":
            newest = [said for _, _, said in holders[-NEWEST:]]
            return tuple(newest) if holders and value not in newest else None
        if question.mode == "first":
            return (holders[0][1],) if holders and holders[0][1] != identity else None
        others = [who for _, who, _ in holders if who != identity]
        return (others[0],) if others else None

    def _wait(self, question: Question, identity: str, key: str, now: tuple[str, Place], *, flagged: bool) -> None:
        event = CLEARED_BY[question.mode]
        if not flagged:
            if question.mode != "clear":
                return
            # Not only what comes after the other record has to agree with it.
            event = "+"
            place = question.index.id, key
            if not self._holders[place] and self._one_of_few(self._few[place], now):
                return
        waiting, who = self._waiting[question.index.id, event, key], (now[1][0], identity)
        # An older version, which nothing tells where the record is in no index, must not wait in place of a newer one.
        waiting[who] = max(waiting.get(who, now), now)

    @staticmethod
    def _one_of_few(few: list[tuple[str, Place]], now: tuple[str, Place]) -> bool:
        if now not in few:
            if sum(_WAITER_BYTES + len(str(place[1])) for _, place in few) >= CROWDED:
                return False
            few.append(now)
        return True

    def _wake(self, index: str, event: Event, key: str) -> None:
        self.due.update(place for _, place in self._waiting.pop((index, event, key), {}).values())
        if event == "+":
            self.due.update(place for _, place in self._few.pop((index, key), ()))


def limit_of(distribution: Distribution, days: Iterator[Mapping[int, int]]) -> float | None:
    """Beyond what a number is unusual, by the histograms of *days*; None where there are too few."""
    together: Counter[int] = Counter()
    for histogram in days:
        together.update(histogram)
    total = together.total()
    if total < max(distribution.least, 1):
        return None
    needed = distribution.quantile * total
    for number in sorted(together):
        needed -= together[number]
        if needed <= 0:
            break
    return bucket_end(number) * distribution.times
