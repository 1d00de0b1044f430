"""Catalog lint: one fault at a time is told with file, line and a sentence in both languages; many are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalog_folder import CITY, HONOUR, PERMIT, make_folder, spoil

from rules.ruleset import LIBRARY_DIR
from schemas.catalog import CATALOG_DIR, Catalog, CatalogError
from schemas.documents import Problem
from schemas.lint import lint
from schemas.lint.field_checks import STORE_NAMES
from sinks.clickhouse.tables import tables
from sinks.columns import STORED_META
from zhida.catalog_lint import lint_catalog

DATASET, CITY_FILE = "datasets/permit.yaml", "extensions/320500/permit.yaml"
ASSIGNMENT = "assignments/permit.yaml"
REGIONS, UNITS = "data/regions.csv", "data/units.csv"

#: File, what stands there, what is put in its place, and what is said (Chinese, English); where it is said of another
#: line than the one that is changed, what stands on that line.
FAULTS: list[tuple[str, ...]] = [
    # -- form
    (
        DATASET,
        "category: 行政管理",
        "categorie: 行政管理",
        "不认识的键 'categorie'（是否为 category？）",
        "did you mean 'category'?",
    ),
    (DATASET, "zh: 类别, en: Kind", "zh: 类别, enn: Kind", "不认识的键 'enn'（是否为 en？）", "unknown key 'enn'"),
    (DATASET, "type: date", "type: dat", "未知的类型 'dat'（是否为 date？）", "unknown type 'dat'"),
    (DATASET, "name: P_KIND", "name: P-KIND", "不符合格式", "name: String should match pattern"),
    (DATASET, "[普通, 特许]", "[是, no]", "应为文本", "valid string"),
    (DATASET, "update_cycle: daily", "update_cycle: dayly", "应为 'realtime'", "Input should be 'realtime'"),
    (DATASET, "deadline_workdays: 7", "deadline_workdays: -1", "不能小于 0", "greater than or equal to 0"),
    (DATASET, "deadline_workdays: 7", "deadline_workdays: 七", "应为整数", "valid integer"),
    (DATASET, "code: permit", "code: permits", "应与文件名 'permit' 相同", "must equal the file's name"),
    (DATASET, "owner: 省信用中心", "zh: 省信用中心", "键 'zh' 出现两次", "key 'zh' twice"),
    (DATASET, "owner: 省信用中心", "\towner: 省信用中心", "缩进请用空格", "indent with blanks"),
    (
        DATASET,
        "event_date: P_DAY",
        "event_date: P_DAYS",
        "没有这个字段：'P_DAYS'（是否为 P_DAY？）",
        "unknown field 'P_DAYS'",
    ),
    (DATASET, "key: [P_NO]", "key: [P_NR]", "没有这个字段：'P_NR'（是否为 P_NO？）", "did you mean 'P_NO'?"),
    (
        DATASET,
        "subject: {uscc: P_USCC, id_number: P_ID, name",
        "subject: {name",
        "由哪个字段识别主体",
        "names nobody",
        "subject:",
    ),
    (
        DATASET,
        "owner: 省信用中心",
        "region: '320500'",
        "基础目录的数据集不属于某一地区",
        "belongs to no region",
        "region:",
    ),
    # -- the dataset
    (DATASET, "category: 行政管理", "category: 行政管里", "不是国家基础目录的类别", "no national category"),
    (
        DATASET,
        "category: 行政管理",
        "level: extended\ncategory: 行政管理\nregion: '320599'",
        "没有地区 320599",
        "no region",
        "region: '320599'",
    ),
    (
        DATASET,
        "category: 行政管理",
        "level: extended\ncategory: 行政管理\nregion: '320506'",
        "吴中区不是设区市",
        "no city",
        "region: '320506'",
    ),
    (DATASET, "contact: 025-12345678", "contact: 老王", "联系方式应为电话或电子邮箱", "must be a telephone number"),
    (DATASET, "sharing: public", "sharing: government", "不应写公示期", "no publicity period", "publicity_months"),
    (DATASET, "event_date: P_DAY", "event_date: P_NO", "event_date 应为日期字段", "event_date must be a date"),
    (
        DATASET,
        "zh: 决定日期, en: Day, type: date, required: true",
        "zh: 决定日期, en: Day, type: date",
        "应为必填",
        "must be required",
        "event_date:",
    ),
    (DATASET, "key: [P_NO]", "key: [P_KIND, P_NO]", "key 的第一个字段 P_KIND 应为必填", "first field of key"),
    (DATASET, "key: [P_NO]", "key: [P_NO, P_ID]", "key 不能用个人信息字段 P_ID", "no personal number in key"),
    (DATASET, "key: [P_NO]", "key: [P_NO, P_NO]", "key 中 P_NO 重复", "P_NO twice in key"),
    (DATASET, "uscc: P_USCC,", "uscc: P_NAME,", "长度应为 18", "has 18 characters"),
    (DATASET, "id_number: P_ID,", "id_number: P_NO,", "应标注 pii: id_number", "needs pii: id_number"),
    (DATASET, "name: P_NAME}", "name: P_USCC}", "P_USCC 已用作 uscc", "already the subject's uscc"),
    # -- fields
    (DATASET, "name: P_KIND", "name: subject", "由平台自用", "belongs to the platform itself"),
    (DATASET, "name: P_KIND", "name: zhida_kind", "由平台自用", "belongs to the platform itself"),
    (DATASET, "name: P_KIND", "name: version", "信封字段", "is of the envelope"),
    (DATASET, "name: P_KIND", "name: p_no", "与 P_NO 只有大小写不同", "differs from P_NO in case alone"),
    (DATASET, "zh: 类别", "zh: 文 号", "与字段 P_NO（文号）同名", "could not be told apart"),
    (DATASET, "zh: 类别", "zh: 记录编号", "与字段 record_id（记录编号）同名", "same as record_id"),
    (DATASET, "zh: 类别", "zh: kind", "中没有汉字", "zh has no Chinese character"),
    (DATASET, "en: Kind", "en: 类别", "英文名称中有汉字", "en has Chinese characters"),
    (DATASET, "zh: 类别", "zh: ' '", "zh 为空", "zh is blank"),
    (DATASET, "zh: 类别", "zh: '#类别'", "不能以 # 开头", "cannot begin with #"),
    (DATASET, "en: Kind, type: string, length: 4", "en: Kind, type: string", "没有长度", "has no length"),
    (
        DATASET,
        "en: Amount, type: decimal",
        "en: Amount, type: decimal, length: 9",
        "没有长度，只有文本才有",
        "only text has a length",
    ),
    (DATASET, "length: 4", "length: 0", "长度应在 1 至", "must be between 1 and"),
    (DATASET, "[普通, 特许]", "[普通, 特别许可的]", "有 5 个字，超过长度 4", "has 5 characters, the length is 4"),
    (DATASET, "[普通, 特许]", "[普通, 特许, 普通]", "枚举值 '普通' 与 '普通' 相同", "is the same as '普通'"),
    (DATASET, "[普通, 特许]", "[普通, ' 特许']", "前后有空格", "blanks around it"),
    (
        DATASET,
        "en: Amount, type: decimal",
        "en: Amount, type: decimal, enumeration: ['1']",
        "只有文本字段可以有枚举",
        "only text is enumerated",
    ),
    (
        DATASET,
        "en: Identity number, type: string, length: 18, pii: id_number",
        "en: Identity number, type: string, length: 18",
        "像是个人信息，请标注 pii: id_number",
        "looks personal",
    ),
    (
        DATASET,
        "zh: 类别, en: Kind, type: string, length: 4, enumeration: [普通, 特许]",
        "zh: 联系电话, en: Call, type: string, length: 40",
        "请标注 pii: phone",
        "give it pii: phone",
    ),
    (DATASET, "en: Amount, type: decimal", "en: Amount, type: decimal, pii: phone", "无法遮盖", "cannot be masked"),
    (
        DATASET,
        "en: Number, type: string",
        "en: Number, region: '320500', type: string",
        "写在 extensions/<地区编码>/ 中",
        "stand in extensions/",
    ),
    (
        "datasets/praise.yaml",
        "en: Number, type: string",
        "en: Number, sharing: public, type: string",
        "比数据集的 authorised 更宽",
        "shared more widely",
    ),
    ("datasets/praise.yaml", "zh: 表扬\n", "zh: 许可\n", "中文名称 '许可' 与", "Chinese title '许可' is the same as"),
    ("datasets/praise.yaml", "en: Praise", "en: PERMIT", "过于相似", "too much like"),
    # -- extensions
    (CITY_FILE, "dataset: permit", "dataset: permits", "dataset 应为 'permit'", "dataset must be 'permit'"),
    (CITY_FILE, "name: P_CITY", "name: P_NO", "字段 P_NO 已由基础目录定义", "already defined by the base item"),
    (CITY_FILE, "name: P_CITY", "name: p_day", "字段 p_day 已由基础目录定义", "already defined by the base item"),
    (CITY_FILE, "zh: 市内编号", "zh: 文号", "与字段 P_NO（文号）同名", "could not be told apart"),
    (CITY_FILE, "length: 10", "length: 10, required: true", "扩展字段 P_CITY 不能为必填", "cannot be required"),
    (CITY_FILE, "length: 10", "length: 10, region: '320500'", "地区由文件夹决定", "the folder says the region"),
    (CITY_FILE, "type: string", "type: text", "未知的类型 'text'", "unknown type 'text'"),
    # -- assignments
    (ASSIGNMENT, "levels: [province, city, county]", "lines: [乙]", "没有单位属于条线", "no unit is of the line"),
    (ASSIGNMENT, "dataset: permit", "dataset: permits", "dataset 应为 'permit'", "dataset must be 'permit'"),
    (ASSIGNMENT, "from: 2026-01-01", "form: 2026-01-01", "不认识的键 'form'", "unknown key 'form'"),
    # -- tables
    (
        REGIONS,
        "320506,吴中区,county,320500",
        "320506,吴中区,county,320000",
        "上级地区 320000 的级别应为 city",
        "must be a city",
    ),
    (REGIONS, "320506,吴中区,county,320500", "32050,吴中区,county,320500", "应为 6 位数字", "has 6 digits"),
    (REGIONS, "320506,吴中区,county,320500", "320506,吴中区,town,320500", "级别应为", "level must be one of"),
    (REGIONS, "320506,吴中区,county,320500", "320506,吴中区,county", "应有 4 列", "there must be 4 columns"),
    (
        REGIONS,
        "320506,吴中区,county,320500",
        "320506,吴中区,county,320500\n320506,吴中,county,320500",
        "与第 4 行重复",
        "is in line 4 already",
        "320506,吴中,",
    ),
    (
        UNITS,
        "code,name,region,level,line",
        "code,name,area,level,line",
        "缺少：region；不认识：'area'",
        "missing: region",
        "code,name",
    ),
    (UNITS, "11320100014001004U", "1132010001400100", "应为 18 位统一社会信用代码", "USCC of 18 characters"),
    (UNITS, "苏州市甲局,320500", "苏州市甲局,320509", "没有地区 '320509'", "no region '320509'"),
    (UNITS, "320500,city", "320500,county", "级别 'county' 与地区不符", "but 苏州市 is a city"),
]

WARNINGS: list[tuple[str, str, str, str, str]] = [
    (DATASET, "owner: 省信用中心\ncontact: 025-12345678\n", "", "没有写明由哪个单位解答", "no owner"),
    (DATASET, "department_line: 甲\n", "", "没有写明报送条线", "no department_line"),
    (DATASET, "deadline_workdays: 7\n", "", "没有报送时限", "no deadline_workdays"),
    (DATASET, "key: [P_NO]\n", "", "没有 key", "no key"),
    (
        DATASET,
        "subject: {uscc: P_USCC, id",
        "subject: {id",
        "只涉及自然人的数据集设为公示",
        "natural persons is public",
    ),
    (DATASET, "type: date, required", "type: string, length: 10, required", "像是日期", "looks like a date"),
    (DATASET, "zh: 金额（元）", "zh: 金额", "没有写单位", "says no unit"),
    (CITY_FILE, "basis: 某市规定\n", "", "没有写明依据", "no basis"),
]


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
