"""Why a record was judged as it was: each rule with what it read, whether it applied, and how it came out.

Pure: a record, a day and the units in, explained rules out. A rule is evaluated by its own row source, as a whole for
its outcome and condition by condition for the reason, so an explanation cannot say anything else than a verdict. Rules
that ask about other records are not evaluated again: what these were at the time only the recorded verdict tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from rules.checks.base import JudgeContext
from rules.conditions import Condition
from rules.lifecycle import days
from rules.masking import shown
from rules.model import Rule
from rules.rows import DELETED, RuleTerms, rule_terms
from rules.ruleset import DatasetRules
from rules.state.definitions import Question
from schemas.catalog import Dataset
from schemas.documents import Document, DocumentError
from schemas.verdict import Violation

#: ``failed``: the rule itself cannot bear the record, which govern would quarantine. ``unknown``: it asks about other
#: records, and what it was told is not recorded.
Outcome = Literal["broken", "passes", "does_not_apply", "failed", "unknown"]
#: Why a rule does not apply (``withdrawn`` record, ``blank`` field, ``condition`` that does not hold, ``period`` over
#: or not begun), or what is special about its outcome: ``state`` taken from the recorded verdict, ``undecided`` for
#: want of a calendar. "" where nothing is.
Why = Literal["", "withdrawn", "blank", "condition", "period", "state", "undecided"]

_CONTEXT = re.compile(r"\b(?:today|units|assigned)\b")


@dataclass(frozen=True, slots=True)
class Input:
    """Something that a rule reads: a field of the record, or (``of_record`` False) what is around it.

    ``value`` is as in feedback: cut short, and masked where it is personal; "" for null.
    """

    name: str
    zh: str
    en: str
    value: str
    of_record: bool = True


@dataclass(frozen=True, slots=True)
class ConditionSaid:
    """A condition as text, and whether it held; None where it cannot be evaluated."""

    text: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """A rule and what became of it. ``recorded`` is what the verdict says of it, None where it says nothing.

    Only rules that ``count`` (active ones) make verdicts; of others the outcome is what they would have said.
    """

    rule: Rule
    outcome: Outcome
    why: Why
    inputs: tuple[Input, ...]
    conditions: tuple[ConditionSaid, ...]
    recorded: Violation | None = None
    detail: str = ""
    #: False where there is no verdict by rules to compare with.
    compared: bool = True

    @property
    def counts(self) -> bool:
        """Whether the rule makes verdicts."""
        return self.rule.status == "active"

    @property
    def differs(self) -> bool:
        """Whether the recorded verdict says something else of the rule than this evaluation."""
        return self.compared and (self.recorded is not None) != (self.counts and self.outcome == "broken")

    @property
    def matters(self) -> bool:
        """Whether a reader wants to see it unasked: it is broken, or failed, or differs, or its field has a value."""
        own = self.inputs[0].value
        return self.outcome in ("broken", "failed") or self.differs or (self.outcome == "passes" and bool(own.strip()))


def explain_rules(
    rules: DatasetRules, record: Mapping[str, Any], context: JudgeContext, recorded: Iterable[Violation] | None = None
) -> tuple[ExplainedRule, ...]:
    """Every rule of the dataset, whatever its status, in library order.

    *recorded* is what the verdict says, None where there is none by rules.
    """
    said = {violation.rule: violation for violation in recorded or ()}
    rejected = recorded is None or any(violation.severity == "reject" for violation in said.values())
    explained = (
        explain_rule(rules.dataset, rule, record, context, said.get(rule.id), rejected=rejected) for rule in rules.rules
    )
    return tuple(replace(one, compared=recorded is not None) for one in explained)


def explain_rule(
    dataset: Dataset,
    rule: Rule,
    record: Mapping[str, Any],
    context: JudgeContext,
    recorded: Violation | None = None,
    *,
    rejected: bool = False,
) -> ExplainedRule:
    """What *rule* makes of *record* (fields that it does not have count as null); raises nothing for any record.

    *rejected* says that the record was: of such a one the verdict need not hold what other records would have told.
    """
    terms = rule_terms(dataset, rule)
    record = {**dict.fromkeys(terms.read), **dict.fromkeys(dataset.by_name), **record}
    conditions = tuple(_conditions(rule, terms, record, context))
    said = ExplainedRule(
        rule,
        outcome="passes",
        why="",
        inputs=_inputs(dataset, rule, terms, record, context),
        conditions=conditions,
        recorded=recorded,
    )
    if why := _not_applied(dataset, rule, record, conditions, context):
        return replace(said, outcome="does_not_apply", why=why)
    if asks_state(rule):
        silent: Outcome = "unknown" if rejected or not said.counts else "passes"
        return replace(said, outcome=silent if recorded is None else "broken", why="state")
    try:
        if terms.compile()(record, context):
            return replace(said, outcome="broken")
    except Exception as error:
        return replace(said, outcome="failed", detail=type(error).__name__)
    if undecided := rule.undecided(context):
        return replace(said, why="undecided", detail=undecided)
    return said


def asks_state(rule: Rule) -> bool:
    """Whether the rule's outcome depends on other records, as they were when it was judged."""
    return rule.asks is not None


