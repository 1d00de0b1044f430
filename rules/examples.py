"""Examples in rule files: what must pass and what must fail, judged both ways; and the lint that asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from rules.checks.base import JudgeContext
from rules.errors import RuleError
from rules.loader import Source
from rules.model import Rule, known_field
from rules.ruleset import LIBRARY_DIR, DatasetRules, RuleSet
from schemas.catalog import Catalog, Dataset, DatasetField
from schemas.types import TYPES
from schemas.verdict import Violation

_REPEAT = {"repeat", "times"}


def record_of(example: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The whole record that a partial one in a rule file stands for; raises ValueError.

    What the example leaves out is null, ``deleted`` is false. ``{repeat: 某, times: 200}`` stands for 200 characters.
    """
    record: dict[str, Any] = {field.name: None for field in dataset.fields} | {"deleted": False}
    for name, value in example.items():
        record[name] = _value_of(value, known_field(name, dataset))
    return record


def _value_of(value: Any, field: DatasetField) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        if value.keys() != _REPEAT:
            raise ValueError(f"{field.name}: the only mapping in an example is {{repeat: text, times: number}}")
        value = str(value["repeat"]) * int(value["times"])
    if field.type == "string":
        if not isinstance(value, str):
            raise ValueError(f"{field.name} is text: put {value!r} in quotes")
        return value
    return TYPES[field.type].from_text(value.isoformat() if hasattr(value, "isoformat") else str(value))


def run_examples(rules: DatasetRules, context: JudgeContext) -> Iterator[tuple[Rule, str, str]]:
    """Judge every example of every rule by row and by column; yield the rule, ``pass``/``fail`` and what is wrong."""
    # A draft has examples too, and a rule whose day has not come.
    rules = rules.in_force()
    examples = [
        (rule, expected, number, example)
        for rule in rules.rules
        for expected, of_rule in (("pass", rule.passes), ("fail", rule.fails))
        for number, example in enumerate(of_rule, start=1)
    ]
    records = [_record_or_fault(example, rules.dataset) for _, _, _, example in examples]
    sound = [record for record in records if isinstance(record, dict)]
    # One frame for all: a frame for each would compile nothing anew, and still take ten times as long.
    by_column = rules.judge_columns(pl.DataFrame(sound, schema=rules.dataset.polars_schema), context).violations
    row = 0
    for (rule, expected, number, example), record in zip(examples, records, strict=True):
        if isinstance(record, dict):
            by_row = rules.judge_row(record, context)
            wrong = _wrong(rule, expected, example, by_row, by_column.get(row, ()))
            row += 1
        else:
            wrong = record
        if wrong:
            yield rule, expected, f"example {number}: {wrong}"


def _record_or_fault(example: Mapping[str, Any], dataset: Dataset) -> dict[str, Any] | str:
    try:
        record = record_of(example, dataset)
        pl.DataFrame([record], schema=dataset.polars_schema)
    except (ValueError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
        return f"not a record of {dataset.code}: {error}"
    return record


def _wrong(
    rule: Rule,
    expected: str,
    example: Mapping[str, Any],
    by_row: tuple[Violation, ...],
    by_column: tuple[Violation, ...],
) -> str:
    if by_row != by_column:
        return f"rows and columns disagree: {[v.rule for v in by_row]} and {[v.rule for v in by_column]}"
    outcome = "fail" if rule.id in {violation.rule for violation in by_row} else "pass"
    if outcome == expected:
        return ""
    return f"must pass but fails: {dict(example)}" if outcome == "fail" else f"must fail but passes: {dict(example)}"


def lint(catalog: Catalog, folder: Path = LIBRARY_DIR) -> list[str]:
    """Everything wrong with a library, each ``file:line: what``; empty when it is fit for use."""
    try:
        rule_set = RuleSet.load(catalog, folder)
    except RuleError as error:
        return list(error.problems)
    problems = []
    for dataset in catalog:
        path = folder / f"{dataset.code}.yaml"
        if not path.is_file():
            problems.append(f"{path}:1: dataset {dataset.code} has no rules")
            continue
        problems += _lint_dataset(rule_set.dataset(dataset.code), Source(path), rule_set.examples.context())
    return problems


def calendar_warnings(rule_set: RuleSet, today: date) -> list[str]:
    """What rules will not be able to decide a month after *today* though nothing is wrong with them."""
    soon = replace(rule_set.examples.context(), today=today + timedelta(days=31))
    return [
        f"{rule}: from {soon.today} on {reason}; update the package chinesecalendar"
        for rules in rule_set
        for rule, reason in rules.undecided(soon)
    ]


def _lint_dataset(rules: DatasetRules, source: Source, context: JudgeContext) -> Iterator[str]:
    places = {rule.id: index for index, rule in enumerate(rules.rules)}
    for index, rule in enumerate(rules.rules):
        for key, examples in (("pass", rule.passes), ("fail", rule.fails)):
            if not examples:
                yield source.problem(("rules", index), f"{rule.id}: no examples under {key!r}")
    for rule, key, wrong in run_examples(rules, context):
        yield source.problem(("rules", places[rule.id], key), f"{rule.id}: {wrong}")
    always = (rule for rule in rules.active if not rule.when and rule.effective is None)
    checked = {(rule.field, rule.kind) for rule in always}
    for field in rules.dataset.business_fields:
        if field.required and (field.name, "required") not in checked:
            yield source.problem(
                (), f"{field.name} is required in the catalog but has no required rule without a condition"
            )
        if field.enumeration and (field.name, "enumeration") not in checked:
            yield source.problem((), f"{field.name} is enumerated in the catalog but has no enumeration rule")
