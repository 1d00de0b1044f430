"""What ``streams/transport.py`` replaces in Faust and aiokafka must be what it was written against.

When the first test fails after an upgrade: read what has changed in Faust, see whether the replacement still does all
that the original does, and only then take the new hash over.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record import default_records
from faust.app.base import App
from faust.transport import consumer as stock
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.services import Service
from mode.threads import MethodQueue, QueueServiceThread, ServiceThread
from mode.utils.queues import FlowControlEvent

from schemas.connection import KafkaConnection
from streams.app import Tuning, batch_topic, build_app
from streams.transport import MicroBatchConsumer, MicroBatchTransport

VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}

#: What is replaced, and what the replacements call or count on, with the hash of the source they were written against.
SOURCES: dict[str, tuple[Any, str]] = {
    "Consumer.__init__": (stock.Consumer.__init__, "cc42b42c3767"),
    "Consumer.getmany": (stock.Consumer.getmany, "c543fbb93926"),
    "Consumer._wait_next_records": (stock.Consumer._wait_next_records, "3478be15f5cd"),
    "Consumer.on_buffer_full": (stock.Consumer.on_buffer_full, "4c0205ae5cfd"),
    "Consumer.on_buffer_drop": (stock.Consumer.on_buffer_drop, "025c8c202874"),
    "Service.wait_first": (Service.wait_first, "efd7a39653f4"),
    "Consumer.ack": (stock.Consumer.ack, "9517df1ee9b2"),
    "Consumer._new_offset": (stock.Consumer._new_offset, "3388508b5e1e"),
    "Consumer._add_gap": (stock.Consumer._add_gap, "97ce28512a27"),
    "Consumer._filter_tps_with_pending_acks": (stock.Consumer._filter_tps_with_pending_acks, "6c07b08acc52"),
    "Consumer.on_partitions_revoked": (stock.Consumer.on_partitions_revoked, "6efbddf0d659"),
    "Consumer.on_partitions_assigned": (stock.Consumer.on_partitions_assigned, "aeb4e507b427"),
    "Consumer.verify_all_partitions_active": (stock.Consumer.verify_all_partitions_active, "468f5de62455"),
    "Consumer._drain_messages": (stock.Consumer._drain_messages, "ff720c25f46d"),
    "Consumer.commit": (stock.Consumer.commit, "b8ee100f6ef8"),
    "Consumer.maybe_wait_for_commit_to_finish": (stock.Consumer.maybe_wait_for_commit_to_finish, "214b2eda772e"),
    "Consumer.force_commit": (stock.Consumer.force_commit, "d505aa6f6d39"),
    "ThreadDelegateConsumer._commit": (stock.ThreadDelegateConsumer._commit, "b73a48eb6317"),
    "QueueServiceThread.call_thread": (QueueServiceThread.call_thread, "566bfec821b6"),
    "ServiceThread._start_thread": (ServiceThread._start_thread, "305cbe58726b"),
    "MethodQueue.call": (MethodQueue.call, "4e540edd93be"),
    "Consumer._commit_offsets": (stock.Consumer._commit_offsets, "e2ab6185fcf7"),
    "Consumer._filter_committable_offsets": (stock.Consumer._filter_committable_offsets, "e98c6337d148"),
    "Consumer._should_commit": (stock.Consumer._should_commit, "520c720e6b58"),
    "Consumer.perform_seek": (stock.Consumer.perform_seek, "d98522034ac0"),
    "Consumer.track_message": (stock.Consumer.track_message, "7a47787af188"),
    "Consumer._commit_livelock_detector": (stock.Consumer._commit_livelock_detector.fun, "8ee4f3767427"),
    "aiokafka.Consumer._to_message": (driver.Consumer._to_message, "3d639b23f30d"),
    "aiokafka.Consumer._new_consumer_thread": (driver.Consumer._new_consumer_thread, "ea41353992d6"),
    "AIOKafkaConsumerThread._create_worker_consumer": (
        driver.AIOKafkaConsumerThread._create_worker_consumer,
        "f8fa001aea0f",
    ),
    "AIOKafkaConsumerThread.on_start": (driver.AIOKafkaConsumerThread.on_start, "cf944d7f5225"),
    "AIOKafkaConsumerThread._commit": (driver.AIOKafkaConsumerThread._commit, "3ba4061c722f"),
    "AIOKafkaConsumerThread._fetch_records": (driver.AIOKafkaConsumerThread._fetch_records, "42af390b2329"),
    "AIOKafkaConsumerThread.seek_to_committed": (driver.AIOKafkaConsumerThread.seek_to_committed, "95ae5873f12a"),
    "AIOKafkaConsumerThread.subscribe": (driver.AIOKafkaConsumerThread.subscribe, "3966a69fc939"),
    "AIOKafkaConsumer.seek_to_committed": (AIOKafkaConsumer.seek_to_committed, "ff5cf0651ba4"),
    "SubscriptionState._change_subscription": (SubscriptionState._change_subscription, "973679b272d2"),
    "SubscriptionState.assign_from_subscribed": (SubscriptionState.assign_from_subscribed, "29d5096ac86f"),
    "SubscriptionState.wait_for_assignment": (SubscriptionState.wait_for_assignment, "03f85cc06026"),
    "Fetcher._fetch_requests_routine": (fetcher.Fetcher._fetch_requests_routine, "cda3d393fc19"),
    "Fetcher._get_actions_per_node": (fetcher.Fetcher._get_actions_per_node, "4bba223e0a26"),
    "GroupCoordinator._on_join_complete": (GroupCoordinator._on_join_complete, "8052623e3b08"),
    "GroupCoordinator._perform_assignment": (GroupCoordinator._perform_assignment, "635f00d9753e"),
    "GroupCoordinator._do_rejoin_group": (GroupCoordinator._do_rejoin_group, "2f91197792c0"),
    "Conductor._update_indices": (Conductor._update_indices, "4ad290324812"),
    "Conductor._update_tp_index": (Conductor._update_tp_index, "6a12c8b16a57"),
    "Conductor._subscriber": (Conductor._subscriber.fun, "bad0c31f3a89"),
    "Conductor.on_partitions_assigned": (Conductor.on_partitions_assigned, "1c3438e21187"),
    "App._on_partitions_revoked": (App._on_partitions_revoked, "bfabd3f98fc0"),
    "App._on_partitions_assigned": (App._on_partitions_assigned, "3dc9ca9aa918"),
    "App._new_consumer": (App._new_consumer, "b7bb44cf98a5"),
    "App._new_transport": (App._new_transport, "b979f6d42244"),
    "PartitionRecords": (fetcher.PartitionRecords, "b0c2550bd1c6"),
    "Fetcher._proc_fetch_request": (fetcher.Fetcher._proc_fetch_request, "821724536262"),
    "_DefaultRecordBatchPy": (default_records._DefaultRecordBatchPy, "22058a0adaf8"),
    "FlowControlEvent": (FlowControlEvent, "11c30aa8412d"),
}

#: Methods of the consumer that Faust has none of.
OUR_OWN = {
    "_batch_message",
    "_is_idle",
    "change_topics",
    "committed_offsets",
    "fetch_position",
    "finish",
    "still_trying",
}


def _hash(source: Any) -> str:
    """Of the source without comments and blank lines, which may change as they like."""
    lines = (line.split("  #")[0].rstrip() for line in inspect.getsource(source).splitlines())
    text = "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_versions_are_those_that_the_transport_was_written_against() -> None:
    assert {name: version(name) for name in VERSIONS} == VERSIONS


@pytest.mark.parametrize("name", SOURCES)
def test_what_the_transport_replaces_in_faust_is_unchanged(name: str) -> None:
    source, expected = SOURCES[name]
    assert _hash(source) == expected, f"{name} has changed: read it before you take this hash over"


@pytest.mark.parametrize(
    "name",
    [name for name, member in vars(MicroBatchConsumer).items() if inspect.isfunction(member) and name != "__init__"],
)
def test_every_replacement_takes_what_the_original_takes(name: str) -> None:
    original = getattr(driver.Consumer, name, None)
    if original is None:
        assert name in OUR_OWN, f"{name} replaces nothing in Faust any more"
        return
    ours = list(inspect.signature(getattr(MicroBatchConsumer, name)).parameters)
    assert ours == list(inspect.signature(original).parameters)


def test_the_apps_consumer_is_the_transports_own() -> None:
    app = build_app("group", KafkaConnection("127.0.0.1:1"), Tuning(linger=0.5, stall_timeout=7), client_id="test")
    app.finalize()
    assert isinstance(app.transport, MicroBatchTransport)
    consumer = app.consumer
    assert isinstance(consumer, MicroBatchConsumer)
    assert (consumer.linger, consumer.stall_timeout) == (0.5, 7)
    assert not app.conf.stream_wait_empty
    assert not app.in_transaction


def test_topics_that_change_before_the_start_are_what_is_subscribed_to_and_none_at_all_are_refused() -> None:
    async def scene() -> None:
        app = build_app("group", KafkaConnection("127.0.0.1:1"), Tuning(), client_id="test")
        app.finalize()
        batch_topic(app, ["declared"])
        await app.change_topics(["wanted", "declared"])
        await app.change_topics(["wanted"])
        with pytest.raises(ValueError, match="without topics"):
            await app.change_topics([])
        assert await app.topics._update_indices() == {"wanted"}

    asyncio.run(scene())


def test_every_assigned_partition_is_handed_to_the_agent_and_counts_as_begun_when_it_is() -> None:
    async def scene() -> None:
        app = build_app("group", KafkaConnection("127.0.0.1:1"), Tuning(), client_id="test")
        app.finalize()
        channel = batch_topic(app, ["declared"])
        app.topics.add(channel)
        acking = app.topics._acking_topics  # what streams hold since they were made
        await app.topics.on_partitions_assigned({TP("added later", 3)})
        assert app.topics._tp_index == {TP("added later", 3): {channel}}
        assert acking is app.topics._acking_topics
        assert acking == {"added later"}

    asyncio.run(scene())
