"""Faults in rule files are told with file, line and a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest
from rules_toys import CATALOG, write_library

from rules.errors import RuleError
from rules.examples import lint
from rules.ruleset import RuleSet


def rule(head: str, extra: str = "") -> str:
    """A rule of nine lines, the first of which is line 3 of the file."""
    field, kind = head.split(".")
    lines = [
        f"  - id: toy.{head}",
        f"    kind: {kind}",
        f"    field: {field}",
        "    dimension: accuracy",
        "    severity: reject",
        '    zh: "请改正该字段"',
        '    en: "correct the field"',
        *(f"    {line}" for line in extra.splitlines()),
    ]
    return "\n".join(lines) + "\n"


GOOD = rule("NAME.required", 'pass: [{NAME: "a"}]\nfail: [{}]')

FAULTS: list[tuple[str, str, int, str]] = [
    ("unknown field", rule("NAMES.required"), 3, "toy has no field 'NAMES'; did you mean 'NAME'?"),
    ("unknown kind", rule("NAME.requird"), 3, "unknown kind 'requird'; did you mean 'required'?"),
    (
        "unknown key",
        rule("NAME.length", "maks: 3"),
        3,
        "unknown key 'maks' in a rule of kind length; did you mean 'max'?",
    ),
    ("wrong severity", rule("NAME.required").replace("reject", "refuse"), 7, "severity: Input should be 'reject' or"),
    ("wrong dimension", rule("NAME.required").replace("accuracy", "beauty"), 6, "dimension: Input should be 'compl"),
    (
        "wrong id",
        rule("NAME.required").replace("toy.NAME", "toy.CODE"),
        3,
        "id 'toy.CODE.required' must be 'toy.NAME.re",
    ),
    ("id twice", GOOD + GOOD, 12, "id 'toy.NAME.required' is used twice"),
    ("key twice", rule("NAME.required", "kind: length"), 10, "key 'kind' twice"),
    ("no rules", "    []", 2, "no rules"),
    ("wrong type", rule("DAY.length", "max: 3"), 3, "length is for fields of type string; DAY is of type date"),
    ("other date", rule("END.date_order", "after: DAYS"), 3, "'DAYS' is not another date of toy; did you mean 'DAY'?"),
    (
        "bound",
        rule("SUM.range", "min: 2026-01-01"),
        3,
        "2026-01-01 cannot be compared with SUM, a field of type decimal",
    ),
    ("no bound", rule("SUM.range"), 3, "give at least one of min, above, max, below"),
    ("bound type", rule("SUM.range", "min: [1]"), 10, "min: [1] is neither a number nor a date"),
    ("fine bound", rule("SUM.range", "min: 0.0000001"), 3, "more than 6 digits after the point"),
    ("no enumeration", rule("TAGS.enumeration"), 3, "field TAGS has no enumeration in the catalog: give values"),
    ("two enumerations", rule("KIND.enumeration", "values: [丙]"), 3, "is enumerated in the catalog: leave values out"),
    ("separator", rule("TAGS.enumeration", 'values: ["a;b"]\nseparator: ";"'), 3, "a value contains the separator"),
    ("too long", rule("NAME.length", "max: 11"), 3, "max 11 is more than the catalog allows for NAME (10)"),
    ("no length", rule("TAGS.length"), 3, "field TAGS has no length in the catalog: give max"),
    ("digit class", rule("NAME.pattern", r"pattern: '\d+'"), 10, "means different things to Python and to Rust"),
    ("look-ahead", rule("NAME.pattern", "pattern: '(?=a)b'"), 10, "means different things to Python and to Rust"),
    ("bad pattern", rule("NAME.pattern", "pattern: '[a'"), 10, "not a usable regular expression"),
    ("set in class", rule("NAME.pattern", "pattern: '[a&&b]'"), 10, "not a usable regular expression"),
    (
        "condition field",
        rule("NAME.required", "when: {KINDS: 甲}"),
        3,
        "toy has no field 'KINDS'; did you mean 'KIND'?",
    ),
    ("condition value", rule("NAME.required", "when: {KIND: 丙}"), 3, "KIND is never '丙'"),
    ("condition kind", rule("NAME.required", "when:\n  KIND: {contain: 甲}"), 11, "did you mean 'contains'?"),
    ("two conditions", rule("NAME.required", "when: {KIND: {length: 1, present: true}}"), 10, "give exactly one of"),
    ("condition type", rule("NAME.required", "when: {SUM: '1'}"), 3, "the only condition on it is present"),
    (
        "blank condition",
        rule("NAME.required", "when: {TAGS: ' '}"),
        10,
        "to ask for an empty field write present: false",
    ),
    ("region", rule("PAPER.id_number", "regions: ['3']"), 10, "a region is two digits, not '3'"),
    ("not YAML", "  - {", 4, "not usable YAML"),
    ("no such day", rule("DAY.range", "min: 2026-02-30"), 10, "not usable YAML"),
    ("a tag", rule("NAME.required", "zh2: !!python/object:os.system x"), 10, "not usable YAML"),
    ("no message", rule("NAME.required").replace("correct the field", ""), 9, "en: String should have at least"),
]


@pytest.mark.parametrize(
    ("text", "line", "message"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        RuleSet.load(CATALOG, write_library(tmp_path, text))
    (problem, *others) = caught.value.problems
    assert problem.startswith(f"{tmp_path / 'toy.yaml'}:{line}: "), problem
    assert message in problem
    assert not others


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuleError) as caught:
        RuleSet.load(CATALOG, write_library(tmp_path, rule("NAMES.required") + rule("CODES.required") + GOOD))
    assert [problem.split(":")[1] for problem in caught.value.problems] == ["3", "10"]


def test_rules_for_a_dataset_that_the_catalog_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no dataset 'toys' in the catalog"):
        RuleSet.load(CATALOG, write_library(tmp_path, GOOD, dataset="toys"))


def test_a_folder_without_a_library_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"_library\.yaml:1: no such file"):
        RuleSet.load(CATALOG, tmp_path)


def test_a_rule_without_examples_loads_but_does_not_pass_lint(tmp_path: Path) -> None:
    folder = write_library(tmp_path, rule("NAME.required") + rule("KIND.enumeration", 'pass: [{KIND: "甲"}]'))
    assert RuleSet.load(CATALOG, folder).dataset("toy").rules
    assert lint(CATALOG, folder) == [
        f"{folder}/toy.yaml:3: toy.NAME.required: no examples under 'pass'",
        f"{folder}/toy.yaml:3: toy.NAME.required: no examples under 'fail'",
        f"{folder}/toy.yaml:10: toy.KIND.enumeration: no examples under 'fail'",
    ]


@pytest.mark.parametrize(
    ("examples", "line", "message"),
    [
        ('pass: [{NAME: ""}]\nfail: [{}]', 10, "example 1: must pass but fails"),
        ('pass: [{NAME: a}]\nfail: [{}, {NAME: a}]', 11, "example 2: must fail but passes"),
        ("pass: [{NAME: a}]\nfail: [{NAMEN: a}]", 11, "toy has no field 'NAMEN'; did you mean 'NAME'?"),
        ("pass: [{NAME: 1}]\nfail: [{}]", 10, "NAME is text: put 1 in quotes"),
        ("pass: [{NAME: a, SUM: x}]\nfail: [{}]", 10, "'x' is not a number"),
        ("pass: [{NAME: {text: a}}]\nfail: [{}]", 10, "the only mapping in an example is"),
    ],
)  # fmt: skip
def test_lint_judges_the_examples(tmp_path: Path, examples: str, line: int, message: str) -> None:
    folder = write_library(
        tmp_path,
        rule("NAME.required", examples) + rule("KIND.enumeration", 'pass: [{KIND: "甲"}]\nfail: [{KIND: "丙"}]'),
    )
    (problem,) = lint(CATALOG, folder)
    assert problem.startswith(f"{folder}/toy.yaml:{line}: toy.NAME.required: ")
    assert message in problem


def test_lint_asks_for_the_rules_that_the_catalog_implies(tmp_path: Path) -> None:
    assert lint(CATALOG, write_library(tmp_path, GOOD)) == [
        f"{tmp_path}/toy.yaml:1: KIND is enumerated in the catalog but has no enumeration rule"
    ]
