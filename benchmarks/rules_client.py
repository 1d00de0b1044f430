"""The rules that a data contract says in CEL, carried out by the Confluent client's own executor and by Zhida."""

from __future__ import annotations

import time
from typing import Any

import polars as pl
from confluent_kafka.schema_registry import Rule, RuleMode, Schema
from confluent_kafka.schema_registry.rules.cel.cel_executor import CelExecutor
from confluent_kafka.schema_registry.serde import RuleContext
from confluent_kafka.serialization import MessageField, SerializationContext

from benchmarks.measure import BenchError
from benchmarks.rules_cost import cpu
from benchmarks.rules_records import Record, Records, spoiled
from rules.contract import contract_rule_set
from rules.ruleset import DatasetRules

_SCHEMA = Schema('"string"', "AVRO")


class Client:
    """Carries the rules of a contract out as the client's serializer does: each on its own, over the whole record."""

    def __init__(self, contract_rules: list[dict[str, Any]]) -> None:
        self._executor = CelExecutor()
        where = SerializationContext("topic", MessageField.VALUE, [])
        made = [Rule.from_dict(rule) for rule in contract_rules]
        self._contexts = [
            RuleContext(where, None, _SCHEMA, "topic-value", RuleMode.WRITE, rule, number, made, None, None)
            for number, rule in enumerate(made)
        ]

    def broken(self, record: Record) -> list[int]:
        """The numbers of the rules that *record* breaks."""
        return [
            number for number, context in enumerate(self._contexts) if not self._executor.transform(context, record)
        ]


def client_cost(rules: DatasetRules, source: Records, few: int, seconds: float) -> dict[str, Any]:
    """Both over the same rules and the same *few* records, a few of them faulty; ours by columns over a batch too.

    Raises BenchError when they do not agree on every record.
    """
    contract = {rule["params"]["zhida.rule"]: rule for rule in contract_rule_set(rules)["domainRules"]}
    said = tuple(rule for rule in rules.active if contract[rule.id]["type"] == "CEL")
    same, context = DatasetRules(rules.dataset, said), source.context(rules.dataset.code)
    records = [record_of_all(record, rules) for record in spoiled(rules, source.valid(rules))]
    client, sent = Client([contract[rule.id] for rule in said]), records[:few]
    client.broken(sent[0])  # compiles the expressions
    started = time.process_time()
    theirs = [client.broken(record) for record in sent]
    taken = (time.process_time() - started) / len(sent)
    ours = [[violation.rule for violation in same.judge_row(record, context)] for record in sent]
    if ours != [[said[number].id for number in broken] for broken in theirs]:
        raise BenchError(f"{rules.dataset.code}: the client's executor and Zhida do not agree on the same records")
    frame = pl.DataFrame(records, schema=rules.dataset.polars_schema)
    by_row = cpu(lambda: [same.judge_row(record, context) for record in sent], seconds) / len(sent)
    columns = cpu(lambda: same.judge_columns(frame, context), seconds) / len(frame)
    return {
        "rules": len(said),
        "records": len(sent),
        "batch": len(frame),
        "client_per_cpu_s": 1 / taken,
        "rows_per_cpu_s": 1 / by_row,
        "columns_per_cpu_s": 1 / columns,
        "rows_to_client": taken / by_row,
        "columns_to_client": taken / columns,
    }


def record_of_all(record: Record, rules: DatasetRules) -> Record:
    """*record* with every field, as a decoder leaves it."""
    return {"deleted": False, **{field.name: None for field in rules.dataset.fields}, **record}
