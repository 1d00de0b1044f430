"""Members whose topics differ, or have changed since they joined, share partitions all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace

from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.structs import TopicPartition

from streams.sharing import EchoingAssignor, amend

CLUSTER = SimpleNamespace(partitions_for_topic={"a": {0, 1, 2, 3}, "b": {0, 1, 2, 3}, "c": {0, 1, 2, 3}}.get)


def _shared(members: dict[str, list[str]]) -> dict[str, ConsumerProtocolMemberAssignment]:
    return EchoingAssignor.assign(CLUSTER, {name: EchoingAssignor.metadata(topics) for name, topics in members.items()})


def test_every_member_gets_the_same_number_and_nobody_goes_without() -> None:
    for members in range(1, 7):
        shared = _shared({f"m{n}": ["a", "b", "c"] for n in range(members)})
        counts = [len(one.partitions()) for one in shared.values()]
        assert sum(counts) == 12
        assert max(counts) - min(counts) <= 1


def test_a_partition_goes_to_a_member_that_reads_its_topic() -> None:
    shared = _shared({"told": ["a", "b", "c", "not there yet"], "not yet": ["a", "b"]})
    given = {name: {tp.topic for tp in one.partitions()} for name, one in shared.items()}
    assert given["told"] >= {"c"}
    assert given["not yet"] <= {"a", "b"}
    assert Counter(tp for one in shared.values() for tp in one.partitions()).total() == 12


def test_a_member_whose_topics_have_changed_since_it_joined_joins_again() -> None:
    rejoins: list[None] = []
    topics = {"b", "a"}
    member = EchoingAssignor(lambda: topics, lambda: rejoins.append(None))
    encoded = _shared({"member": ["a", "b"]})["member"].encode()
    assignment = ConsumerProtocolMemberAssignment.decode(encoded)
    member.on_assignment(assignment)
    assert not rejoins
    topics.add("c")
    member.on_assignment(assignment)
    assert len(rejoins) == 1


def test_partitions_of_topics_that_were_left_meanwhile_are_not_taken() -> None:
    async def scene() -> None:
        state = _amended()
        state.subscribe({"stays"})
        state.assign_from_subscribed([TopicPartition("stays", 0), TopicPartition("left", 0)])
        assert state.assigned_partitions() == {TopicPartition("stays", 0)}

    asyncio.run(scene())


def test_who_waits_for_an_assignment_is_not_woken_by_one_that_is_gone_again() -> None:
    async def scene() -> None:
        state = _amended()
        state.subscribe({"first"})
        waiting = asyncio.create_task(state.wait_for_assignment())
        await asyncio.sleep(0)
        state.assign_from_subscribed([TopicPartition("first", 0)])
        state.subscribe({"second"})  # in the same turn of the loop
        await asyncio.sleep(0.01)
        assert not waiting.done()
        state.assign_from_subscribed([TopicPartition("second", 0)])
        await asyncio.wait_for(waiting, 1)

    asyncio.run(scene())


def _amended() -> SubscriptionState:
    state = SubscriptionState(loop=asyncio.get_running_loop())
    amend(SimpleNamespace(_subscription=state, _coordinator=None))
    return state
