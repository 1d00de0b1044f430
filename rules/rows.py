"""Rules as generated Python: one function a dataset, the reference evaluator, and one function a rule.

The first judges small batches, the records of a batch that could not be decoded as columns, and everything in tests;
the second confirms what a column screen has picked. Both are made of the same source, one test a rule::

    when and value is there and check fails and not deleted

"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

from rules.checks.base import JudgeContext, RowNames
from rules.model import Rule
from schemas.catalog import Dataset

#: Record and context in, the numbers of the broken rules out; None when there are none.
RowFunction = Callable[[Mapping[str, Any], JudgeContext], "list[int] | None"]
#: Columns of values of the fields that the rule reads, the places to look at and context in; the failing places out.
RuleFunction = Callable[[Sequence[list[Any]], list[int], JudgeContext], list[int]]

DELETED = "deleted"


def compile_rows(dataset: Dataset, rules: tuple[Rule, ...]) -> RowFunction:
    """One function for all *rules*. A record must hold every field that they read."""
    read = sorted({DELETED}.union(*(_read(rule) for rule in rules)))
    names = _names(read)
    names.constants["fields"] = itemgetter(*read, DELETED)  # of one name alone it would return the bare value
    lines = [
        "def judge(record, context):",
        f"    {', '.join(names.local(field) for field in read)}, _ = fields(record)",
        "    today, units, assigned = context.today, context.units, context.assigned",
        "    broken = None",
    ]
    for number, rule in enumerate(rules):
        lines.append(f"    if {failing_source(dataset, rule, names)}:")
        lines.append(f"        if broken is None: broken = [{number}]")
        lines.append(f"        else: broken.append({number})")
    lines.append("    return broken")
    function: RowFunction = _compiled(lines, names, f"<rules of {dataset.code}>")
    return function


def compile_rule(dataset: Dataset, rule: Rule) -> tuple[tuple[str, ...], RuleFunction]:
    """One function for *rule* alone, over columns of the fields that it reads, which are named in order."""
    read = tuple(sorted({rule.field, *rule.reads, *(() if rule.check.checks_deleted else (DELETED,))}))
    names = _names(read)
    values = "".join(f", {names.local(field)}" for field in read)
    lines = [
        "def failing(columns, places, context):",
        "    today, units, assigned = context.today, context.units, context.assigned",
        "    rows = zip(places, *(map(column.__getitem__, places) for column in columns))",
        f"    return [at for at{values} in rows if {failing_source(dataset, rule, names)}]",
    ]
    return read, _compiled(lines, names, f"<rule {rule.id}>")


def failing_source(dataset: Dataset, rule: Rule, names: RowNames) -> str:
    """Source that is true when the record breaks *rule*."""
    return " and ".join(term.source for term in _terms(dataset, rule, names))


#: ``guard``: what holds for every kind (something is there, the record is not withdrawn).
TermPart = Literal["guard", "when", "check"]


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a rule's source; all of them must be true of a record that breaks it."""

    source: str
    part: TermPart


#: Record, with every field that the rule reads, and context in; true when it breaks the rule.
OneRule = Callable[[Mapping[str, Any], JudgeContext], bool]


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """A rule's source in parts that can be looked at and exchanged before they are compiled."""

    read: tuple[str, ...]
    terms: tuple[Term, ...]
    constants: Mapping[str, Any]
    title: str

    def constants_of(self, term: Term) -> dict[str, Any]:
        """The constants that *term* names."""
        named = set(re.findall(r"\bk\d+\b", term.source))
        return {name: value for name, value in self.constants.items() if name in named}

    def compile(self) -> OneRule:
        """The rule as a function of one record."""
        names = _names(self.read)
        names.constants.update(self.constants)
        values = (f"record[{names.bind(field)}]" for field in self.read)
        lines = [
            "def broken(record, context):",
            f"    {', '.join(map(names.local, self.read))}, = {', '.join(values)},",
            "    today, units, assigned = context.today, context.units, context.assigned",
            f"    return bool({' and '.join(f'({term.source})' for term in self.terms)})",
        ]
        function: OneRule = _compiled(lines, names, self.title)
        return function


def rule_terms(dataset: Dataset, rule: Rule) -> RuleTerms:
    """The parts of *rule*."""
    read = tuple(sorted({DELETED, *_read(rule)}))
    names = _names(read)
    terms = _terms(dataset, rule, names)
    return RuleTerms(read, tuple(terms), names.constants, f"<rule {rule.id}>")


def _terms(dataset: Dataset, rule: Rule, names: RowNames) -> list[Term]:
    """The cheap and mostly false parts stand first."""
    field = dataset.by_name[rule.field]
    value = names.local(rule.field)
    terms = [] if rule.check.sees_blank else [Term(f"{value} is not None", "guard")]
    terms += [Term(condition.row(dataset.by_name[name], names), "when") for name, condition in rule.when.items()]
    if rule.condition is not None:
        terms.append(Term(rule.condition.row(names), "when"))
    terms.append(Term(rule.check.row(field, names), "check"))
    if not rule.check.sees_blank and field.type == "string":
        terms.append(Term(f"{value} and not {value}.isspace()", "guard"))
    if not rule.check.checks_deleted:
        terms.append(Term(f"not {names.local(DELETED)}", "guard"))
    return terms


def _read(rule: Rule) -> frozenset[str]:
    """What the record must hold: fields, and what was found when the state was asked."""
    asked = rule.asks
    return rule.reads if asked is None else rule.reads | {asked.name}


def _names(fields: Sequence[str]) -> RowNames:
    return RowNames({field: f"v{number}" for number, field in enumerate(fields)})


def _compiled(lines: list[str], names: RowNames, title: str) -> Any:
    namespace: dict[str, Any] = dict(names.constants)
    # The source is made of our own templates; text from rule files is bound as constants (RowNames.bind), never pasted.
    exec(compile("\n".join(lines) + "\n", title, "exec"), namespace)  # noqa: S102
    return namespace[lines[0].split("(")[0].removeprefix("def ")]
