"""The examples in the rule files are sharp: a changed bound, value, order or condition is noticed by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from rules.conditions import ConditionExpression
from rules.examples import run_examples
from rules.model import Rule
from rules.ruleset import DatasetRules, RuleSet
from schemas.catalog import Catalog, Dataset

OPERATORS = re.compile(r"[<>=!]=|&&|\|\||[<>]")
CHANGED = {"<": ("<=",), "<=": ("<",), ">": (">=",), ">=": (">",), "==": ("!=",), "!=": ("==",)}
CHANGED |= {"&&": ("||",), "||": ("&&",)}
SWITCHED = {"min": "above", "above": "min", "max": "below", "below": "max"}


def _neighbours(bound: Any) -> list[Any]:
    step = timedelta(days=1) if isinstance(bound, date) else Decimal("0.000001") if isinstance(bound, Decimal) else 1
    return [bound - step, bound + step]


def _parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    """One changed parameter at a time."""
    check: Any = rule.check
    if rule.kind in {"range", "length"}:
        for name in SWITCHED:
            bound = getattr(check, name, None)
            if bound:
                yield from ({name: neighbour} for neighbour in _neighbours(bound))
            if bound is not None and rule.kind == "range":
                yield {name: None, SWITCHED[name]: bound}
    if rule.kind == "date_order":
        yield {"not_before": check.after, "after": check.not_before}
    if rule.kind == "workday_deadline":
        yield from ({"workdays": neighbour} for neighbour in _neighbours(check.workdays))
    if rule.kind == "enumeration" and len(check.values) > 1:
        yield from ({"values": tuple(v for v in check.values if v != value)} for value in check.values)


def _other_expressions(text: str) -> Iterator[str]:
    """One operator of *text* changed at a time."""
    for found in OPERATORS.finditer(text):
        yield from (text[: found.start()] + other + text[found.end() :] for other in CHANGED.get(found[0], ()))


def _mutants(rule: Rule, dataset: Dataset) -> Iterator[Rule]:
    for changed in _parameters(rule):
        yield rule.model_copy(update={"check": rule.check.model_copy(update=changed)})
    for text in _other_expressions(getattr(rule.check, "expr", "")):
        check = rule.check.model_copy(update={"expr": text}).resolve(dataset.by_name[rule.field], dataset)
        yield rule.model_copy(update={"check": check})
    for text in _other_expressions("" if rule.condition is None else rule.condition.text):
        yield rule.model_copy(update={"condition": ConditionExpression(text=text).resolve(dataset)})
    for field, condition in rule.when.items():
        others = {name: other for name, other in rule.when.items() if name != field}
        yield rule.model_copy(update={"when": others})
        changes: list[dict[str, Any]] = []
        if condition.present is not None:
            changes.append({"present": not condition.present})
        if condition.contains or condition.lacks:
            changes.append({"contains": condition.lacks, "lacks": condition.contains})
        changes += [{"contains": (value,)} for value in condition.contains or () if len(condition.contains or ()) > 1]
        for change in changes:
            yield rule.model_copy(update={"when": {**others, field: condition.model_copy(update=change)}})


def test_examples_notice_nine_of_ten_changes_to_a_rule() -> None:
    rule_set = RuleSet.load(Catalog.load())
    context = rule_set.examples.context()
    mutants = [
        (rules.dataset, mutant)
        for rules in rule_set
        for rule in rules.rules
        for mutant in _mutants(rule, rules.dataset)
    ]
    survived = [
        f"{mutant.id} {mutant.check!r} {mutant.when!r}"
        for dataset, mutant in mutants
        if not any(run_examples(DatasetRules(dataset, (mutant,)), context))
    ]
    assert len(mutants) > 150
    assert len(survived) <= 0.1 * len(mutants), "\n".join(survived)
