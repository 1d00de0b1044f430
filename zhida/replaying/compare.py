"""What was said of records beside what other rules say of them: which differ, and in what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import orjson

from schemas.verdict import QUARANTINE_REASONS, Verdict, Violation, encode_violations

#: Verdicts by code; nothing was said of a record with code 0.
VERDICTS: tuple[str, ...] = ("", "accepted", "suspect", "rejected", "quarantined")
CODES: dict[str, int] = {verdict: code for code, verdict in enumerate(VERDICTS)}
ACCEPTED = CODES["accepted"]

#: ``verdict``: another verdict; ``rules``: the same for other reasons; ``wording``: the same in other words.
Kind = Literal["verdict", "rules", "wording"]
#: Columns of a partition.
Times = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.uint8]]


def _nothing(_rule: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Scope:
    """Rules (by id) that are left out on both sides: *never* of any record, *stale* of versions that newer ones have
    replaced.
    """

    never: Callable[[str], bool] = _nothing
    stale: Callable[[str], bool] = _nothing


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict with its reasons; ``unit`` is who is told, "" where nobody is known. Of a quarantined record the one
    violation stands for the reason.
    """

    verdict: Verdict
    violations: tuple[Violation, ...] = ()
    unit: str = ""

    @property
    def text(self) -> bytes:
        """The reasons as they are kept of what was said."""
        if self.verdict == "quarantined":
            return self.violations[0].rule.encode() if self.violations else b""
        return encode_violations(self.violations) if self.violations else b""


def unreadable(reason: str, unit: str = "") -> Said:
    """What is said of a record that is quarantined for *reason*."""
    zh, en = QUARANTINE_REASONS.get(reason, ("", ""))
    return Said("quarantined", (Violation(reason, "conformity", "reject", "", "", zh, en),), unit)


@dataclass(slots=True)
class LiveVerdicts:
    """What was said of the records of one partition, by offset from *first* up to *end*; the newest word counts.

    Nine bytes an offset, and the reasons where there are any: no row is made for a record that broke nothing.
    """

    first: int
    end: int
    _governed: Times = field(init=False)
    _codes: Codes = field(init=False)
    _reasons: dict[int, tuple[bytes, str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        count = max(0, self.end - self.first)
        self._governed = np.zeros(count, dtype=np.int64)
        self._codes = np.zeros(count, dtype=np.uint8)

    def take(
        self,
        offsets: Times,
        governed: Times,
        codes: Codes,
        reasons: Mapping[int, tuple[bytes, str]],
    ) -> None:
        """Verdicts in any order: where, when (ms) and which; *reasons* and addressee by row, where there are any.

        Offsets that are not of ours are passed over.
        """
        rows = np.flatnonzero((offsets >= self.first) & (offsets < self.end))
        # Of two in one batch the newer one is written last.
        rows = rows[np.argsort(governed[rows], kind="stable")]
        rows = rows[governed[rows] >= self._governed[offsets[rows] - self.first]]
        places = offsets[rows] - self.first
        self._governed[places] = governed[rows]
        self._codes[places] = codes[rows]
        for row, told in reasons.items():
            offset = int(offsets[row])
            if self.first <= offset < self.end and governed[row] == self._governed[offset - self.first]:
                self._reasons[offset] = told

    def codes(self, offsets: Times) -> Codes:
        """The verdicts of *offsets*."""
        found: Codes = self._codes[offsets - self.first]
        return found

    def governed(self, offsets: Times) -> Times:
        """When they were given, ms since the epoch; 0 where nothing was said."""
        found: Times = self._governed[offsets - self.first]
        return found

    def verdict(self, offset: int) -> str:
        """The verdict of one record; "" where nothing was said."""
        return VERDICTS[int(self._codes[offset - self.first])]

    def reasons(self, offset: int) -> tuple[bytes, str]:
        """The reasons as :attr:`Said.text` writes them, and who was told."""
        return self._reasons.get(offset, (b"", ""))

    def said(self, offset: int) -> Said:
        """All that was said of a record of which something was."""
        verdict: Any = self.verdict(offset)
        text, unit = self.reasons(offset)
        if verdict == "quarantined":
            return unreadable(text.decode("utf-8", "replace"), unit)
        if verdict == "accepted" or not text:
            return Said(verdict, (), unit)
        return Said(verdict, tuple(Violation(**one) for one in orjson.loads(text)), unit)


@dataclass(frozen=True, slots=True)
class Difference:
    """One record of which other things would be said; ``reworded`` are reasons that stay, as they would read."""

    offset: int
    kind: Kind
    was: Verdict
    now: Verdict
    broken: tuple[Violation, ...]
    mended: tuple[Violation, ...]
    reworded: tuple[Violation, ...]
    unit: str


def compare(
    offsets: Sequence[int],
    live: LiveVerdicts,
    new: Mapping[int, Said],
    scope: Scope = Scope(),
    stale: Collection[int] = (),
) -> Iterator[Difference]:
    """The records at *offsets*, all with a live verdict, of which the rules say something else.

    *new* is said by offset of those that are not plainly accepted; *stale* are offsets of versions that newer ones have
    replaced. Only records of which either side has said something are looked at one by one.
    """
    places = np.asarray(offsets, dtype=np.int64)
    codes = live.codes(places)
    flagged = set(places[codes != ACCEPTED].tolist()) | new.keys()
    for offset in sorted(flagged):
        now = new.get(offset) or Said("accepted")
        if live.verdict(offset) == now.verdict and live.reasons(offset)[0] == now.text:
            continue
        left_out = scope.stale if offset in stale else scope.never
        found = _differ(offset, without(live.said(offset), left_out), without(now, left_out))
        if found is not None:
            yield found


def _differ(offset: int, was: Said, now: Said) -> Difference | None:
    before = {one.rule: one for one in was.violations}
    after = {one.rule: one for one in now.violations}
    broken = tuple(one for rule, one in after.items() if rule not in before)
    mended = tuple(one for rule, one in before.items() if rule not in after)
    reworded = tuple(one for rule, one in after.items() if rule in before and before[rule] != one)
    kind: Kind
    if was.verdict != now.verdict:
        kind = "verdict"
    elif broken or mended:
        kind = "rules"
    elif reworded:
        kind = "wording"
    else:
        return None
    return Difference(offset, kind, was.verdict, now.verdict, broken, mended, reworded, now.unit or was.unit)


def without(said: Said, left_out: Callable[[str], bool]) -> Said:
    """*said* as if the rules that are left out did not exist."""
    if said.verdict == "quarantined" or not any(left_out(one.rule) for one in said.violations):
        return said
    kept = tuple(one for one in said.violations if not left_out(one.rule))
    verdict: Verdict = "accepted"
    if kept:
        verdict = "rejected" if any(one.severity == "reject" for one in kept) else "suspect"
    return Said(verdict, kept, said.unit)
