"""How members of a group share partitions while their topics change, and what of aiokafka fails at that.

Members are told of new topics one after the other, so for a while they differ. Partitions go round robin to those who
have subscribed to their topic: every member gets the same number, give or take one (Faust's own assignor keeps together
partitions of the same number, and leaves members without any where their count does not divide).

An assignment may rest on topics that a member has changed since it joined. Apache Kafka makes everybody join again
then, the embedded broker does not always. So the leader echoes to each member the topics that it went by, and a member
that has other ones by now joins again.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import structlog
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

log = structlog.get_logger("sharing")


class EchoingAssignor(RoundRobinPartitionAssignor):
    """Round robin that tells members by which topics of theirs it went. One instance a consumer."""

    name = "zhida"

    def __init__(self, subscribed: Callable[[], Collection[str]], rejoin: Callable[[], None]) -> None:
        """*subscribed* are the member's topics now, *rejoin* has it join the group again."""
        self._subscribed = subscribed
        self._rejoin = rejoin

    @classmethod
    def assign(
        cls, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """The assignment of each member."""
        shared = RoundRobinPartitionAssignor.assign(cluster, members)
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version, assignment.assignment, _fingerprint(members[member].subscription)
            )
            for member, assignment in shared.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Join again where the leader went by topics that have changed since."""
        if assignment.user_data != _fingerprint(self._subscribed()):
            log.info("partitions were shared out by topics that have changed since, joining again")
            self._rejoin()


def _fingerprint(topics: Iterable[str]) -> bytes:
    return zlib.crc32("\n".join(sorted(topics)).encode()).to_bytes(4, "big")


def amend(consumer: Any) -> None:
    """Give a consumer of aiokafka that has not been started this assignor, and a state that topics may change under."""
    state = consumer._subscription
    consumer._partition_assignment_strategy = [
        EchoingAssignor(lambda: state.topics, lambda: consumer._coordinator.request_rejoin())
    ]
    _wait_for_the_assignment_itself(state)
    _take_only_what_is_subscribed_to(state)


def _wait_for_the_assignment_itself(state: Any) -> None:
    """Have aiokafka's fetcher go on only when there is an assignment.

    What it waits for says that there was one; topics that change in the same turn of the loop take it away again, and
    the fetcher, which fails an assertion then, would fetch nothing any more.
    """
    wait: Callable[[], Awaitable[None]] = state.wait_for_assignment

    async def wait_for_assignment() -> None:
        while True:
            await wait()
            if state.subscription is not None and state.subscription.assignment is not None:
                return

    state.wait_for_assignment = wait_for_assignment


def _take_only_what_is_subscribed_to(state: Any) -> None:
    """Have an assignment that rests on former topics do without them; else aiokafka leaves the group for good."""
    assign: Callable[[Collection[Any]], None] = state.assign_from_subscribed

    def assign_from_subscribed(assignment: Collection[Any]) -> None:
        assign([tp for tp in assignment if tp.topic in state.topics])

    state.assign_from_subscribed = assign_from_subscribed
