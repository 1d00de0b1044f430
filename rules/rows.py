"""Rules as one generated Python function a dataset: the reference evaluator.

It judges small batches, the records of a batch that could not be decoded as columns, and everything in tests. The
source has one test a rule, in library order::

    if when and value is there and check fails: add the rule's number

"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from rules.checks.base import JudgeContext, RowNames
from rules.model import Rule
from schemas.catalog import Dataset

#: Record and context in, the numbers of the broken rules out; None when there are none.
RowFunction = Callable[[Mapping[str, Any], JudgeContext], "list[int] | None"]


def compile_rows(dataset: Dataset, rules: tuple[Rule, ...]) -> RowFunction:
    """One function for all *rules*. A record must hold every field that they read."""
    source, constants = row_source(dataset, rules)
    namespace: dict[str, Any] = dict(constants)
    # The source is made of our own templates; text from rule files is bound as constants (RowNames.bind), never pasted.
    exec(compile(source, f"<rules of {dataset.code}>", "exec"), namespace)  # noqa: S102
    function: RowFunction = namespace["judge"]
    return function


def row_source(dataset: Dataset, rules: tuple[Rule, ...]) -> tuple[str, dict[str, Any]]:
    """The function's source and the constants that it names."""
    read = sorted({"deleted"}.union(*(rule.reads for rule in rules)))
    names = RowNames({field: f"v{number}" for number, field in enumerate(read)})
    if len(read) == 1:  # an itemgetter of one name returns the bare value
        read = [*read, *read]
    names.constants["fields"] = itemgetter(*read)
    lines = [
        "def judge(record, context):",
        f"    {', '.join(names.local(field) for field in read)} = fields(record)",
        "    today = context.today",
        "    units = context.units",
        "    broken = None",
    ]
    for number, rule in enumerate(rules):
        lines.append(f"    if {_failing(dataset, rule, names)}:")
        lines.append(f"        if broken is None: broken = [{number}]")
        lines.append(f"        else: broken.append({number})")
    lines.append("    return broken")
    return "\n".join(lines) + "\n", names.constants


def _failing(dataset: Dataset, rule: Rule, names: RowNames) -> str:
    """Source that is true when the record breaks *rule*; the cheap and mostly false parts stand first."""
    field = dataset.by_name[rule.field]
    value = names.local(rule.field)
    terms = []
    if not rule.check.sees_blank:
        terms.append(f"{value} is not None")
    terms += [condition.row(dataset.by_name[name], names) for name, condition in rule.when.items()]
    terms.append(rule.check.row(field, names))
    if not rule.check.sees_blank and field.type == "string":
        terms.append(f"{value} and not {value}.isspace()")
    if not rule.check.checks_deleted:
        terms.append(f"not {names.local('deleted')}")
    return " and ".join(terms)
