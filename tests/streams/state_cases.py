"""Random lives of records for the state: what units could send, in any order, and plans that look at each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from texts_of import texts_of

from rules.state.definitions import Index, Question, StatePlan, Texts
from schemas.catalog import Catalog
from schemas.ordering import order_text

_CATALOG = Catalog.load()
LICENCE, PERSON, PENALTY = (
    _CATALOG[code] for code in ("administrative_licence", "legal_person", "administrative_penalty")
)

#: Nothing of what these hold may cut, join or end anything.
HOSTILE = ["", "a", "b", "\0", "a|b", "|", "z:i:*", "*", "1:003a", "中" * 100, "é\U0001f600", " " * 32, "\n\r\n$3\r\n"]


def plans(salt: str) -> tuple[StatePlan, StatePlan, StatePlan]:
    """Three plans, about three datasets, that ask all there is to ask; *salt* gives them indexes of their own."""
    numbers = Index("administrative_licence", ("a" + salt,), "v")
    bare = Index("administrative_licence", ("b" + salt,))
    people = Index("legal_person", ("c" + salt,), "n")
    one = (
        Question(numbers, "first", ("a",)),
        Question(people, "known", ("c",)),
        Question(people, "agrees", ("c",), "n"),
        Question(bare, "clear", ("b",)),
    )
    two = (Question(numbers, "clear", ("a",)), Question(people, "first", ("c",)), Question(numbers, "agrees", ("a",)))
    licence = StatePlan(LICENCE, (numbers, bare), one, waiting=frozenset(one))
    person = StatePlan(PERSON, (people,), two, waiting=frozenset(two[:2]))
    # Nothing is kept of the last one's records: old versions are not told apart.
    three = (Question(people, "known", ("c",)), Question(bare, "clear", ("b",)))
    return licence, person, StatePlan(PENALTY, (), three, waiting=frozenset(three))


@dataclass(frozen=True, slots=True)
class Told:
    """One record's texts: ``pairs`` are key and value of each index and each question."""

    identity: str
    version: int
    offset: int
    pairs: tuple[str, ...]

    @property
    def row(self) -> tuple[str, ...]:
        return (self.identity, order_text(self.version, self.offset), str(self.offset), *self.pairs)


@dataclass(frozen=True, slots=True)
class Call:
    """One batch: which of the plans, of which partition, how it is handed over."""

    plan: int
    partition: int
    told: tuple[Told, ...]
    as_frame: bool
    write: bool

    @property
    def texts(self) -> Texts:
        return texts_of(*(one.row for one in self.told), frame=self.as_frame)


#: Pairs of texts in a row of each plan.
_PAIRS = (2 + 4, 1 + 3, 0 + 2)


@st.composite
def lives(draw: st.DrawFn) -> list[Call]:
    """Batches about few records and few keys, so that they meet: corrections, withdrawals, old versions, repeats."""
    names = st.sampled_from(["|", "U1|r", "U|1r", *HOSTILE[2:]])
    identities = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    keys = draw(st.lists(st.sampled_from(HOSTILE[1:]), min_size=1, max_size=2, unique=True))
    key, value = st.sampled_from(["", *keys, *keys, *keys]), st.sampled_from(HOSTILE[:4])
    calls: list[Call] = []
    sent: dict[tuple[int, str], tuple[str, ...]] = {}
    offset = 0
    for _ in range(draw(st.integers(1, 8))):
        plan = draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
        told = []
        for _ in range(draw(st.integers(1, 8))):
            offset += draw(st.integers(1, 3))
            identity, kind = draw(st.sampled_from(identities)), draw(st.sampled_from("sssswwrrcco"))
            texts = tuple(text for _ in range(_PAIRS[plan]) for text in (draw(key), draw(value)))
            if kind == "s":  # as most records are: asked about the keys that they hold themselves
                texts = texts[:2] * _PAIRS[plan]
            elif kind == "w":
                texts = ("",) * (2 * _PAIRS[plan])
            elif kind in "rc":  # sent again, or with other values
                before = sent.get((plan, identity), texts)
                texts = (
                    before if kind == "r" else tuple(draw(value) if n % 2 else text for n, text in enumerate(before))
                )
            sent[plan, identity] = texts
            version = draw(st.integers(0, 2)) + (draw(st.integers(0, 1)) and offset)
            told.append(Told(identity, version, offset, texts))
        shape = draw(st.booleans()), draw(st.integers(0, 9)) > 0
        calls.append(Call(plan, draw(st.integers(0, 2)), tuple(told), *shape))
        if draw(st.integers(0, 3)) == 0:  # after a crash
            calls += calls[-draw(st.integers(1, 3)) :]
    return calls


def cut(call: Call, sizes: Sequence[int]) -> list[Call]:
    """The same records in smaller batches."""
    parts, at = [], 0
    while at < len(call.told):
        size = sizes[len(parts) % len(sizes)]
        parts.append(replace(call, told=call.told[at : at + size]))
        at += size
    return parts
