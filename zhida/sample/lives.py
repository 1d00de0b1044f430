"""The lives that records have: reported once, corrected, withdrawn, sent twice, arriving in the wrong order.

A life is a line of steps, each a message, in the order in which they are sent. ``again 1`` sends the message of version
1 once more. Only this table decides what stands in the stores at the end: of the versions that the platform accepts the
highest one, and nothing where that one withdraws the record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

What = Literal["ok", "moved", "bad", "suspect", "raw", "gone", "again"]
_ACCEPTED: frozenset[What] = frozenset({"ok", "moved", "suspect", "gone"})


@dataclass(frozen=True, slots=True)
class Step:
    """One message: what it is and of which version."""

    what: What
    version: int


@dataclass(frozen=True)
class Life:
    """The messages about one record."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Life:
        """From ``"ok 1, bad 2"``."""
        pairs = (step.split() for step in text.split(","))
        return cls(tuple(Step(what, int(version)) for what, version in pairs))  # type: ignore[arg-type]

    @cached_property
    def standing(self) -> int | None:
        """The version that stands at the end; None where the record is withdrawn or never came in."""
        accepted = [step for step in self.steps if step.what in _ACCEPTED]
        last = max(accepted, key=lambda step: step.version, default=None)
        return None if last is None or last.what == "gone" else last.version

    @cached_property
    def overtaken(self) -> frozenset[int]:
        """Versions that are accepted and replaced by a newer one that comes after.

        Nobody judges these again, so what they refer to must not come later either: they may be about those alone
        about whom no other record says anything.
        """
        accepted = [step for step in self.steps if step.what in _ACCEPTED]
        return frozenset(
            step.version for at, step in enumerate(accepted) if any(step.version < one.version for one in accepted[at:])
        )

    @cached_property
    def steady(self) -> bool:
        """Whether the first message already says what every other one says too, and what stands at the end."""
        return all(step.what in ("ok", "again") for step in self.steps)

    @cached_property
    def yields(self) -> Counter[str]:
        """How many messages of each share of FaultShares this life adds."""
        counts: Counter[str] = Counter()
        by_version = {step.version: step.what for step in self.steps if step.what != "again"}
        highest = 0
        for step in self.steps:
            what = by_version[step.version]
            counts.update(_VERDICT_SHARE.get(what, ()))
            if step.what == "again":
                counts["duplicates"] += 1
            elif what == "gone":
                counts["deletes"] += 1
            elif step.version < highest:
                counts["out_of_order"] += 1
            elif highest and what in ("ok", "moved"):
                counts["corrections"] += 1
            highest = max(highest, step.version)
        return counts


_VERDICT_SHARE = {"bad": ("rejected",), "suspect": ("suspect",), "raw": ("quarantined",)}

#: Share -> lives that fill it, the common ones written more often. A share is filled before those below it, so a life
#: must not add to a share above its own.
LIVES: dict[str, tuple[Life, ...]] = {
    share: tuple(Life.parse(text) for text in texts)
    for share, texts in {
        "deletes": (
            *("ok 1, gone 2",) * 4,
            "gone 2, ok 1",  # the older version after the withdrawal
            "ok 1, gone 3, ok 2",
            "ok 1, gone 3, moved 2",
            "ok 1, gone 2, ok 3",  # reported again
            "ok 1, gone 2, moved 3",
            "ok 1, gone 2, again 2",
            "ok 1, gone 2, again 1",
            "suspect 1, gone 2",
            "ok 1, bad 2, gone 3",
            "moved 2, ok 1, gone 3",
        ),
        "out_of_order": (
            *("ok 2, ok 1",) * 3,
            "moved 2, ok 1",
            "ok 2, moved 1",
            "ok 3, ok 1, ok 2",
            "ok 3, moved 2, ok 1",
            "ok 1, moved 3, ok 2",
            "suspect 2, ok 1",
            "ok 2, suspect 1",
            "ok 2, bad 1",
            "bad 2, ok 1",
        ),
        "duplicates": (
            *("ok 1, again 1",) * 6,
            "ok 1, again 1, again 1",
            "bad 1, again 1",
            "suspect 1, again 1",
            "ok 1, ok 2, again 1",
            "ok 1, moved 2, again 1",
            "ok 1, moved 2, again 2, again 1",
        ),
        "quarantined": (*("raw 1",) * 6, "raw 1, ok 2", "ok 1, raw 2", "ok 1, raw 2, ok 3"),
        "suspect": (*("suspect 1",) * 6, "suspect 1, ok 2", "suspect 1, moved 2", "ok 1, suspect 2"),
        "rejected": (*("bad 1",) * 14, "bad 1, ok 2", "bad 1, ok 2", "bad 1, bad 2, ok 3", "ok 1, bad 2"),
        "corrections": (*("ok 1, ok 2",) * 4, "ok 1, moved 2", "ok 1, ok 2, ok 3", "ok 1, moved 2, ok 3"),
    }.items()
}
PLAIN = Life.parse("ok 1")


def plan_lives(records: int, wanted: dict[str, int], random: Random) -> list[Life]:
    """Lives of *records* messages altogether, *wanted* of them of each share.

    Raises ValueError when the shares need more messages than there are.
    """
    have: Counter[str] = Counter()
    lives: list[Life] = []
    total = 0
    for share, choices in LIVES.items():
        while have[share] < wanted.get(share, 0):
            # Where little is missing, a life that adds much would overshoot.
            missing = wanted[share] - have[share]
            life = random.choice([life for life in choices if life.yields[share] <= missing])
            lives.append(life)
            have += life.yields
            total += len(life.steps)
    if total > records:
        raise ValueError(f"the shares need {total} messages, more than the {records} asked for")
    return lives + [PLAIN] * (records - total)
