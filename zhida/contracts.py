"""Rules in the data contract, also where the registry is not ours and knows nothing of contracts.

Some registries refuse a schema that comes with a rule set, others take the schema and forget the rules. Either way the
schema counts: the contract is a service to the unit, and govern judges all the same.
"""

from __future__ import annotations

from typing import Any

from schemas.registry.client import ContractsUnsupported, RegisteredSchema, RegistryClient

#: What it means that rule sets are not kept; Chinese, English.
NOT_KEPT = (
    "注册中心不支持数据契约，规则未随模式发布：单位的客户端不能在发送前自查，平台照常审核",
    "the registry keeps no rule sets: units' own clients cannot check before they send; the platform judges as ever",
)


def register_contract(
    registry: RegistryClient, subject: str, schema: dict[str, Any], rule_set: dict[str, Any] | None
) -> int:
    """Register *schema* under *subject*, with *rule_set* where the registry knows such; its id.

    Raises as ``RegistryClient.register`` does, but for ContractsUnsupported.
    """
    try:
        return registry.register(subject, schema, rule_set=rule_set)
    except ContractsUnsupported:
        return registry.register(subject, schema)


def look_up_contract(
    registry: RegistryClient, subject: str, schema: dict[str, Any], rule_set: dict[str, Any] | None
) -> tuple[RegisteredSchema | None, bool]:
    """The version of *subject* with this schema and, where the registry keeps such, this rule set; None where there
    is none. And False when it is known that the registry keeps no rule sets.
    """
    try:
        found = registry.look_up(subject, schema, rule_set=rule_set)
    except ContractsUnsupported:
        return registry.look_up(subject, schema), False
    return found, rule_set is None or found is None or found.rule_set is not None
