"""Rule sets alone: from the files or from those announced earlier, published under the catalog that is in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rules.document import RuleDocument
from rules.errors import RuleError
from rules.ruleset import RuleSet
from schemas.announcements import Announcements
from schemas.connection import KafkaConnection
from schemas.registry.client import RegistryClient
from schemas.release import Release
from zhida.in_force import RULES_TOPIC, Known
from zhida.publishing.plan import Plan, make_plan
from zhida.settings import Settings
from zhida.source import Files

#: What publishing rules may change; anything else is the catalog's.
_OWN = ("rules", "schema")


def announced_rules(kafka: KafkaConnection, number: int) -> RuleDocument:
    """The rule set that was announced under *number*, however long ago; raises RuleError, and AnnouncementError."""
    found = Announcements(kafka, RULES_TOPIC).read().get(b"%d" % number)
    if found is None:
        raise RuleError([f"no rule set {number} was ever announced"])
    return RuleDocument.decode(b"%d" % number, found)


def from_folder(folder: Path, release: Release) -> Files:
    """The rule files in *folder*, compiled for the catalog in force; raises RuleError."""
    return _compiled(RuleDocument.read(folder), RuleSet.load(release.catalog, folder), release)


def again(earlier: RuleDocument, number: int, release: Release) -> Files:
    """An *earlier* rule set under a new *number*, compiled for the catalog in force; raises RuleError."""
    document = replace(earlier, number=number)
    return _compiled(document, RuleSet.from_document(document, release.catalog), release)


def plan_rules(settings: Settings, files: Files, known: Known, registry: RegistryClient, now_ms: int) -> Plan:
    """What must be done so that the platform judges by the rules of *files*; changes nothing. Raises as make_plan."""
    plan = make_plan(settings, files, known, registry, now_ms, allow_removal=False)
    if any(step.kind == "catalog" for step in plan.steps):
        plan.refused.append(
            (
                "上一次目录发布没有完成，请先运行 zhida catalog publish",
                "the last publish of the catalog was left half done; run zhida catalog publish first",
            )
        )
    plan.steps = [step for step in plan.steps if step.kind in _OWN]
    return plan


def _compiled(document: RuleDocument, rule_set: RuleSet, release: Release) -> Files:
    for dataset in release.catalog:
        rule_set.dataset(dataset.code)
    return Files(release, document, rule_set)
