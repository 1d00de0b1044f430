"""Lint of a catalog folder together with the rules that its records are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rules.errors import RuleError
from rules.examples import lint as lint_rules
from rules.identifiers import uscc_is_valid
from rules.model import ExampleContext
from rules.records import record_of
from rules.ruleset import DatasetRules, RuleSet
from schemas.catalog import Dataset
from schemas.documents import Location, Problem
from schemas.lint import Findings, lint


def lint_catalog(folder: Path, rules_folder: Path) -> list[Problem]:
    """Everything wrong with the catalog in *folder* and with the rules for it, in order of file and line."""
    found = lint(folder)
    problems = {*found.problems, *_unit_codes(folder, found), *_rule_problems(found, rules_folder)}
    return sorted(problems)


def _unit_codes(folder: Path, found: Findings) -> Iterator[Problem]:
    """Codes of units with a wrong check character; what has not even the form of a code has been told already."""
    path = folder / "data" / "units.csv"
    wrong = {unit.code for unit in found.units if not uscc_is_valid(unit.code)}
    if wrong:
        for number, row in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            for code in wrong & set(row.split(",")):
                zh = f"单位编码 {code} 的校验码不正确"
                yield Problem(str(path), number, zh, f"the check characters of the unit's code {code} are wrong")


def _rule_problems(found: Findings, folder: Path) -> Iterator[Problem]:
    missing = False
    for dataset in found.catalog:
        if not (folder / f"{dataset.code}.yaml").is_file():
            missing = True
            file = found.drafts[dataset.code].document.file
            zh, en = f"没有规则文件 {folder / dataset.code}.yaml", f"no rule file {folder / dataset.code}.yaml"
            yield Problem(file, 1, zh, f"{en}: its records could not be judged")
    told = False
    for text in lint_rules(found.catalog, folder):
        problem = _from_text(text)
        stem = Path(problem.file).stem
        if stem in found.broken or (missing and problem.en.endswith("has no rules")):
            continue
        told = True
        yield problem
    if not told and not found.broken:
        yield from _examples(found, folder)


def _examples(found: Findings, folder: Path) -> Iterator[Problem]:
    """Example records that are no record of their dataset, or that its rules do not let pass."""
    try:
        rule_set = RuleSet.load(found.catalog, folder)
    except RuleError:
        return  # told already
    for dataset in found.catalog:
        document = found.drafts[dataset.code].document
        try:
            rules = rule_set.dataset(dataset.code)
        except RuleError:
            continue
        for location, zh, en in _example_faults(dataset, rules, rule_set.examples):
            yield document.problem(location, zh, en)


def _example_faults(
    dataset: Dataset, rules: DatasetRules, examples: ExampleContext
) -> Iterator[tuple[Location, str, str]]:
    if not dataset.example:
        yield ("code",), "没有示例记录（example）", "no example record"
        return
    sent = {"unit": min(examples.assigned or examples.units), "record_id": "1", "version": 1}
    try:
        record = record_of({**sent, **dataset.example}, dataset)
    except (ValueError, TypeError) as error:
        yield ("example",), "示例不是本数据集的记录", f"the example is no record of the dataset: {error}"
        return
    for broken in rules.judge_row(record, examples.context()):
        yield (
            ("example", broken.field),
            f"示例不符合规则 {broken.rule}：{broken.message_zh}",
            f"the example breaks a rule: {broken.message_en}",
        )


def _from_text(text: str) -> Problem:
    """The problem in a line ``file:line: message`` of the rule library's reader, which speaks English alone."""
    file, _, rest = text.partition(":")
    line, _, message = rest.partition(":")
    return Problem(file, int(line) if line.isdigit() else 1, "规则文件有误：", message.strip())
