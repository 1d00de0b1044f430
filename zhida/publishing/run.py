"""Carrying a plan out: what was done, what was not, and who follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.announcements import Announcements
from schemas.connection import KafkaConnection
from zhida.following import FOLLOWERS_TOPIC
from zhida.publishing.followers import FollowerWatch, Follows
from zhida.publishing.plan import Plan, Step


@dataclass(slots=True)
class Outcome:
    """What became of a plan. ``failed`` is the step that did not succeed, ``late`` who does not follow."""

    done: list[Step] = field(default_factory=list)
    failed: Step | None = None
    error: Exception | None = None
    left: list[Step] = field(default_factory=list)
    followers: list[Follows] = field(default_factory=list)
    late: list[Follows] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when everything was done and everybody follows."""
        return self.failed is None and not self.late


def carry_out(
    plan: Plan, kafka: KafkaConnection, *, patience: float, report: Callable[[Step], None] = lambda _: None
) -> Outcome:
    """Do every step of *plan*, in order, up to the first that fails; *report* is told of each that is done.

    Between the announcement and what units may see only afterwards, everybody who works on records must follow: that is
    waited for, at most *patience* seconds.
    """
    outcome = Outcome(left=list(plan.steps))
    Announcements(kafka, FOLLOWERS_TOPIC).ensure()
    with FollowerWatch(kafka) as watch:
        if not _run([*plan.stage("prepare"), *plan.stage("announce")], outcome, report):
            return outcome
        outcome.followers = watch.wait(plan.after, patience)
        outcome.late = [one for one in outcome.followers if not one.uses(plan.after)]
        if not outcome.late:
            _run([*plan.stage("follow"), *plan.stage("complete")], outcome, report)
    return outcome


def _run(steps: list[Step], outcome: Outcome, report: Callable[[Step], None]) -> bool:
    for step in steps:
        try:
            if step.run is not None:
                step.run()
        except Exception as error:
            outcome.failed, outcome.error = step, error
            return False
        outcome.left.remove(step)
        outcome.done.append(step)
        report(step)
    return True
