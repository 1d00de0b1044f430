"""The examples in the rule files are sharp: a changed operator, bound, value or condition is noticed by them."""

from __future__ import annotations

from typing import Any

import pytest
from rules_toys import one_rule
from shipped import RULES

from rules.checks import kinds
from rules.coverage import mutant_shares
from rules.mutants import mutants, mutants_of
from rules.rows import rule_terms
from rules.variants import expressions, patterns, sources


def test_examples_notice_nine_of_ten_changes_to_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(mutants(RULES))
    shares = mutant_shares(found)
    with capsys.disabled():
        print(" mutants caught:", "; ".join(f"{name} {one.part}/{one.whole}" for name, one in shares.items()))
    survived = [f"{one.rule.id} {one.change}" for one in found if not one.caught]
    assert len(found) > 2000
    assert shares["all"].percent >= 90, "\n".join(survived)
    assert shares["when"].percent >= 90
    # Every rule is changed, every kind of check, conditions, and rules of fields that a region has added.
    assert {one.rule.id for one in found} == {rule.id for rules in RULES for rule in rules.rules}
    assert shares.keys() == {*kinds(), "when", "extension fields", "all"}
    assert all(share.whole for share in shares.values())


def test_the_parts_of_a_rule_judge_as_the_rule_does() -> None:
    context = RULES.examples.context()
    for rules in (found.in_force() for found in RULES):
        for rule in rules.rules:
            # Nothing is noticed where nothing is changed.
            judge = rule_terms(rules.dataset, rule).compile()
            blank = {field.name: None for field in rules.dataset.fields} | {"deleted": False}
            found: dict[str, Any] = {} if rule.asks is None else {rule.asks.name: ("found",)}
            broken = (*rules.judge_row(blank, context), *rules.judge_answers(blank, found, context))
            assert judge(blank | found, context) is (rule.id in {one.rule for one in broken}), rule.id


def test_dull_examples_notice_little(tmp_path: Any) -> None:
    rules = one_rule(tmp_path, "SUM", "range", "min: 1, max: 100")
    dull = rules.rules[0].model_copy(update={"passes": ({"SUM": 50},), "fails": ({"SUM": 5000},)})
    sharp = dull.model_copy(
        update={"passes": ({"SUM": 1}, {"SUM": 100}), "fails": ({"SUM": "0.999999"}, {"SUM": "100.000001"})}
    )
    context = RULES.examples.context()
    assert sum(one.caught for one in mutants_of(dull, rules, context)) < len(list(mutants_of(dull, rules, context))) / 2
    assert all(one.caught for one in mutants_of(sharp, rules, context))


def test_operators_bounds_and_alternatives_are_changed_one_at_a_time() -> None:
    assert set(sources("v0 < k1 and (v1 not in k2)")) == {
        *("v0 <= k1 and v1 not in k2", "v0 < k1 or v1 not in k2", "v0 < k1 and v1 in k2")
    }
    assert set(expressions('A == "x == 1" && B < 3')) == {
        *('A != "x == 1" && B < 3', 'A == "x == 1" || B < 3', 'A == "x == 1" && B <= 3'),
        *('A == "x == 1" && B < 4', 'A == "x == 1" && B < 2'),
    }
    assert set(patterns("ab{2}|[0-9]")) == {
        "ab{1}|[0-9]",
        "ab{3}|[0-9]",
        "ab{2}|[1-9]",
        "ab{2}|[0-8]",
        "ab{2}",
        "[0-9]",
    }
