"""What differs between two rule sets, by the text of their files: no catalog is needed, however old they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rules.document import RuleDocument
from rules.loader import Source

#: Examples change no verdict.
_LEFT_OUT = frozenset({"pass", "fail"})
_MISSING = object()


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that differs; ``details`` name each key with what it said before and what it says now."""

    dataset: str
    rule: str
    kind: Literal["added", "removed", "changed"]
    details: tuple[str, ...] = ()


def compare_rules(old: RuleDocument, new: RuleDocument) -> list[RuleChange]:
    """The changes from *old* to *new* by dataset and rule; raises RuleError for files that cannot be read."""
    before, after = _rules(old), _rules(new)
    changes: list[RuleChange] = []
    for place in sorted(before.keys() | after.keys()):
        if place not in before:
            changes.append(RuleChange(*place, "added"))
        elif place not in after:
            changes.append(RuleChange(*place, "removed"))
        elif details := tuple(_details(before[place], after[place])):
            changes.append(RuleChange(*place, "changed", details))
    return changes


def _details(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    names = [*old, *(name for name in new if name not in old)]
    pairs = [(name, old.get(name, _MISSING), new.get(name, _MISSING)) for name in names]
    return [f"{name}: {_shown(was)} → {_shown(now)}" for name, was, now in pairs if was != now]


def _shown(value: Any) -> str:
    return "—" if value is _MISSING else str(value)


def _rules(document: RuleDocument) -> dict[tuple[str, str], dict[str, Any]]:
    """Every rule as it is written, by dataset and id."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, text in document.files.items():
        if name.startswith("_"):
            continue
        data = Source(Path(f"rule set {document.number}") / name, text).data
        rules = data.get("rules") if isinstance(data, dict) else None
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule, dict):
                kept = {str(key): value for key, value in rule.items() if key not in _LEFT_OUT}
                found[Path(name).stem, str(rule.get("id"))] = kept
    return found
