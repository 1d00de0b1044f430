"""A dataset's rules in the registry stop a unit's bad record in the unit's own client, before it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.rule_registry import RuleOverride, RuleRegistry
from confluent_kafka.schema_registry.rules.cel.cel_executor import CelExecutor
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from registry_support import RegistryThread
from shipped import RULES

from rules.contract import REFERENCE_TYPE, contract_rule_set
from rules.records import record_of
from rules.ruleset import DatasetRules
from schemas.connection import RegistryConnection
from schemas.registry.client import RegistryClient
from zhida.stack import RunningStack
from zhida.stack.testing import unique_name

CONTEXT = RULES.examples.context()
LICENCE = RULES.dataset("administrative_licence")
GOOD: dict[str, Any] = {
    "unit": "11320000014000028X", "record_id": "L-1", "version": 1, "deleted": False,
    "XK_XDR_MC": "江苏某某科技有限公司", "XK_XDR_LB": "法人及非法人组织", "XK_XDR_SHXYM": "91440300708461136T",
    "XK_FRDB": "张三", "XK_XKWS": "准予许可决定书", "XK_WSH": "苏市监许〔2026〕12号", "XK_XKLB": "普通",
    "XK_NR": "食品销售", "XK_JDRQ": "2026-06-25", "XK_YXQZ": "2026-06-25", "XK_YXQZI": "2031-06-24",
    "XK_XKJG": "南京市市场监督管理局", "XK_XKJGDM": "11320100014001004U", "XK_ZT": "1",
    "XK_LYDW": "南京市市场监督管理局", "XK_LYDWDM": "11320100014001004U",
}  # fmt: skip


@pytest.fixture
def confluent(registry: RegistryThread) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def publish(registry: RegistryThread, topic: str, rules: DatasetRules) -> None:
    """The dataset's contract under the topic's subject."""
    with RegistryClient(RegistryConnection(url=registry.url)) as client:
        client.register(f"{topic}-value", rules.dataset.avro_schema, rule_set=contract_rule_set(rules))


def serializer(confluent: SchemaRegistryClient, *, cel: bool = True, switched_off: bool = False) -> AvroSerializer:
    """As a unit makes one; without *cel* as a unit does that has not installed the client's rules."""
    executors = RuleRegistry()
    if switched_off:
        executors.register_override(RuleOverride("CEL", None, None, True))
    if cel:
        executors.register_executor(CelExecutor())
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    return AvroSerializer(confluent, None, conf=conf, rule_registry=executors)


def refusal(serialize: AvroSerializer, values: dict[str, Any], topic: str) -> str:
    """What the client says when it refuses the record; "" when it does not."""
    try:
        serialize(values, SerializationContext(topic, MessageField.VALUE, []))
    except SerializationError as error:
        return str(error.__cause__)
    return ""


def good(**changed: Any) -> dict[str, Any]:
    return record_of({**GOOD, **changed}, LICENCE.dataset)


def test_a_record_that_breaks_a_rule_does_not_leave_the_client(
    registry: RegistryThread, confluent: SchemaRegistryClient, stack: RunningStack, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("contract")
    publish(registry, topic, LICENCE)
    serialize, where = serializer(confluent), SerializationContext(topic, MessageField.VALUE, [])
    producer = Producer(stack.settings.kafka().confluent())
    sent = 0
    for values in (good(), good(XK_XDR_MC=None), good(XK_XKLB="临时"), good(XK_XKLB="临时", deleted=True)):
        with suppress(SerializationError):
            producer.produce(topic, serialize(values, where))
            sent += 1
    producer.flush(30)
    assert sent == 2
    consumer = Consumer(stack.settings.kafka().confluent() | {"group.id": unique_name("group")})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30) == (0, sent)
    consumer.close()


def test_the_refusal_says_what_the_clerk_is_to_do_in_the_words_of_the_first_broken_rule(
    registry: RegistryThread, confluent: SchemaRegistryClient
) -> None:
    topic = unique_name("contract")
    publish(registry, topic, LICENCE)
    serialize = serializer(confluent)
    contract = {rule["params"]["zhida.rule"]: rule for rule in contract_rule_set(LICENCE)["domainRules"]}
    stops = {name for name, rule in contract.items() if (rule["type"], rule["onFailure"]) == ("CEL", "ERROR")}
    examples = [{}, {"XK_FRDB": None}, {"XK_XDR_SHXYM": "91440300780461136T"}, {"XK_YXQZI": "2026-06-24"}]
    examples += [{name: " "} for name in ("XK_XDR_MC", "XK_WSH", "XK_ZT")] + [{"version": 0}, {"XK_JDRQ": None}]
    refused = 0
    for example in examples:
        values = good(**example)
        ours = [violation.rule for violation in LICENCE.judge_row(values, CONTEXT) if violation.rule in stops]
        assert refusal(serialize, values, topic) == (contract[ours[0]]["doc"] if ours else ""), example
        refused += bool(ours)
    assert refused == 6


def test_the_contract_comes_back_from_the_registry_as_it_was_published(
    registry: RegistryThread, confluent: SchemaRegistryClient
) -> None:
    for rules in RULES:
        topic = unique_name("contract")
        publish(registry, topic, rules)
        stored = confluent.get_latest_version(f"{topic}-value").schema.rule_set
        assert stored is not None
        assert stored.domain_rules is not None
        published = contract_rule_set(rules)["domainRules"]
        assert [rule.name for rule in stored.domain_rules] == [rule["name"] for rule in published]
        assert [rule.expr for rule in stored.domain_rules] == [rule["expr"] for rule in published]
        for rule in stored.domain_rules:
            assert rule.type == "CEL" or (rule.type == REFERENCE_TYPE and rule.disabled)
            assert rule.params is not None
            assert rule.params.params["zhida.zh"] in (rule.doc or "")


def test_a_client_that_registers_its_own_schema_is_not_asked_for_rules(
    registry: RegistryThread, confluent: SchemaRegistryClient
) -> None:
    topic = unique_name("contract")
    publish(registry, topic, LICENCE)
    conf = {"auto.register.schemas": False}
    plain = AvroSerializer(confluent, json.dumps(LICENCE.dataset.avro_schema), conf=conf, rule_registry=RuleRegistry())
    assert plain(good(XK_XDR_MC=None), SerializationContext(topic, MessageField.VALUE, []))


def test_a_client_that_follows_the_contract_without_cel_is_told_what_it_lacks(
    registry: RegistryThread, confluent: SchemaRegistryClient
) -> None:
    topic = unique_name("contract")
    publish(registry, topic, LICENCE)
    assert refusal(serializer(confluent, cel=False), good(), topic) == "Could not find rule executor of type CEL"


def test_a_unit_may_leave_the_rules_to_the_platform(registry: RegistryThread, confluent: SchemaRegistryClient) -> None:
    topic = unique_name("contract")
    publish(registry, topic, LICENCE)
    for cel in (True, False):
        serialize = serializer(confluent, cel=cel, switched_off=True)
        assert refusal(serialize, good(XK_XDR_MC=None), topic) == ""
