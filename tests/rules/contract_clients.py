"""What Confluent's Python client says of one rule of a contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka.schema_registry import Rule, RuleKind, RuleMode, Schema
from confluent_kafka.schema_registry.rules.cel.cel_executor import CelExecutor
from confluent_kafka.schema_registry.serde import RuleContext
from confluent_kafka.serialization import MessageField, SerializationContext

SCHEMA = Schema('"string"', "AVRO")


class Client:
    """Carries single rules out, as the serializer does with each."""

    def __init__(self) -> None:
        self._executor = CelExecutor()

    def passes(self, contract_rule: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
        """The client's verdict; raises what the executor raises."""
        rule = Rule.from_dict(dict(contract_rule))
        assert (rule.kind, rule.mode, rule.type) == (RuleKind.CONDITION, RuleMode.WRITE, "CEL")
        where = SerializationContext("topic", MessageField.VALUE, [])
        context = RuleContext(where, None, SCHEMA, "topic-value", RuleMode.WRITE, rule, 0, [rule], None, None)
        outcome = self._executor.transform(context, dict(record))
        assert isinstance(outcome, bool)
        return outcome
