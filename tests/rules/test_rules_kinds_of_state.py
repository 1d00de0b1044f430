"""Kinds that look at more than one record: what they find, what they forgive, and what lint says of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rules_toys import CONTEXT, TODAY, UNIT
from state_toys import CATALOG, LICENCE, PERSON, Course, a_rule, load, record, write_rules

from rules.examples import lint, run_examples
from rules.mutants import mutants_of
from rules.names import among_names, normal_name
from schemas.catalog import Dataset

REFERENCE = a_rule("WHO", "reference", "dataset: person, key: CODE")
AGREEMENT = a_rule("WHO_NAME", "agreement", "dataset: person, key: {WHO: CODE}, with: NAME")
UNIQUENESS = a_rule("NUMBER", "uniqueness", "together_with: [OFFICE]")
DUPLICATE = a_rule("NUMBER", "duplicate_content", "but: [NOTE]")
CONFLICT = a_rule("WHO", "conflict", "dataset: person, match: {WHO: CODE}, where: 'STATE == \"注销\"'")
ALL = REFERENCE + AGREEMENT + UNIQUENESS + DUPLICATE + CONFLICT


def test_a_record_that_refers_to_nobody_is_told_so_and_waits(tmp_path: Path) -> None:
    run = Course(load(tmp_path, REFERENCE))
    early, blank = record(LICENCE, "1", WHO="91A"), record(LICENCE, "2", WHO=" ")
    assert run.come(LICENCE, early, blank) == [{"WHO.reference": "check it: "}, {}]
    assert run.come(PERSON, record(PERSON, "1", CODE="91A")) == [{}]
    assert run.due == {0}
    assert run.come(LICENCE, early) == [{}]
    run.come(PERSON, record(PERSON, "1", CODE="91A", version=2, deleted=True))
    assert run.come(LICENCE, record(LICENCE, "3", WHO="91A")) == [{"WHO.reference": "check it: "}]


def test_a_name_must_be_the_one_that_is_registered_for_the_code(tmp_path: Path) -> None:
    run = Course(load(tmp_path, AGREEMENT))
    run.come(PERSON, record(PERSON, "1", CODE="91A", NAME="江苏（某某）有限公司"))
    assert run.come(
        LICENCE,
        record(LICENCE, "1", WHO="91A", WHO_NAME="江苏（某某）有限公司"),
        record(LICENCE, "2", WHO="91A", WHO_NAME="江苏 (某某) 有限公司"),
        record(LICENCE, "3", WHO="91A", WHO_NAME="江苏某某有限公司"),
        record(LICENCE, "4", WHO="91B", WHO_NAME="谁也不是"),
        record(LICENCE, "5", WHO="91A", WHO_NAME=None),
    ) == [{}, {}, {"WHO_NAME.agreement": "check it: 江苏（某某）有限公司"}, {}, {}]


@pytest.mark.parametrize(
    ("written", "registered"),
    [
        ("ＡＢＢ（中国）有限公司", "ABB(中国)有限公司"),
        ("上海“六百”集团 ", "上海“六百”集团"),
        ("欧尚　（中国）投资有限公司", "欧尚（中国）投资有限公司"),
        ("阿卜杜拉•买买提商店", "阿卜杜拉·买买提商店"),
        ("阿卜杜拉・买买提商店", "阿卜杜拉·买买提商店"),
        ("阿卜杜拉･买买提商店", "阿卜杜拉‧买买提商店"),
        ("南京［示例］〔二〕【厂】", "南京(示例)(二)(厂)"),
        ("３Ｍ中国\u200b有限公司\ufeff", "3M中国有限公司"),
        ("苏州１２３号店", "苏州123号店"),
    ],
)
def test_what_occurs_in_real_names_and_means_nothing_is_forgiven(written: str, registered: str) -> None:
    assert normal_name(written) == normal_name(registered)
    assert among_names(written, ["别的公司", registered])


@pytest.mark.parametrize(
    ("written", "registered"),
    [
        ("江苏某某有限公司", "江苏某某有限责任公司"),
        ("江苏某某公司", "江苏某某公司南京分公司"),
        ("Abb（中国）有限公司", "ABB（中国）有限公司"),
        ("江蘇某某有限公司", "江苏某某有限公司"),
        ("江苏某某，有限公司", "江苏某某有限公司"),
        ("阿卜杜拉买买提商店", "阿卜杜拉·买买提商店"),
        ("江苏（某某）有限公司", "江苏某某有限公司"),
        ("一二三店", "123店"),
    ],
)
def test_another_character_is_another_name(written: str, registered: str) -> None:
    assert not among_names(written, [registered])


def test_a_number_belongs_to_the_record_that_came_first(tmp_path: Path) -> None:
    run = Course(load(tmp_path, UNIQUENESS))
    first, second = (record(LICENCE, number, NUMBER="苏〔2026〕1号", OFFICE="A") for number in "12")
    loose = record(LICENCE, "3", NUMBER="苏[2026] １号", OFFICE="A")
    other = record(LICENCE, "4", NUMBER="苏〔2026〕1号", OFFICE="B")
    nobody = record(LICENCE, "5", NUMBER="苏〔2026〕1号")
    told = {"NUMBER.uniqueness": f"check it: {UNIT} / 1"}
    assert run.come(LICENCE, first, second, loose, other, nobody) == [{}, told, told, {}, {}]
    assert run.come(LICENCE, first | {"version": 2, "NOTE": "更正"}) == [{}]
    run.come(LICENCE, first | {"version": 3, "deleted": True})
    assert run.due == {1, 2}
    assert run.come(LICENCE, second) == [{}]


def test_the_same_content_under_another_id_is_found_and_the_same_record_again_is_not(tmp_path: Path) -> None:
    run = Course(load(tmp_path, DUPLICATE))
    values = {"WHO": "91A", "NUMBER": "1号", "FEE": Decimal("3.50"), "PAGES": 2}
    first, again = record(LICENCE, "1", **values), record(LICENCE, "2", **values, NOTE="备注")
    more = record(LICENCE, "3", **values | {"PAGES": 3})
    told = {"NUMBER.duplicate_content": f"check it: {UNIT} / 1"}
    assert run.come(LICENCE, first, again, more, first | {"version": 2}) == [{}, told, {}, {}]


def test_contents_are_compared_only_of_records_without_the_fields_that_a_number_is_made_of(tmp_path: Path) -> None:
    rule = a_rule("NUMBER", "duplicate_content", "but: [NOTE], without: [NUMBER, WHO]")
    run = Course(load(tmp_path, rule))
    whole, partial = {"WHO": "91A", "NUMBER": "1号", "PAGES": 2}, {"NUMBER": "1号", "PAGES": 2}
    told = {"NUMBER.duplicate_content": f"check it: {UNIT} / 3"}
    records = [record(LICENCE, str(at), **values) for at, values in enumerate((whole, whole, partial, partial), 1)]
    assert run.come(LICENCE, *records) == [{}, {}, {}, told]
    # Completed, it is no longer the first of those that are not.
    run.come(LICENCE, record(LICENCE, "3", **whole, version=2))
    assert run.come(LICENCE, record(LICENCE, "4", **partial)) == [{}]


def test_an_exact_number_is_another_one_in_another_spelling(tmp_path: Path) -> None:
    run = Course(load(tmp_path, a_rule("NUMBER", "uniqueness", "exact: true")))
    first, wide, same = (record(LICENCE, str(at), NUMBER=number) for at, number in enumerate(("A1", "Ａ1", "A1"), 1))
    assert run.come(LICENCE, first, wide, same) == [{}, {}, {"NUMBER.uniqueness": f"check it: {UNIT} / 1"}]


def test_a_record_of_another_dataset_contradicts_whichever_came_first(tmp_path: Path) -> None:
    run = Course(load(tmp_path, CONFLICT))
    # The same record id in another dataset is another record.
    assert run.come(LICENCE, record(LICENCE, "1", WHO="91A")) == [{}]
    run.come(PERSON, record(PERSON, "1", CODE="91A", STATE="存续"))
    assert run.due == set()
    run.come(PERSON, record(PERSON, "1", CODE="91A", STATE="注销", version=2))
    assert run.due == {0}
    assert run.come(LICENCE, record(LICENCE, "1", WHO="91A")) == [{"WHO.conflict": f"check it: {UNIT} / 1"}]
    run.come(PERSON, record(PERSON, "1", CODE="91A", STATE="存续", version=3))
    assert run.come(LICENCE, record(LICENCE, "1", WHO="91A")) == [{}]


def test_both_ways_agree_however_a_sequence_falls_into_batches(tmp_path: Path) -> None:
    random = Random(20260630)
    rule_set = load(tmp_path, ALL)
    values: dict[str, list[Any]] = {
        "string": ["甲（一）店", "甲(一)店", " 甲 ", "\u3000", "", None, "字" * 120, "\x00"],
        "date": [TODAY, None],
        "decimal": [Decimal("1.5"), None],
        "long": [7, None],
    }

    def anything(dataset: Dataset) -> dict[str, Any]:
        made = {field.name: random.choice(values[field.type]) for field in dataset.business_fields}
        return record(dataset, random.choice("123"), **made) | {
            "version": random.randint(1, 4),
            "deleted": random.random() < 0.2,
        }

    for _ in range(8):
        whole, parts = Course(rule_set), Course(rule_set)
        for _ in range(4):
            dataset = random.choice([PERSON, LICENCE])
            records = [anything(dataset) for _ in range(random.randint(1, 12))]
            together = whole.come(dataset, *records)
            assert [found for one in records for found in parts.come(dataset, one)] == together
        assert whole.due == parts.due


def test_a_number_far_beyond_what_is_usual_is_told_with_what_is(tmp_path: Path) -> None:
    usual = "given: [{number: 5, times: 995}, {number: 7, times: 5}]"
    few = "given: [{number: 5, times: 999}]"
    examples = (
        f"pass: [{{FEE: 51, {usual}}}, {{FEE: 1000000, {few}}}, {{FEE: null, {usual}}}, {{FEE: 9}}], "
        f"fail: [{{FEE: 52, {usual}}}]"
    )
    rules = load(tmp_path, a_rule("FEE", "outlier", "", examples)).dataset("licence")
    assert list(run_examples(rules, CONTEXT)) == []
    (asked,) = [rule.asks for rule in rules.rules if rule.asks]
    (violation,) = rules.judge_answers(record(LICENCE, "1", FEE=9), {asked.name: ("1.25e+07",)}, CONTEXT)
    assert violation.message_en == "check it: 12,500,000"


EXAMPLES = {
    REFERENCE: 'pass: [{WHO: "91A", given: [{dataset: person, CODE: "91A"}]}], fail: [{WHO: "91A"}]',
    UNIQUENESS: (
        'pass: [{NUMBER: "1", OFFICE: A, record_id: "7", given: [{NUMBER: "1", OFFICE: A, record_id: "7"}, '
        '{NUMBER: "1", OFFICE: A}]}, {NUMBER: "1", OFFICE: A, given: [{NUMBER: "1", OFFICE: B}, '
        '{NUMBER: "2", OFFICE: A}]}], fail: [{NUMBER: "〔1〕", OFFICE: A, given: [{NUMBER: "(1)", OFFICE: A}]}]'
    ),
    AGREEMENT: (
        'pass: [{WHO: "91A", WHO_NAME: "甲·（一） 店", given: [{CODE: "91A", NAME: "甲・(一)店"}]}, '
        '{WHO: "91A", WHO_NAME: "甲", given: [{CODE: "91A", NAME: "甲"}, {CODE: "91A", NAME: "乙"}]}, '
        '{WHO: "91B", WHO_NAME: "甲", given: [{CODE: "91A", NAME: "乙"}]}], '
        'fail: [{WHO: "91A", WHO_NAME: "甲", given: [{CODE: "91A", NAME: "乙", STATE: "存续"}]}]'
    ),
    CONFLICT: (
        'pass: [{WHO: "91A", given: [{CODE: "91A", STATE: "存续"}]}], '
        'fail: [{WHO: "91A", given: [{CODE: "91A", STATE: "注销"}]}]'
    ),
}


def test_examples_of_each_kind_come_out_as_written_and_notice_changes(tmp_path: Path) -> None:
    text = "".join(f"{rule[:-2]}, {examples}}}\n" for rule, examples in EXAMPLES.items())
    rules = load(tmp_path, text).dataset("licence")
    assert list(run_examples(rules, CONTEXT)) == []
    found = [mutant for rule in rules.rules for mutant in mutants_of(rule, rules, CONTEXT)]
    assert [f"{one.rule.id}: {one.change}" for one in found if not one.caught] == []
    changes = {one.change.split(" ")[0] for one in found}
    assert {"mode", "without", "not", "where", "value"} <= changes


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            a_rule("WHO", "reference", "dataset: persn, key: CODE"),
            "dataset: the catalog has no dataset 'persn'; did you mean 'person'?",
        ),
        (
            a_rule("WHO", "reference", "dataset: person, key: CODDE"),
            "key: person has no field 'CODDE'; did you mean 'CODE'?",
        ),
        (
            a_rule("WHO", "reference", "dataset: person, key: DAY"),
            "key: WHO is of type string and person.DAY of type date",
        ),
        (
            a_rule("WHO_NAME", "agreement", "dataset: person, key: {WO: CODE}, with: NAME"),
            "key: licence has no field 'WO'; did you mean 'WHO'?",
        ),
        (
            a_rule("WHO_NAME", "agreement", "dataset: person, key: {WHO: CODE}, with: HEAD"),
            "with: person.HEAD is personal",
        ),
        (
            a_rule("WHO_NAME", "agreement", "dataset: person, key: {WHO: CODE}, wth: NAME"),
            "unknown key 'wth' in a rule of kind agreement; did you mean 'with'?",
        ),
        (
            a_rule("NUMBER", "uniqueness", "together_with: [OFICE]"),
            "together_with: licence has no field 'OFICE'; did you mean 'OFFICE'?",
        ),
        (a_rule("NUMBER", "duplicate_content", "but: [NUMBER]"), "field: NUMBER, the rule's field, is not compared"),
        (
            a_rule("NUMBER", "duplicate_content", "but: [NOTES]"),
            "but: licence has no field 'NOTES'; did you mean 'NOTE'?",
        ),
        (
            a_rule("WHO", "conflict", "dataset: person, match: {PAGES: CODE}"),
            "match: PAGES is of type long and person.CODE of type string",
        ),
        (
            a_rule("WHO", "conflict", "dataset: person, match: {WHO: CODE}, where: 'STAT == \"注销\"'"),
            "where, line 1, column 1: person has no field 'STAT'; did you mean 'STATE'?",
        ),
        (a_rule("NOTE", "outlier"), "outlier is for fields of type decimal, long; NOTE is of type string"),
        (REFERENCE.replace("suspect", "reject"), "its severity must be suspect"),
    ],
)
def test_what_cannot_be_meant_is_said_with_line_and_suggestion(tmp_path: Path, rule: str, problem: str) -> None:
    (found,) = lint(CATALOG, write_rules(tmp_path, a_rule("OFFICE", "uniqueness") + rule))
    assert problem in found
    assert f"{tmp_path / 'licence.yaml'}:4:" in found


@pytest.mark.parametrize(
    ("rule", "examples", "problem"),
    [
        (REFERENCE, 'pass: [{WHO: "91A", given: [{CODE: "91A"}]}]', "no examples under 'fail'"),
        (REFERENCE, 'pass: [{WHO: "91A"}], fail: [{WHO: "91A"}]', "example 1: must pass but fails"),
        (
            REFERENCE,
            "pass: [{WHO: x, given: [{dataset: licence, WHO: x}]}], fail: [{WHO: x}]",
            "asks about person, not about licence",
        ),
        (
            REFERENCE,
            "pass: [{WHO: x, given: [{COD: x}]}], fail: [{WHO: x}]",
            "person has no field 'COD'; did you mean 'CODE'?",
        ),
        (REFERENCE, "pass: [{WHO: x, given: x}], fail: [{WHO: x}]", "given is a list of records"),
        (
            a_rule("FEE", "outlier"),
            "pass: [{FEE: 1, given: [{numbers: 5}]}], fail: [{FEE: 1}]",
            "write {number: 5, times: 1000, days_ago: 1}",
        ),
        (
            a_rule("NOTE", "length", "max: 3"),
            "pass: [{NOTE: x, given: []}], fail: [{NOTE: xxxx}]",
            "given is for rules that ask about other records",
        ),
    ],
)
def test_examples_that_are_missing_or_wrong_are_found(tmp_path: Path, rule: str, examples: str, problem: str) -> None:
    found = lint(CATALOG, write_rules(tmp_path, f"{rule[:-2]}, {examples}}}\n"))
    assert any(problem in one and f"{tmp_path / 'licence.yaml'}:3:" in one for one in found), found
