"""What is in force: the newest release together with the newest rule set that belongs to it.

Catalog and rules are announced on two topics, and nobody sees both move in one instant. So each names the other: a
release says which rule set it must not be used without, a rule set says which release. A process uses a pair only when
both halves are there, whatever their order; what a publisher that died left half done waits for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.announcements import Announcements
from schemas.catalog import Catalog
from schemas.connection import KafkaConnection
from schemas.release import RELEASES_TOPIC, Release, ReleaseError, catalog_of

if TYPE_CHECKING:
    from rules.document import RuleDocument

#: As ``rules.document.RULES_TOPIC``; rules are not imported by who only asks for the catalog.
RULES_TOPIC = "zhida.rules"
#: Older ones than so many are forgotten: they are only gone back to when newer ones cannot be used.
_KEPT = 20


@dataclass(frozen=True, slots=True)
class InForce:
    """A release and the rule set that is used with it."""

    release: Release
    rules: RuleDocument

    @property
    def numbers(self) -> tuple[int, int]:
        """Of the release and of the rule set."""
        return self.release.number, self.rules.number


@dataclass(slots=True)
class Known:
    """All that has been announced so far, by number. Not for several threads at once.

    ``broken`` says of each announcement that cannot be used why: it is passed over.
    """

    broken: dict[str, str] = field(default_factory=dict)
    _releases: dict[int, bytes | Release] = field(default_factory=dict)
    _rules: dict[int, bytes | RuleDocument] = field(default_factory=dict)

    def take(self, topic: str, key: bytes, value: bytes | None) -> None:
        """One record of one of the two topics."""
        where = f"{topic} {key[:20].decode('ascii', 'backslashreplace')}"
        self.broken.pop(where, None)
        if not key.isdigit() or len(key) > 15 or key.startswith(b"0"):
            if value is not None:
                self._refuse(where, "the key is no number")
            return
        kept: dict[int, bytes | Release] | dict[int, bytes | RuleDocument]
        kept = self._releases if topic == RELEASES_TOPIC else self._rules
        if value is None:
            kept.pop(int(key), None)
            return
        kept[int(key)] = value
        for old in sorted(kept)[:-_KEPT]:
            del kept[old]

    @property
    def highest_release(self) -> int:
        """The highest number that a release was announced under, usable or not; 0 before the first."""
        return max(self._releases, default=0)

    @property
    def highest_rules(self) -> int:
        """The highest number that a rule set was announced under, usable or not; 0 before the first."""
        return max(self._rules, default=0)

    def in_force(self) -> InForce | None:
        """The newest pair; None before there is one."""
        return next(self.candidates(), None)

    def candidates(self) -> Iterator[InForce]:
        """Pairs that belong together, one a release, the newest first."""
        for number in sorted(self._releases, reverse=True):
            release = self._release(number)
            rules = self._rules_for(release) if release is not None else None
            if release is not None and rules is not None:
                yield InForce(release, rules)

    def catalogs(self) -> Iterator[Catalog]:
        """The catalog of every usable release that is remembered, the newest first."""
        for number, found in sorted(self._releases.items(), reverse=True):
            if isinstance(found, Release):
                yield found.catalog
                continue
            with suppress(ReleaseError):
                yield catalog_of(b"%d" % number, found)

    def rules(self, number: int) -> RuleDocument | None:
        """A rule set by number; None where there is none that can be used."""
        from rules.document import RuleDocument
        from rules.errors import RuleError

        found = self._rules.get(number)
        if not isinstance(found, bytes):
            return found
        try:
            document = RuleDocument.decode(b"%d" % number, found)
        except RuleError as error:
            self._refuse(f"{RULES_TOPIC} {number}", str(error))
            return None
        self._rules[number] = document
        return document

    def _release(self, number: int) -> Release | None:
        found = self._releases[number]
        if isinstance(found, Release):
            return found
        try:
            release = Release.decode(b"%d" % number, found)
        except ReleaseError as error:
            self._refuse(f"{RELEASES_TOPIC} {number}", str(error))
            return None
        self._releases[number] = release
        return release

    def _rules_for(self, release: Release) -> RuleDocument | None:
        for number in sorted(self._rules, reverse=True):
            if number < release.rules:
                return None
            document = self.rules(number)
            if document is not None and document.catalog <= release.number:
                return document
        return None

    def _refuse(self, where: str, reason: str) -> None:
        self.broken[where] = reason


def read_known(kafka: KafkaConnection, *, timeout: float = 20.0) -> Known:
    """All that has been announced by now; raises AnnouncementError. Changes nothing."""
    known = Known()
    for topic in (RULES_TOPIC, RELEASES_TOPIC):
        for key, value in Announcements(kafka, topic, timeout=timeout).read().items():
            known.take(topic, key, value)
    return known
