"""The library that is shipped: sound, covered by its examples, and named by its content."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from shipped import CATALOG, RULES

from rules.checks import kinds
from rules.errors import RuleError
from rules.examples import lint, run_examples
from rules.records import record_of
from rules.ruleset import LIBRARY_DIR, RuleSet


@pytest.fixture(scope="module")
def rule_set() -> RuleSet:
    return RULES


def test_the_library_has_no_problems() -> None:
    assert lint(CATALOG) == []


@pytest.mark.parametrize("code", [dataset.code for dataset in CATALOG])
def test_every_example_comes_out_as_its_file_says(rule_set: RuleSet, code: str) -> None:
    wrong = [
        f"{rule.id}: {reason}" for rule, _, reason in run_examples(rule_set.dataset(code), rule_set.examples.context())
    ]
    assert wrong == []


@pytest.mark.parametrize("code", [dataset.code for dataset in CATALOG if dataset.example])
def test_the_example_record_of_a_dataset_breaks_no_rule(rule_set: RuleSet, code: str) -> None:
    context, rules = rule_set.examples.context(), rule_set.dataset(code)
    sent = {"unit": min(context.units), "record_id": "1", "version": 1}
    assert rules.judge_row(record_of({**sent, **rules.dataset.example}, rules.dataset), context) == ()


def test_every_kind_of_check_and_both_severities_are_in_use(rule_set: RuleSet) -> None:
    rules = [rule for dataset in rule_set for rule in dataset.rules]
    assert {rule.kind for rule in rules} == set(kinds())
    assert {rule.severity for rule in rules} == {"reject", "suspect"}


def test_messages_are_in_both_languages(rule_set: RuleSet) -> None:
    for rules in rule_set:
        for rule in rules.rules:
            assert re.search("[一-龥]", rule.zh), rule.id
            # The office that a rejection names (``{contact}``) has its own name in both.
            assert not re.search("[一-龥]", rule.en.replace(rules.dataset.owner, "")), rule.id


def _copy(folder: Path, old: str = "", new: str = "") -> RuleSet:
    shutil.copytree(LIBRARY_DIR, folder, dirs_exist_ok=True)
    path = folder / "legal_person.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
    return RuleSet.load(CATALOG, folder)


def test_the_version_is_the_number_and_a_hash_of_the_meaning(rule_set: RuleSet, tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+-[0-9a-f]{8}", rule_set.version)
    assert _copy(tmp_path).version == rule_set.version


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# ", "# another comment ", True),
        ('pass: [{XZQHDM: "320102"}]', 'pass: [{XZQHDM: "320103"}]', True),
        ("max: 50000000", "max: 50000001", False),
        ("severity: reject", "severity: suspect", False),
        ("请改正", "请改正。", False),
    ],
)
def test_the_version_changes_with_every_meaning_and_with_nothing_else(
    rule_set: RuleSet, tmp_path: Path, old: str, new: str, same: bool
) -> None:
    assert (_copy(tmp_path, old, new).version == rule_set.version) == same


def test_a_dataset_without_rules_is_an_error_that_says_what_to_add(rule_set: RuleSet) -> None:
    with pytest.raises(RuleError, match=r"add rules/library/nothing\.yaml"):
        rule_set.dataset("nothing")