def _not_applied(
    dataset: Dataset, rule: Rule, record: Mapping[str, Any], conditions: Sequence[ConditionSaid], context: JudgeContext
) -> Why:
    """What keeps the rule from looking at the record; "" when nothing does."""
    check, value = rule.check, record[rule.field]
    if rule.effective is not None:
        event = record[dataset.event_date]
        # As in Evaluation.row: a moment is a date to Python, and no day here.
        if not rule.effective.holds(days(event) if type(event) is date else None, context.today):
            return "period"
    if record[DELETED] and not check.checks_deleted:
        return "withdrawn"
    if not check.sees_blank and (value is None or (isinstance(value, str) and (not value or value.isspace()))):
        return "blank"
    return "condition" if any(condition.holds is False for condition in conditions) else ""


def _conditions(
    rule: Rule, terms: RuleTerms, record: Mapping[str, Any], context: JudgeContext
) -> Iterable[ConditionSaid]:
    texts = [_condition_text(name, condition) for name, condition in rule.when.items()]
    if rule.condition is not None:
        texts.append(rule.condition.text)
    for text, term in zip(texts, (term for term in terms.terms if term.part == "when"), strict=True):
        try:
            yield ConditionSaid(text, replace(terms, terms=(term,)).compile()(record, context))
        except Exception:
            yield ConditionSaid(text, None)


def _condition_text(name: str, condition: Condition) -> str:
    if condition.present is not None:
        return f"has({name})" if condition.present else f"!has({name})"
    if condition.length is not None:
        return f"size({name}) == {condition.length}"
    if condition.equals:
        return f"{name} == {' | '.join(condition.equals)}"
    listed = " | ".join(condition.contains or condition.lacks or ())
    return f"{name} {'contains' if condition.contains else 'lacks'} {listed}"


def _inputs(
    dataset: Dataset, rule: Rule, terms: RuleTerms, record: Mapping[str, Any], context: JudgeContext
) -> tuple[Input, ...]:
    """The rule's own field first, then the others in the order of the catalog, then what is around the record."""
    read, asked = set(rule.reads), rule.asks
    if isinstance(asked, Question):
        read |= {*asked.keys, asked.value}
    others = [field.name for field in dataset.fields if field.name in read and field.name != rule.field]
    fields = (dataset.by_name[name] for name in (rule.field, *others))
    found = [Input(field.name, field.zh, field.en, shown(record[field.name], field.pii)) for field in fields]
    # Text of rule files and records is never part of a source: a name in it is the context's.
    used = {name for term in terms.terms for name in _CONTEXT.findall(term.source)}
    if "today" in used:
        found.append(Input("today", "判定当日", "day of judgement", context.today.isoformat(), of_record=False))
    for name, zh, en, units in (
        ("units", "已登记单位", "registered units", context.units),
        ("assigned", "当日应报送的单位", "units assigned that day", context.assigned),
    ):
        if name in used:
            among = "含本单位 this one among them" if record[rule.field] in units else "不含本单位 this one not"
            found.append(Input(name, zh, en, f"{len(units)}，{among}", of_record=False))
    return tuple(found)


def rule_texts(text: str) -> dict[str, str]:
    """Each rule of the rule file *text* by id, as its author wrote it, remarks above it included.

    Empty where the file cannot be read; raises nothing.
    """
    try:
        document = Document(text, "rules")
        names = [str(rule["id"]) for rule in document.data["rules"]]
    except (DocumentError, KeyError, TypeError):
        return {}
    lines = text.splitlines()
    begins = [document.line(("rules", at)) - 1 for at in range(len(names))]
    ends = [*begins[1:], _end(lines, begins[-1])] if begins else []
    return {
        name: "\n".join(_without_neighbours(lines, first, last))
        for name, first, last in zip(names, begins, ends, strict=True)
    }


def _without_neighbours(lines: Sequence[str], first: int, last: int) -> Sequence[str]:
    """The lines of one rule: remarks stand above what they are about."""
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    return lines[first:last]


def _end(lines: Sequence[str], first: int) -> int:
    """The line after the list whose last element begins on line *first*: where a key of the file begins, or its end."""
    following = range(first + 1, len(lines))
    return next((at for at in following if lines[at][:1] not in ("", " ", "\t", "-", "#")), len(lines))
