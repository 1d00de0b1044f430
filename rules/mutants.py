"""Rules with one thing changed, to see whether their examples are sharp: an example that comes out otherwise notices.

What is changed is an operator, a bound or a value of the check, or of a condition (``rules/variants.py``), or a
condition is left out. It is done to the rule's row source, which every kind of check has, so that a new kind is covered
without a word here; to the text of expressions; and to what is asked about other records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rules.checks.base import JudgeContext, StatefulCheck
from rules.conditions import ConditionExpression
from rules.given import Answers, Case, case_of
from rules.model import Rule
from rules.questions import asking_otherwise
from rules.records import record_of
from rules.rows import OneRule, Term, TermPart, rule_terms
from rules.ruleset import DatasetRules, RuleSet
from rules.variants import constants, expressions, sources
from schemas.catalog import Dataset


@dataclass(frozen=True, slots=True)
class Mutant:
    """What became of one changed rule: ``part`` was changed as ``change`` says, and the examples noticed or not."""

    rule: Rule
    part: TermPart
    change: str
    caught: bool
    #: Of a field that a region has added to the national item.
    of_extension: bool = False


def mutants(rule_set: RuleSet) -> Iterator[Mutant]:
    """Every changed rule of the library, with what its examples say of it."""
    context = rule_set.examples.context()
    for rules in rule_set:
        for rule in rules.rules:
            yield from mutants_of(rule, rules, context)


def mutants_of(rule: Rule, rules: DatasetRules, context: JudgeContext) -> Iterator[Mutant]:
    """Every change to *rule*; raises ValueError where an example is not a record of the dataset."""
    written = [(example, broken) for broken in (False, True) for example in (rule.fails if broken else rule.passes)]
    of_extension = bool(rules.dataset.by_name[rule.field].region)
    if isinstance(rule.check, StatefulCheck):
        cases = [(case_of(example, rule.check, rules.dataset), broken) for example, broken in written]
        examples = _answered(cases, rule.check, rule.check, rules.dataset, context)
        whole = rule_terms(rules.dataset, rule).compile()
        for change, check in asking_otherwise(rule.check, rules.dataset):
            otherwise = _answered(cases, rule.check, check, rules.dataset, context)
            yield Mutant(rule, "check", change, _notice(otherwise, whole, context), of_extension)
    else:
        examples = [(record_of(example, rules.dataset), broken) for example, broken in written]
    for part, change, changed in _changes(rule, rules.dataset):
        yield Mutant(rule, part, change, _notice(examples, changed, context), of_extension)


def _answered(
    cases: Sequence[tuple[Case, bool]],
    check: StatefulCheck,
    asked: StatefulCheck,
    dataset: Dataset,
    context: JudgeContext,
) -> list[tuple[Mapping[str, Any], bool]]:
    """The examples with what *asked* is answered, as if it were the answer to *check*."""
    answers = Answers(dataset, asked, context.today)
    return [({**case.record, check.asks().name: answers.by_row(case)}, broken) for case, broken in cases]


def _notice(examples: Iterable[tuple[Mapping[str, Any], bool]], changed: OneRule, context: JudgeContext) -> bool:
    try:
        return any(changed(record, context) is not broken for record, broken in examples)
    except (TypeError, AttributeError):  # compares, or asks something of, what is not there
        return True


def _changes(rule: Rule, dataset: Dataset) -> Iterator[tuple[TermPart, str, OneRule]]:
    whole = rule_terms(dataset, rule)
    for at, term in enumerate(whole.terms):
        before, after = whole.terms[:at], whole.terms[at + 1 :]
        if term.part == "guard":
            continue
        if term.part == "when":
            yield term.part, f"without {term.source}", replace(whole, terms=(*before, *after)).compile()
        for source in sources(term.source):
            changed = replace(whole, terms=(*before, Term(source, term.part), *after))
            yield term.part, f"{term.source} -> {source}", changed.compile()
        for name, value in whole.constants_of(term).items():
            for other in constants(value):
                told = f"{_told(value)} -> {_told(other)}"
                yield term.part, told, replace(whole, constants={**whole.constants, name: other}).compile()
    yield from _other_expressions(rule, dataset)


def _other_expressions(rule: Rule, dataset: Dataset) -> Iterator[tuple[TermPart, str, OneRule]]:
    for text in expressions(getattr(rule.check, "expr", "")):
        try:
            check = rule.check.model_copy(update={"expr": text}).resolve(dataset.by_name[rule.field], dataset)
        except ValueError:  # of another type than it may be
            continue
        yield "check", text, rule_terms(dataset, rule.model_copy(update={"check": check})).compile()
    for text in expressions("" if rule.condition is None else rule.condition.text):
        try:
            condition = ConditionExpression(text=text).resolve(dataset)
        except ValueError:
            continue
        yield "when", text, rule_terms(dataset, rule.model_copy(update={"condition": condition})).compile()


def _told(value: Any) -> str:
    owner = getattr(value, "__self__", None)
    if owner is not None:
        return str(getattr(owner, "pattern", sorted(owner) if isinstance(owner, frozenset) else owner))
    return str(sorted(value)) if isinstance(value, frozenset) else str(getattr(value, "__name__", value))
