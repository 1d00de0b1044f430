"""Rules with one thing changed, to see whether their examples are sharp: an example that comes out otherwise notices.

What is changed is an operator, a bound or a value of the check, or of a condition (``rules/variants.py``), or a
condition is left out. It is done to the rule's row source, which every kind of check has, so that a new kind is covered
without a word here; and to the text of expressions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rules.checks.base import JudgeContext
from rules.conditions import ConditionExpression
from rules.examples import record_of
from rules.model import Rule
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
    examples = [
        (record_of(example, rules.dataset), broken)
        for broken, of_rule in ((False, rule.passes), (True, rule.fails))
        for example in of_rule
    ]
    of_extension = bool(rules.dataset.by_name[rule.field].region)
    for part, change, changed in _changes(rule, rules.dataset):
        yield Mutant(rule, part, change, _notice(examples, changed, context), of_extension)


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
