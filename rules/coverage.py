"""How far the examples of a library reach: datasets, rules, kinds and fields, and changes to rules that they notice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.checks import kinds
from rules.examples import run_examples
from rules.mutants import Mutant
from rules.ruleset import DatasetRules, RuleSet
from schemas.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """100 where there is nothing to reach."""
        return 100.0 * self.part / self.whole if self.whole else 100.0


@dataclass(frozen=True, slots=True)
class DatasetCoverage:
    """Of one dataset: rules, those with examples of both sorts, fields that a rule is put on, wrong examples."""

    dataset: str
    rules: int
    covered: int
    examples: int
    fields: Share
    kinds: frozenset[str]
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LibraryCoverage:
    """Of a library: datasets of the catalog with rules, rules with both sorts of examples, kinds in use and not."""

    datasets: Share
    rules: Share
    fields: Share
    kinds: Share
    kinds_unused: tuple[str, ...]
    datasets_without_rules: tuple[str, ...]
    examples: int


def dataset_coverage(rules: DatasetRules, rule_set: RuleSet) -> DatasetCoverage:
    """Run the examples of *rules*, by row and by column, and count."""
    fields = rules.dataset.business_fields
    looked_at = {rule.field for rule in rules.rules}
    return DatasetCoverage(
        rules.dataset.code,
        len(rules.rules),
        sum(1 for rule in rules.rules if rule.passes and rule.fails),
        sum(len(rule.passes) + len(rule.fails) for rule in rules.rules),
        Share(sum(field.name in looked_at for field in fields), len(fields)),
        frozenset(rule.kind for rule in rules.rules),
        tuple(f"{rule.id}: {reason}" for rule, _, reason in run_examples(rules, rule_set.examples.context())),
    )


def library_coverage(catalog: Catalog, found: Iterable[DatasetCoverage]) -> LibraryCoverage:
    """The whole of a library for *catalog*."""
    parts = {one.dataset: one for one in found}
    used = frozenset[str]().union(*(one.kinds for one in parts.values()))
    without = tuple(dataset.code for dataset in catalog if dataset.code not in parts)
    return LibraryCoverage(
        Share(len(parts), len(parts) + len(without)),
        Share(sum(one.covered for one in parts.values()), sum(one.rules for one in parts.values())),
        Share(sum(one.fields.part for one in parts.values()), sum(one.fields.whole for one in parts.values())),
        Share(len(used), len(kinds())),
        tuple(sorted(kinds().keys() - used)),
        without,
        sum(one.examples for one in parts.values()),
    )


def mutant_shares(found: Iterable[Mutant]) -> dict[str, Share]:
    """Changes that were noticed, of all: by kind of check, then those to conditions and to rules of added fields."""
    mutants = list(found)
    groups = {kind: [one for one in mutants if one.part == "check" and one.rule.kind == kind] for kind in kinds()}
    groups["when"] = [one for one in mutants if one.part == "when"]
    groups["extension fields"] = [one for one in mutants if one.of_extension]
    groups["all"] = mutants
    return {name: Share(sum(one.caught for one in group), len(group)) for name, group in groups.items()}
