"""Takes a dead worker out of its consumer group at once: its partitions need not wait for the session to expire.

A supervisor that saw a process end knows more than the broker, which can only wait for heartbeats. What is sent is the
LeaveGroup request that the worker would have sent itself; the group's offsets are untouched.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest

from schemas.connection import KafkaConnection

#: A dash and a UUID.
_UUID_SIZE = 37

log = structlog.get_logger("eviction")


async def evict(kafka: KafkaConnection, groups: Iterable[str], client_suffix: str) -> int:
    """Remove the members of *groups* whose client id ends with *client_suffix*; how many there were.

    A group that cannot be asked is left to its session timeout: that is what would have happened anyway.
    """
    removed = 0
    admin = AIOKafkaAdminClient(**kafka.aiokafka(), client_id="zhida-supervisor", request_timeout_ms=5000)
    await admin.start()
    try:
        for group in groups:
            try:
                removed += await _evict_from(admin, group, client_suffix)
            except Exception as error:
                log.warning("group not cleared", group=group, error=f"{type(error).__name__}: {error}")
    finally:
        await admin.close()
    log.info("dead worker taken out of its groups", client=client_suffix, memberships=removed)
    return removed


async def clients_of(kafka: KafkaConnection, groups: Iterable[str]) -> dict[str, frozenset[str]]:
    """The client ids of the members that the broker counts in each of *groups*; raises aiokafka's errors."""
    admin = AIOKafkaAdminClient(**kafka.aiokafka(), client_id="zhida-supervisor", request_timeout_ms=5000)
    await admin.start()
    try:
        found = {}
        for group in groups:
            coordinator = await admin.find_coordinator(group)
            found[group] = frozenset(_client_of(member) for member in await _member_ids(admin, group, coordinator))
        return found
    finally:
        await admin.close()


async def _evict_from(admin: AIOKafkaAdminClient, group: str, client_suffix: str) -> int:
    coordinator = await admin.find_coordinator(group)
    removed = 0
    for member in await _member_ids(admin, group, coordinator):
        if _client_of(member).endswith(client_suffix):
            await admin._send_request(LeaveGroupRequest(group, member), coordinator)
            removed += 1
    return removed


async def _member_ids(admin: AIOKafkaAdminClient, group: str, coordinator: int) -> list[str]:
    responses = await admin.describe_consumer_groups([group], coordinator)
    descriptions = (one for response in responses for one in response.to_object()["groups"])
    return [member["member_id"] for description in descriptions for member in description["members"]]


def _client_of(member_id: str) -> str:
    """Brokers name a member <client id>-<uuid>; the embedded one does not give the client id itself."""
    return member_id[:-_UUID_SIZE]
