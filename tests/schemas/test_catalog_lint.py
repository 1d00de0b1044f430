"""Catalog lint: one fault at a time is told with file, line and a sentence in both languages; many are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalog_faults import CITY_FILE, DATASET, FAULTS, REGIONS, UNITS, WARNINGS
from catalog_folder import CITY, HONOUR, PERMIT, make_folder, spoil

from rules.ruleset import LIBRARY_DIR
from schemas.catalog import CATALOG_DIR, Catalog, CatalogError
from schemas.documents import Problem
from schemas.lint import lint
from schemas.lint.field_checks import STORE_NAMES
from sinks.clickhouse.tables import tables
from sinks.columns import STORED_META
from zhida.catalog_lint import lint_catalog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


def told(folder: Path) -> list[Problem]:
    return lint(folder).problems


def test_a_catalog_in_order_has_no_problems(folder: Path) -> None:
    assert told(folder) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[4])
def test_a_fault_is_told_with_file_line_and_both_languages(folder: Path, fault: tuple[str, ...]) -> None:
    file, old, new, zh, en, *at = fault
    line = spoil(folder, file, old, new)
    if at:
        line = (folder / file).read_text(encoding="utf-8").partition(at[0])[0].count("\n") + 1
    problems = told(folder)
    found = [one for one in problems if zh in one.zh and en in one.en and one.severity == "error"]
    assert [(one.file, one.line) for one in found] == [(str(folder / file), line)], problems


@pytest.mark.parametrize(("file", "old", "new", "zh", "en"), WARNINGS)
def test_what_is_allowed_and_hardly_meant_is_a_warning(
    folder: Path, file: str, old: str, new: str, zh: str, en: str
) -> None:
    spoil(folder, file, old, new)
    (problem,) = [one for one in told(folder) if one.severity == "warning" and zh in one.zh and en in one.en]
    assert problem.file == str(folder / file)


def test_every_fault_of_every_file_is_told_at_once(folder: Path) -> None:
    lines = {
        (DATASET, spoil(folder, DATASET, "category: 行政管理", "category: 行政管里")),
        (DATASET, spoil(folder, DATASET, "type: date", "type: dat")),
        (DATASET, spoil(folder, DATASET, "[普通, 特许]", "[普通, 特别许可的]")),
        (DATASET, spoil(folder, DATASET, "zh: 金额（元）", "zhh: 金额（元）")),
        ("datasets/praise.yaml", spoil(folder, "datasets/praise.yaml", "length: 18", "length: 17")),
        (REGIONS, spoil(folder, REGIONS, "320506,吴中区,county", "320506,吴中区,town")),
        (UNITS, spoil(folder, UNITS, "11320100014001004U", "1132010001400100")),
        ("assignments/praise.yaml", spoil(folder, "assignments/praise.yaml", "from:", "form:")),
    }
    (folder / "extensions" / "320500" / "praise.yaml").write_text("dataset: praise\nfields: []\n", encoding="utf-8")
    lines.add(("extensions/320500/praise.yaml", 2))
    found = {(one.file.removeprefix(f"{folder}/"), one.line) for one in told(folder)}
    assert lines <= found


def test_a_broken_dataset_is_not_blamed_on_those_that_build_on_it(folder: Path) -> None:
    spoil(folder, DATASET, "type: date", "type: dat")
    assert {one.file for one in told(folder)} == {str(folder / DATASET)}


def test_the_catalog_refuses_to_load_with_every_fault_and_its_place(folder: Path) -> None:
    first = spoil(folder, DATASET, "type: date", "type: dat")
    second = spoil(folder, CITY_FILE, "type: string", "type: text")
    with pytest.raises(CatalogError) as caught:
        Catalog.load(folder)
    assert f"{folder / DATASET}:{first}: " in str(caught.value)
    assert f"{folder / CITY_FILE}:{second}: " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line", "zh", "en"),
    [
        (PERMIT.encode("gbk"), 2, "像是 GBK", "looks like GBK"),
        (PERMIT.encode("utf-16"), 1, "像是 UTF-16", "looks like UTF-16"),
        (PERMIT.encode().replace(b"2026-01-31", b"2026-02-30"), 24, "不是可用的 YAML", "not usable YAML"),
        (b"code: [permit\n", 2, "不是可用的 YAML", "not usable YAML"),
        (b"code: permit\xff\n", 1, "不是 UTF-8 编码", "not UTF-8"),
        (b"- code: permit\n", 1, "应由键值对组成", "keys and values"),
        (b"", 1, "应由键值对组成", "keys and values"),
        (b"[" * 100_000, 1, "不是可用的 YAML", "not usable YAML"),
        (b"x" * 3_000_000, 1, "文件超过", "more than"),
    ],
    ids=["GBK", "UTF-16", "no such day", "open bracket", "bad byte", "a list", "empty", "deep", "huge"],
)
def test_a_file_that_cannot_be_read_is_told_as_what_it_is(
    folder: Path, content: bytes, line: int, zh: str, en: str
) -> None:
    (folder / DATASET).write_bytes(content)
    (problem,) = told(folder)
    assert (problem.file, problem.line) == (str(folder / DATASET), line)
    assert zh in problem.zh
    assert en in problem.en


def test_a_byte_order_mark_is_read_over_and_told(folder: Path) -> None:
    (folder / DATASET).write_bytes(b"\xef\xbb\xbf" + PERMIT.encode())
    (problem,) = told(folder)
    assert (problem.severity, problem.line) == ("warning", 1)
    assert "BOM" in problem.zh
    assert "permit" in Catalog.load(folder)


@pytest.mark.parametrize(
    ("name", "zh"),
    [
        ("datasets/other.yml", "应以 .yaml 结尾"),
        ("datasets/more/other.yaml", "应放在 datasets/ 下"),
        ("extensions/permit.yaml", "应放在 extensions/<地区编码>/ 下"),
        ("datasets/Permit.yaml", "只有大小写不同"),
        ("datasets/note.txt", "不会被读取"),
    ],
)
def test_a_file_that_nobody_reads_is_told(folder: Path, name: str, zh: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(HONOUR, encoding="utf-8")
    # Where case does not count, either of the two may be the one that is told.
    assert [one for one in told(folder) if zh in one.zh and one.file.lower() == str(folder / name).lower()]


@pytest.mark.parametrize(("region", "zh"), [("320599", "没有地区 '320599'"), ("320506", "吴中区是县区")])
def test_only_the_province_and_its_cities_extend(folder: Path, region: str, zh: str) -> None:
    path = folder / "extensions" / region / "praise.yaml"
    path.parent.mkdir()
    path.write_text(CITY.replace("permit", "praise"), encoding="utf-8")
    (problem,) = told(folder)
    assert problem.file == str(path)
    assert zh in problem.zh


def test_a_dataset_that_nobody_is_assigned_is_told(folder: Path) -> None:
    (folder / "assignments" / "praise.yaml").unlink()
    (problem,) = told(folder)
    assert (problem.severity, problem.file) == ("warning", str(folder / "datasets" / "praise.yaml"))


def test_a_citys_dataset_is_not_assigned_to_units_of_others(folder: Path) -> None:
    city = HONOUR.replace("sharing:", "level: extended\nregion: '320500'\nsharing:")
    (folder / "datasets" / "praise.yaml").write_text(city, encoding="utf-8")
    (problem,) = told(folder)
    assert problem.file == str(folder / "assignments" / "praise.yaml")
    assert "11320000014000028X" in problem.en


def test_names_of_the_stores_are_refused_to_fields() -> None:
    catalog = Catalog.load()
    own = {field.name for dataset in catalog for field in dataset.fields}
    stored = {name for table in tables(catalog) if table.name.startswith("records_") for name in table.columns}
    computed = {name for table in tables(catalog) for name, _, _ in table.computed}
    assert (stored - own) | computed | set(STORED_META) <= STORE_NAMES


def write_rules(folder: Path, dataset: str, *, kind: str = "required") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "_library.yaml").write_text("number: 1\nexamples: {today: 2026-06-30, units: [u], assigned: [u]}\n")
    rules = f"dataset: {dataset}\nrules:\n"
    for field in ("P_NAME", "P_NO", "P_DAY") if dataset == "permit" else ("H_NAME", "H_NO", "H_DAY"):
        value = "2026-01-31" if field.endswith("DAY") else "甲"
        rules += (
            f"  - {{id: {dataset}.{field}.{kind}, kind: {kind}, field: {field}, dimension: completeness, "
            f"severity: reject, zh: 请补充填写, en: fill it in, pass: [{{{field}: {value}}}], fail: [{{}}]}}\n"
        )
    if dataset == "permit":
        rules += (
            "  - {id: permit.P_KIND.enumeration, kind: enumeration, field: P_KIND, dimension: conformity, "
            "severity: reject, zh: 请改正类别, en: change it, pass: [{P_KIND: 普通}], fail: [{P_KIND: 无}]}\n"
        )
    (folder / f"{dataset}.yaml").write_text(rules, encoding="utf-8")


def test_rules_and_examples_are_looked_at_too(folder: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    write_rules(rules, "permit")
    (missing,) = lint_catalog(folder, rules)
    assert (missing.file, missing.line) == (str(folder / "datasets" / "praise.yaml"), 1)
    assert "没有规则文件" in missing.zh
    write_rules(rules, "praise")
    assert lint_catalog(folder, rules) == []
    line = spoil(folder, DATASET, "P_NO: 一号", "P_KIND: 无")
    wrong = lint_catalog(folder, rules)
    assert {(one.file, one.line) for one in wrong} == {(str(folder / DATASET), line)}
    assert {one.zh.split("：")[0] for one in wrong} == {
        "示例不符合规则 permit.P_NO.required",
        "示例不符合规则 permit.P_KIND.enumeration",
    }
    spoil(folder, DATASET, "P_KIND: 无", "P_KINDS: 无")
    (wrong_name,) = lint_catalog(folder, rules)
    assert "did you mean 'P_KIND'" in wrong_name.en
    spoil(folder, DATASET, "example: {P_NAME: 某公司, P_KINDS: 无, P_DAY: 2026-01-31}\n", "")
    (absent,) = lint_catalog(folder, rules)
    assert "没有示例记录" in absent.zh
    write_rules(rules, "praise", kind="requird")
    kinds = [one for one in lint_catalog(folder, rules) if one.file == str(rules / "praise.yaml")]
    assert [one.line for one in kinds] == [3, 4, 5]
    assert all("did you mean 'required'" in one.en for one in kinds)


def test_a_unit_whose_code_has_a_wrong_check_character_is_told(folder: Path) -> None:
    line = spoil(folder, UNITS, "11320100014001004U", "11320100014001004A")
    found = [one for one in lint_catalog(folder, LIBRARY_DIR) if "校验码" in one.zh]
    assert [(one.file, one.line) for one in found] == [(str(folder / UNITS), line)]


def test_the_catalog_that_comes_with_zhida_is_in_order() -> None:
    assert lint_catalog(CATALOG_DIR, LIBRARY_DIR) == []
