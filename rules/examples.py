"""Examples in rule files: what must pass and what must fail, judged both ways; and the lint that asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from rules.checks.base import JudgeContext, StatefulCheck
from rules.errors import RuleError
from rules.given import Answers, Case, case_of
from rules.loader import Source
from rules.model import Rule
from rules.records import GIVEN, record_of
from rules.ruleset import LIBRARY_DIR, DatasetRules, Found, RuleSet
from schemas.catalog import Catalog, Dataset
from schemas.verdict import Violation


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
    cases = [_case_or_fault(rule, example, rules.dataset) for rule, _, _, example in examples]
    sound = [(rule, case) for (rule, *_), case in zip(examples, cases, strict=True) if isinstance(case, Case)]
    # One frame for all: a frame for each would compile nothing anew, and still take ten times as long.
    frame = pl.DataFrame([case.record for _, case in sound], schema=rules.dataset.polars_schema)
    by_column = rules.judge_columns(frame, context).violations
    answers = _answers(sound, rules, context)
    row = 0
    for (rule, expected, number, example), case in zip(examples, cases, strict=True):
        if isinstance(case, Case):
            alone = rules.judge_row(case.record, context), by_column.get(row, ())
            both = (
                _together(rules, rule, case.record, found, answer, context)
                for found, answer in zip(alone, answers.get(row, (None, None)), strict=True)
            )
            wrong = _wrong(rule, expected, example, *both)
            row += 1
        else:
            wrong = case
        if wrong:
            yield rule, expected, f"example {number}: {wrong}"


def _case_or_fault(rule: Rule, example: Mapping[str, Any], dataset: Dataset) -> Case | str:
    try:
        if isinstance(rule.check, StatefulCheck):
            case = case_of(example, rule.check, dataset)
            pl.DataFrame(case.records, schema=rule.check.about.polars_schema)
        elif GIVEN in example:
            raise ValueError("given is for rules that ask about other records")
        else:
            case = Case(record_of(example, dataset))
        pl.DataFrame([case.record], schema=dataset.polars_schema)
    except (ValueError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
        return f"not a record of {dataset.code}: {error}"
    return case


def _answers(
    cases: Sequence[tuple[Rule, Case]], rules: DatasetRules, context: JudgeContext
) -> dict[int, tuple[Found | None, Found | None]]:
    """By number of the case what the state says to its rule's question: by row, and by column."""
    found: dict[int, tuple[Found | None, Found | None]] = {}
    for _, group in groupby(enumerate(cases), key=lambda numbered: numbered[1][0].id):
        of_rule = list(group)
        check = of_rule[0][1][0].check
        if not isinstance(check, StatefulCheck):
            continue
        answers = Answers(rules.dataset, check, context.today)
        by_column = answers.by_column([case for _, (_, case) in of_rule])
        for (number, (_, case)), column in zip(of_rule, by_column, strict=True):
            found[number] = (answers.by_row(case), column)
    return found


def _together(
    rules: DatasetRules,
    rule: Rule,
    record: Mapping[str, Any],
    found: tuple[Violation, ...],
    answer: Found | None,
    context: JudgeContext,
) -> tuple[Violation, ...]:
    """What the record alone breaks, and what *rule* says to what the state has answered."""
    if answer is None or (asked := rule.asks) is None:
        return found
    return rules.in_order(found, rules.judge_answers(record, {asked.name: answer}, context))


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
