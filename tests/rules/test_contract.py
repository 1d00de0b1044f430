"""Rules in the data contract mean to the client what they mean to us."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from contract_clients import Client
from rules_tables import make_columns
from rules_toys import one_rule, record
from shipped import RULES

from rules.contract import MAX_NAME, REFERENCE_TYPE, contract_name, contract_rule_set, said_in_cel
from rules.records import record_of
from rules.ruleset import DatasetRules

CODES = [rules.dataset.code for rules in RULES]
CONTEXT = RULES.examples.context()
#: Kinds that CEL has words for, whatever the field's type.
ALWAYS_SAID = {"length", "enumeration"}


def contract_rules(rules: DatasetRules) -> dict[str, dict[str, Any]]:
    return {rule["params"]["zhida.rule"]: rule for rule in contract_rule_set(rules)["domainRules"]}


def ours(rules: DatasetRules, values: dict[str, Any]) -> set[str]:
    """The rules that a record breaks."""
    return {violation.rule for violation in rules.judge_row(values, CONTEXT)}


@pytest.mark.parametrize("code", CODES)
def test_the_client_agrees_on_the_examples_of_every_rule_said_in_cel(code: str) -> None:
    rules, client = RULES.dataset(code), Client()
    contract = contract_rules(rules)
    for rule in rules.active:
        if contract[rule.id]["type"] != "CEL":
            continue
        for passes, examples in ((True, rule.passes), (False, rule.fails)):
            for example in examples:
                whole = record_of(example, rules.dataset)
                assert client.passes(contract[rule.id], whole) is passes, (rule.id, example)
            absent = {name: value for name, value in whole.items() if value is not None}
            assert client.passes(contract[rule.id], absent) is passes, (rule.id, absent)
        assert client.passes(contract[rule.id], whole | {"deleted": True}), (rule.id, "withdrawn")


@pytest.mark.parametrize("code", CODES)
def test_the_client_agrees_on_hostile_records(code: str) -> None:
    rules, client = RULES.dataset(code), Client()
    contract = contract_rules(rules)
    columns = make_columns(rules, 4, Random(code))
    for row in range(4):
        values = {name: column[row] for name, column in columns.items()}
        broken = ours(rules, values)
        for rule_id, contract_rule in contract.items():
            if contract_rule["type"] == "CEL":
                assert client.passes(contract_rule, values) is (rule_id not in broken), (rule_id, values)


def test_most_rules_are_said_in_cel() -> None:
    said = [said_in_cel(rule, rules.dataset) for rules in RULES for rule in rules.rules]
    assert sum(one is not None for one in said) > 0.6 * len(said)
    for rules in RULES:
        for rule in rules.rules:
            if rule.kind in ALWAYS_SAID and not rule.when:
                assert said_in_cel(rule, rules.dataset) is not None, rule.id


def test_a_rule_that_cel_has_no_words_for_goes_by_its_id_and_is_switched_off() -> None:
    contract = contract_rules(RULES.dataset("administrative_penalty"))
    unit = contract["administrative_penalty.unit.known_unit"]
    assert (unit["type"], unit["expr"], unit["disabled"]) == (REFERENCE_TYPE, unit["params"]["zhida.rule"], True)
    assert all(rule["disabled"] for rule in contract.values() if rule["type"] == REFERENCE_TYPE)
    assert not any("disabled" in rule for rule in contract.values() if rule["type"] == "CEL")


def test_severity_says_whether_the_client_stops() -> None:
    for rules in RULES:
        contract = contract_rules(rules)
        for rule in rules.active:
            assert contract[rule.id]["onFailure"] == ("ERROR" if rule.severity == "reject" else "NONE")
            # What is found about other records, only a verdict can say.
            assert rule.zh.replace("{found}", "…") in contract[rule.id]["doc"]
            assert rule.en.replace("{found}", "…") in contract[rule.id]["doc"]
            assert rule.asks is None or contract[rule.id]["type"] == "ZHIDA"


def test_names_keep_to_the_limits_of_every_registry() -> None:
    for rules in RULES:
        names = [rule["name"] for rule in contract_rule_set(rules)["domainRules"]]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) for name in names)
    long = "toy." + "A" * 60 + ".required."
    assert len(contract_name(long + "one")) == MAX_NAME
    assert contract_name(long + "one") != contract_name(long + "two")


def test_no_expression_has_more_than_the_one_semicolon_of_its_guard() -> None:
    for rules in RULES:
        for rule in contract_rule_set(rules)["domainRules"]:
            assert rule["expr"].count(";") <= 1


@pytest.mark.parametrize(
    ("field", "kind", "parameters", "passing", "failing"),
    [
        ("TAGS", "enumeration", 'values: ["a.b", "c|d"], separator: "]"', ["a.b", "c|d]a.b"], ["a-b", "c", "a.b]"]),
        ("TAGS", "enumeration", r'values: ["a\"b\\", "😀", "a\nb"]', ['a"b\\', "😀", "a\nb"], ["a", "ab"]),
        ("TAGS", "pattern", r'pattern: "[0-9]{2}\\."', ["12."], ["12. ", "12.\n", "x12.", "120"]),
        ("TAGS", "pattern", r'pattern: "\";\\;\\\"\\\\;"', ['";;"\\;'], ['";;"', '";;";', '";;"\\\\;']),
        ("TAGS", "pattern", 'pattern: "a;b|c"', ["a;b", "c"], ["a;bc", "ac"]),
        ("TAGS", "length", "min: 2, max: 3", ["某某", "😀😀😀"], ["某", "某某某某"]),
        ("TAGS", "required", "when: {NAME: {length: 2}}", ["x"], []),
        ("TAGS", "absent", 'when: {NAME: {contains: ["a.b", "^"], separator: "-"}}', ["x"], []),
    ],
)  # fmt: skip
def test_odd_characters_come_through(
    tmp_path: Any, field: str, kind: str, parameters: str, passing: list[str], failing: list[str]
) -> None:
    rules = one_rule(tmp_path, field, kind, parameters)
    (contract,) = contract_rule_set(rules)["domainRules"]
    client = Client()
    for value in [*passing, *failing, None, " ", "　"]:
        for name in (None, "某某", "某", "a.b", "x-^-", "axb"):
            values = record(**{field: value, "NAME": name})
            broken = bool(rules.judge_row(values, CONTEXT))
            assert client.passes(contract, values) is not broken, values
            if value in passing and not rules.rules[0].when:
                assert not broken


def test_a_pattern_that_repeats_too_often_for_a_client_goes_by_reference(tmp_path: Any) -> None:
    (contract,) = contract_rule_set(one_rule(tmp_path, "TAGS", "pattern", 'pattern: "a{1001}"'))["domainRules"]
    assert contract["type"] == REFERENCE_TYPE


def test_what_cannot_be_compared_everywhere_goes_by_reference(tmp_path: Any) -> None:
    for field, kind, parameters in [("SUM", "range", "min: 1"), ("SUM", "required", ""), ("SEEN", "required", "")]:
        (contract,) = contract_rule_set(one_rule(tmp_path, field, kind, parameters))["domainRules"]
        assert contract["type"] == REFERENCE_TYPE, (field, kind)
