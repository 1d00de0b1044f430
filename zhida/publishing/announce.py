"""The announcement itself: rule set and release, each under the next number, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rules.document import RuleDocument
from rules.errors import RuleError
from rules.ruleset import RuleSet
from schemas.announcements import Announcements
from schemas.compacted import Record
from schemas.connection import KafkaConnection
from schemas.release import RELEASES_TOPIC, Release
from zhida.in_force import RULES_TOPIC, InForce, Known
from zhida.source import Files


class ConflictError(Exception):
    """Somebody else has published since what is in force was read: look again, and plan again."""


class NumberTakenError(Exception):
    """The rules have changed and their number has not, or not enough."""

    def __init__(self, number: int, highest: int) -> None:
        super().__init__(
            f"the rules differ from rule set {highest}, the last that was announced, and have the number {number}: "
            f"raise number in _library.yaml to {highest + 1}"
        )
        self.number = number
        self.highest = highest


def rules_to_announce(files: Files, known: Known) -> RuleDocument | None:
    """The rule library when it must be announced, None when the last one that was announced says the same.

    Comments and examples change nothing. Raises NumberTakenError.
    """
    highest = known.highest_rules
    announced = known.rules(highest) if highest else None
    if announced is not None and _means_the_same(announced, files):
        return None
    if files.rules.number <= highest:
        raise NumberTakenError(files.rules.number, highest)
    return files.rules


def release_to_announce(files: Files, known: Known) -> Release | None:
    """The release under its next number when it must be announced, None when the one in force says the same."""
    in_force = known.in_force()
    changed = rules_to_announce(files, known)
    rules = changed or known.rules(known.highest_rules)
    number = known.highest_release + 1
    same = in_force is not None and in_force.release.digest == files.release.digest
    # A rule set that waits for a release that was never announced gets one.
    waiting = rules is not None and changed is None and in_force is not None and rules.catalog > in_force.release.number
    if same and not waiting:
        return None
    return files.release.published(number, 0, rules.number if rules else 0)


def announce(kafka: KafkaConnection, files: Files, known: Known, now_ms: int) -> InForce:
    """Announce what of *files* is not in force, and return what is in force then.

    *known* is what the decision was made on. Raises what :func:`announce_rules` raises, and NumberTakenError.
    """
    rules, release = rules_to_announce(files, known), release_to_announce(files, known)
    before = known.in_force()
    last = rules or known.rules(known.highest_rules)
    now = release or (before.release if before else None)
    assert last is not None
    assert now is not None
    if rules is not None:
        last = announce_rules(kafka, rules, now.number, known, now_ms)
    if release is not None:
        now = announce_release(kafka, release, known, now_ms)
    return InForce(now, last)


def announce_rules(
    kafka: KafkaConnection, rules: RuleDocument, catalog: int, known: Known, now_ms: int
) -> RuleDocument:
    """Announce *rules*, which must not be used without release *catalog*, and return them as they were announced.

    Raises ConflictError when somebody else has published since *known* was read, AnnouncementError, and NumberedError
    for what is too large.
    """
    announced = replace(rules, published_at_ms=now_ms, catalog=catalog)
    _publish(kafka, RULES_TOPIC, announced.encode(), known.highest_rules)
    return announced


def announce_release(kafka: KafkaConnection, release: Release, known: Known, now_ms: int) -> Release:
    """Announce *release* and return it as it was announced; raises as :func:`announce_rules` does."""
    announced = release.published(release.number, now_ms, release.rules)
    _publish(kafka, RELEASES_TOPIC, announced.encode(), known.highest_release)
    return announced


def _publish(kafka: KafkaConnection, topic: str, record: tuple[bytes, bytes], highest: int) -> None:
    def decide(found: Mapping[bytes, bytes]) -> list[Record]:
        newest = max((int(key) for key in found if key.isdigit()), default=0)
        if newest != highest:
            raise ConflictError(f"{topic}: number {newest} was published meanwhile")
        return [record]

    board = Announcements(kafka, topic)
    board.ensure()
    board.publish(decide)


def _means_the_same(announced: RuleDocument, files: Files) -> bool:
    if announced.number != files.rules.number:
        return False
    if announced.digest == files.rules.digest:
        return True
    try:
        return RuleSet.from_document(announced, files.release.catalog).version == files.rule_set.version
    except RuleError:
        return False
