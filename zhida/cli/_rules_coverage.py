"""What ``zhida rules test`` shows: datasets, the library as a whole, and what became of changed rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zhida.cli._console import console, print_json, table

if TYPE_CHECKING:
    from rules.coverage import DatasetCoverage, LibraryCoverage, Share
    from rules.mutants import Mutant
    from rules.ruleset import RuleSet

_GROUPS = {"when": "条件 conditions", "extension fields": "扩展字段 extension fields", "all": "合计 all"}


def show_coverage(
    rule_set: RuleSet,
    found: Iterable[DatasetCoverage],
    library: LibraryCoverage,
    mutants: list[Mutant] | None,
    json: bool,
) -> None:
    """As tables; or as JSON, a line a dataset and a last one, without ``dataset``, of the library."""
    from rules.coverage import mutant_shares

    shares = None if mutants is None else mutant_shares(mutants)
    if json:
        for one in found:
            print_json({"dataset": one.dataset, **_counts(one), "kinds": sorted(one.kinds)})
        print_json(_library_json(rule_set, library, shares, mutants or []))
        return
    titles = ("规则\nrules", "有正反样例\ncovered", "样例\nexamples", "字段\nfields", "不符\nwrong")
    shown = table("数据集\ndataset", *(f">{title}" for title in titles))
    for one in found:
        title = f"{rule_set.dataset(one.dataset).dataset.zh}\n{one.dataset}"
        counts = _counts(one)
        fields = f"{one.fields.part}/{one.fields.whole}"
        shown.add_row(
            title, *(str(counts[name]) for name in ("rules", "covered", "examples")), fields, str(len(one.wrong))
        )
    console().print(shown)
    _show_library(library)
    if shares is not None:
        _show_mutants(shares, mutants or [])


def _show_library(library: LibraryCoverage) -> None:
    lines = [
        ("数据集有规则 datasets with rules", library.datasets, library.datasets_without_rules),
        ("规则有正反样例 rules with examples of both sorts", library.rules, ()),
        ("字段有规则 fields with a rule", library.fields, ()),
        ("种类已使用 kinds in use", library.kinds, library.kinds_unused),
    ]
    for title, share, missing in lines:
        rest = f"，缺 missing: {'、'.join(missing)}" if missing else ""
        console().print(f"{title}: {share.part}/{share.whole}（{share.percent:.0f} %）{rest}")


def _show_mutants(shares: dict[str, Share], mutants: list[Mutant]) -> None:
    shown = table("改动 changed", ">处 changes", ">样例发现 noticed", ">%")
    for name, share in shares.items():
        if share.whole:
            shown.add_row(_GROUPS.get(name, name), str(share.whole), str(share.part), f"{share.percent:.1f}")
    console().print(shown)
    survived = [one for one in mutants if not one.caught]
    if survived:
        console().print("样例没有发现的改动 changes that no example notices:")
    for one in survived:
        console().print(f"  {one.rule.id}: {one.change}")


def _counts(one: DatasetCoverage) -> dict[str, int]:
    return {
        "rules": one.rules,
        "covered": one.covered,
        "examples": one.examples,
        "fields": one.fields.whole,
        "fields_with_a_rule": one.fields.part,
        "wrong": len(one.wrong),
    }


def _library_json(
    rule_set: RuleSet, library: LibraryCoverage, shares: dict[str, Share] | None, mutants: list[Mutant]
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "rule_set": rule_set.version,
        "datasets": library.datasets.whole,
        "datasets_with_rules": library.datasets.part,
        "rules": library.rules.whole,
        "covered": library.rules.part,
        "examples": library.examples,
        "fields": library.fields.whole,
        "fields_with_a_rule": library.fields.part,
        "kinds": library.kinds.whole,
        "kinds_in_use": library.kinds.part,
        "kinds_unused": library.kinds_unused,
    }
    if shares is not None:
        report["mutants"] = {name: {"changes": share.whole, "noticed": share.part} for name, share in shares.items()}
        report["survived"] = [{"rule": one.rule.id, "change": one.change} for one in mutants if not one.caught]
    return report
