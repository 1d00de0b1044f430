"""What was really said: verdicts read back from the topics that carry them, whoever keeps them in a store.

Accepted records name theirs in a header, on the partition of their report; rejected ones in the copy of their feedback,
quarantined ones in headers, both on partitions of their own. A record can be judged again: the newest word counts.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog

from schemas.catalog import Dataset
from schemas.topics import QUARANTINE_TOPIC, REASON_HEADER, REJECTED_TOPIC, VERDICT_HEADER, VIOLATIONS_HEADER
from schemas.verdict import decode_feedback, encode_violations, parse_verdict_prefix
from zhida.replaying.compare import CODES, LiveVerdicts
from zhida.replaying.history import History, Place, Stretch

#: Clocks of those who report and of the workers differ by no more than this, ms: a rejection has its worker's time.
SKEW = 86_400_000

_NO_HEADERS: list[tuple[str, bytes]] = [("", b"")]
_OFFSET = re.compile(rb"[0-9]{1,18}").fullmatch

log = structlog.get_logger("replay")


@dataclass(slots=True)
class _Told:
    """Verdicts that are not on the partition of their report, for one of these."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    governed: array[int] = field(default_factory=lambda: array("q"))
    codes: array[int] = field(default_factory=lambda: array("B"))
    reasons: list[tuple[bytes, str]] = field(default_factory=list)

    def add(self, offset: int, governed: int, code: int, reasons: tuple[bytes, str]) -> None:
        self.offsets.append(offset)
        self.governed.append(governed)
        self.codes.append(code)
        self.reasons.append(reasons)


class Live:
    """The verdicts of *datasets*: :meth:`read_others` once, then :meth:`of` for partitions of report topics."""

    def __init__(self, history: History, datasets: Iterable[Dataset], told: Callable[[int], None]) -> None:
        self._history = history
        self._accepted = {dataset.report_topic: dataset.accepted_topic for dataset in datasets}
        self._told = told
        self._others: dict[Place, _Told] = {}
        self._stretches: dict[Place, Stretch] = {}

    def plan(self, since: int) -> int:
        """Look where the verdicts on records from *since* (ms) on may be; the number of messages there."""
        kept = self._history.stretches([*self._accepted.values(), QUARANTINE_TOPIC], since)
        self._stretches = kept | self._history.stretches([REJECTED_TOPIC], since - SKEW)
        return sum(map(len, self._stretches.values()))

    def marks(self) -> dict[Place, int]:
        """Where each topic that verdicts are on ends now."""
        topics = [*self._accepted.values(), QUARANTINE_TOPIC, REJECTED_TOPIC]
        return {place: stretch.end for place, stretch in self._history.stretches(topics, 0).items()}

    def plan_from(self, marks: Mapping[Place, int]) -> None:
        """Look for verdicts behind *marks* alone."""
        self._stretches = {
            place: Stretch(marks.get(place, 0), end, marks.get(place, 0)) for place, end in self.marks().items()
        }

    def read_others(self) -> None:
        """Read what was rejected and quarantined."""
        takers = {REJECTED_TOPIC: self._take_rejected, QUARANTINE_TOPIC: self._take_quarantined}
        chosen = {place: stretch for place, stretch in self._stretches.items() if place[0] in takers}
        for place, messages in self._history.read(chosen, self._told):
            for message in messages:
                takers[place[0]](message)

    def of(self, reports: Mapping[Place, Stretch]) -> dict[Place, LiveVerdicts]:
        """What was said of the records in stretches of report topics."""
        found = {place: LiveVerdicts(stretch.begin, stretch.end) for place, stretch in reports.items()}
        for place, live in found.items():
            if (others := self._others.get(place)) is not None:
                live.take(
                    np.asarray(others.offsets, dtype=np.int64),
                    np.asarray(others.governed, dtype=np.int64),
                    np.asarray(others.codes, dtype=np.uint8),
                    dict(enumerate(others.reasons)),
                )
        sources = {(self._accepted[topic], partition): (topic, partition) for topic, partition in reports}
        chosen = {place: stretch for place, stretch in self._stretches.items() if place in sources}
        for place, messages in self._history.read(chosen, self._told):
            take_accepted(messages, sources[place], found[sources[place]])
        return found

    def _add(self, place: Place, *verdict: Any) -> None:
        if place[0] in self._accepted:
            self._others.setdefault(place, _Told()).add(*verdict)

    def _take_rejected(self, message: Any) -> None:
        try:
            # Most of them may be of other datasets, and the key says so sooner.
            if (message.key() or b"").rsplit(b"-", 2)[0].decode("utf-8", "replace") not in self._accepted:
                return
            answer = decode_feedback(message.value() or b"")
        except ValueError:
            log.warning("a rejection cannot be read, passed over", offset=message.offset())
            return
        place = (answer.source_topic, answer.source_partition)
        reasons = (encode_violations(answer.violations), answer.unit)
        self._add(place, answer.source_offset, answer.governed_at, CODES[answer.verdict], reasons)

    def _take_quarantined(self, message: Any) -> None:
        headers = dict(reversed(message.headers() or []))
        prefix, _, offset = (headers.get(VERDICT_HEADER) or b"").rpartition(b"=")
        try:
            shared, number = parse_verdict_prefix(prefix + b"="), int(offset)
        except ValueError:
            log.warning("a quarantined message names no verdict, passed over", offset=message.offset())
            return
        reasons = (headers.get(REASON_HEADER) or b"", "")
        place = (shared.source_topic, shared.source_partition)
        self._add(place, number, shared.governed_at, CODES[shared.verdict], reasons)


def take_accepted(messages: Sequence[Any], place: Place, live: LiveVerdicts) -> None:
    """Tell *live* the verdicts in the headers of *messages* of an accepted topic; their reports are at *place*.

    A verdict is one text for a whole batch of govern's, followed by the offset: only the distinct texts are parsed.
    """
    # Before any header of the unit's own: ours stand first.
    headers = [message.headers() or _NO_HEADERS for message in messages]
    texts = [found[0][1] or b"" if found[0][0] == VERDICT_HEADER else b"" for found in headers]
    parts = [text.rpartition(b"=") for text in texts]
    prefixes = {prefix: number for number, prefix in enumerate(dict.fromkeys(part[0] for part in parts))}
    parsed = [_shared(prefix, place) for prefix in prefixes]
    which = np.fromiter((prefixes[part[0]] for part in parts), np.int64, len(parts))
    known = np.array([shared is not None for shared in parsed])[which]
    offsets = np.fromiter((int(part[2]) if _OFFSET(part[2]) else -1 for part in parts), np.int64, len(parts))
    known &= offsets >= 0
    rows = np.flatnonzero(known)
    if len(rows) < len(messages):
        log.warning("accepted messages name no verdict of ours, passed over", count=len(messages) - len(rows))
    governed, codes = (np.array([shared[at] if shared else 0 for shared in parsed]) for at in (0, 1))
    reasons = {
        at: (headers[row][1][1], "")
        for at, row in enumerate(rows.tolist())
        if len(headers[row]) > 1 and headers[row][1][0] == VIOLATIONS_HEADER
    }
    live.take(offsets[rows], governed[which[rows]], codes[which[rows]].astype(np.uint8), reasons)


def _shared(prefix: bytes, place: Place) -> tuple[int, int] | None:
    """When and what a header's shared part says of a report at *place*; None for anything else."""
    try:
        shared = parse_verdict_prefix(prefix + b"=")
    except ValueError:
        return None
    if (shared.source_topic, shared.source_partition) != place or shared.verdict not in CODES:
        return None
    return shared.governed_at, CODES[shared.verdict]
