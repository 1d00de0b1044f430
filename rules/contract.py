"""Rules as part of the data contract: what a unit's own Confluent client can check before it sends.

The schema registry hands a subject's rule set (``ruleSet``) out with its schema. A rule that CEL has words for is
carried out by the client; any other one is there for people and programs to read, and switched off, because a client
that meets a type of rule that it does not know fails, or skips all rules behind it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from rules.cel import IN_FORCE, Said, conjunction
from rules.model import FOUND, Rule
from rules.ruleset import DatasetRules
from schemas.catalog import Dataset

#: The type of a rule that is said by reference to its id in the library.
REFERENCE_TYPE = "ZHIDA"
#: Confluent's registry takes names of at most 64 letters, digits and underscores that begin with a letter.
MAX_NAME = 64
_DIGEST = 8


def contract_rule_set(rules: DatasetRules) -> dict[str, Any]:
    """The ``ruleSet`` of the dataset's report subject, in library order.

    A broken reject rule stops the record in the client (``onFailure`` ERROR), a suspect one does not (NONE). ``params``
    hold the rule's id, field, dimension, severity and messages under ``zhida.*``.
    Rules that make no verdicts are left out.
    """
    return {"domainRules": [_contract_rule(rule, rules.dataset) for rule in rules.active]}


def said_in_cel(rule: Rule, dataset: Dataset) -> Said | None:
    """The rule in CEL, true of every record that does not break it; None when CEL has no words for it."""
    if rule.effective is not None:  # it has none for today
        return None
    check = rule.check.cel(dataset.by_name[rule.field], dataset)
    conditions = [condition.cel(dataset.by_name[name]) for name, condition in rule.when.items()]
    if rule.condition is not None:
        conditions.append(rule.condition.cel(dataset))
    if check is None or None in conditions:
        return None
    in_force = "" if rule.check.checks_deleted else IN_FORCE
    return Said(check.body, guard=conjunction(in_force, *(term for term in conditions if term), check.guard))


def contract_name(rule_id: str) -> str:
    """The rule's name in a contract: its id without the dataset, in the letters that registries allow."""
    name = re.sub(r"[^A-Za-z0-9]", "_", rule_id.partition(".")[2])
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(rule_id.encode()).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - _DIGEST - 1]}_{digest}"


def _contract_rule(rule: Rule, dataset: Dataset) -> dict[str, Any]:
    said = said_in_cel(rule, dataset)
    zh, en = (message.replace(FOUND, "…") for message in (rule.zh, rule.en))
    params = {
        "zhida.rule": rule.id,
        "zhida.kind": rule.kind,
        "zhida.field": rule.field,
        "zhida.dimension": rule.dimension,
        "zhida.severity": rule.severity,
        "zhida.zh": zh,
        "zhida.en": en,
    }
    if rule.basis:
        params["zhida.basis"] = rule.basis
    common: dict[str, Any] = {
        "name": contract_name(rule.id),
        "doc": f"{zh} / {en}",
        "kind": "CONDITION",
        "mode": "WRITE",
        "tags": sorted({rule.dimension, rule.severity}),
        "params": params,
        "onFailure": "ERROR" if rule.severity == "reject" else "NONE",
    }
    if said is None:
        return {**common, "type": REFERENCE_TYPE, "expr": rule.id, "disabled": True}
    return {**common, "type": "CEL", "expr": str(said)}
