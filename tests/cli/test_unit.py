"""The registry of units: units are added and imported whole or not at all, and a list says what is wrong with it."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from schemas.catalog import CATALOG_DIR
from schemas.units import Units
from zhida.cli import main
from zhida.sample.identifiers import make_uscc

#: A unit of the sample province, and codes of units that are not registered.
OLD = "11320100010564360Y"
NEW, OTHER = (make_uscc("1", "2", "320100", f"0199999{number}") for number in (1, 2))
HEADER = "统一社会信用代码,单位名称,行政区划代码,条线,联系人,联系电话,Kafka 主体,公钥"
PHONE = "000-87654321"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog of the operator's own."""
    own = tmp_path / "catalog"
    for name in ("datasets", "assignments", "data", "extensions"):
        shutil.copytree(CATALOG_DIR / name, own / name)
    return own


@pytest.fixture
def unit(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """``unit("add", …)`` → exit code, output, errors of ``zhida unit add … --folder`` the fixture's."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["unit", *map(str, arguments), "--folder", str(folder)])
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return run


def registered(folder: Path) -> Units:
    return Units.load(folder / "data" / "units.csv")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def listed(tmp_path: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = tmp_path / "单位清单.csv"
    path.write_bytes("\r\n".join((header, *rows, "")).encode(encoding))
    return path


def pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_bytes(serialization.Encoding.PEM, form).decode())


def test_a_unit_is_added_with_its_principal_and_the_file_stays_in_order(unit: Command, folder: Path) -> None:
    before = registered(folder)
    code, out, _ = unit("add", NEW.lower(), "南京市示例中心", "--region", "320100", "--line", "市场监管")
    assert code == 0
    assert "zhida catalog publish" in out
    after = registered(folder)
    added = after[NEW]
    assert (added.name, added.level, added.principal) == ("南京市示例中心", "city", f"User:u-{NEW}")
    assert [one for one in after if one.code != NEW] == list(before)
    assert [(one.region, one.code) for one in after] == sorted((one.region, one.code) for one in after)


def test_a_unit_that_is_registered_is_not_added_again(unit: Command, folder: Path) -> None:
    content = (folder / "data" / "units.csv").read_bytes()
    code, out, err = unit("add", OLD, "南京市某局", "--region", "320100", "--line", "市场监管")
    assert code == 1
    assert "zhida unit import" in out.replace("\n", "")
    assert "nothing was written" in err
    assert (folder / "data" / "units.csv").read_bytes() == content


def test_without_a_folder_of_ones_own_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["unit", "add", NEW, "示例中心", "--region", "320100", "--line", "市场监管"])
    assert caught.value.code == 2
    assert "ZHIDA_CATALOG_DIR" in capsys.readouterr().err
    assert NEW not in Units.load()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_list_from_excel_adds_and_updates_in_any_encoding(
    unit: Command, folder: Path, tmp_path: Path, encoding: str
) -> None:
    old = registered(folder)[OLD]
    path = listed(
        tmp_path,
        "南京市报送单位一览,,,",
        " 单位编码*,机构名称,区划代码,部门条线（必填）,电话",
        f"{NEW},南京市䶮示例中心,３２０１００,市场监管,{PHONE}",
        f"'{OLD},{old.name},320100,市场监管,",
        header="",
        encoding=encoding,
    )
    code, out, _ = unit("import", path, "--json")
    assert code == 0
    assert lines(out) == [
        {"event": "added", "unit": NEW},
        {"event": "summary", "added": 1, "changed": 0, "unchanged": 1, "written": True},
    ]
    after = registered(folder)
    assert (after[NEW].name, after[NEW].contact_phone) == ("南京市䶮示例中心", PHONE)
    assert after[OLD] == old, "a blank cell leaves what is registered"


def test_an_import_says_which_fields_change_and_never_a_telephone_or_a_key(
    unit: Command, folder: Path, tmp_path: Path
) -> None:
    key = pem(ed25519.Ed25519PrivateKey.generate().public_key())
    old = registered(folder)[OLD]
    path = listed(tmp_path, f'{OLD},{old.name},320100,市场监管,-,{PHONE},,"{key}"')
    code, out, err = unit("import", path, "--json")
    assert code == 0
    assert lines(out)[0] == {
        "event": "changed",
        "unit": OLD,
        "fields": ["contact_name", "contact_phone", "public_key"],
    }
    after = registered(folder)[OLD]
    assert after == replace(old, contact_name="", contact_phone=PHONE, public_key=after.public_key)
    assert len(base64.b64decode(after.public_key)) == 32
    assert PHONE not in out + err
    assert after.public_key not in out + err
    assert PHONE not in repr(after)
    assert lines(unit("import", path, "--json")[1]) == [
        {"event": "summary", "added": 0, "changed": 0, "unchanged": 1, "written": False}
    ]


def test_the_example_list_of_the_documentation_can_be_imported(unit: Command, folder: Path) -> None:
    before = len(registered(folder))
    assert unit("import", CATALOG_DIR.parent / "docs" / "examples" / "units.csv")[0] == 0
    assert len(registered(folder)) == before + 2


def test_a_dry_run_writes_nothing(unit: Command, folder: Path, tmp_path: Path) -> None:
    content = (folder / "data" / "units.csv").read_bytes()
    code, out, _ = unit("import", listed(tmp_path, f"{NEW},示例中心,320100,市场监管,,,,"), "--dry-run")
    assert code == 0
    assert "1 added" in out.replace("\n", " ")
    assert (folder / "data" / "units.csv").read_bytes() == content


#: Of a fixed secret, as workers that run tests side by side must name them alike.
ELLIPTIC = base64.b64encode(
    ec.derive_private_key(7, ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
#: A row, the columns that are at fault, and something that is said.
BAD_ROWS: list[tuple[str, list[str], str]] = [
    (f"{NEW[:-1]}0,甲局,320100,市场监管,,,,", ["code"], "fails its check digits"),
    ("1.13201E+17,甲局,320100,市场监管,,,,", ["code"], "scientific notation"),
    (",甲局,320100,市场监管,,,,", ["code"], "missing"),
    (f"{NEW},,,,,,,", ["name", "region", "line"], "missing"),
    (f"{NEW},甲局,320199,市场监管,,,,", ["region"], "no such region; did you mean"),
    (f"{NEW},甲局,320100,市场监督,,,,", ["line"], "did you mean '市场监管'"),
    (f"{NEW},甲局,320100,市场监管,,无,,", ["contact_phone"], "not a telephone number"),
    (f"{NEW},甲局,320100,市场监管,,,u-1,", ["principal"], "must be User:"),
    (f"{NEW},甲局,320100,市场监管,,,User:*,", ["principal"], "must be User:"),
    (f"{NEW},甲局,320100,市场监管,,,User:u-{OLD},", ["principal"], f"that of unit {OLD}"),
    (f"{NEW},甲局,320100,市场监管,,,,abc", ["public_key"], "neither PEM nor base64"),
    (f"{NEW},甲局,320100,市场监管,,,,{ELLIPTIC}", ["public_key"], "not an Ed25519 key"),
    (f"{NEW},甲局,320100,市场监管,,,,-----BEGIN PRIVATE KEY-----", ["public_key"], "private key"),
    (f"{NEW},甲局,320100", [""], "3 cells under a header of 8"),
]


@pytest.mark.parametrize(("row", "columns", "said"), BAD_ROWS, ids=[f"{row[2]}-{row[0][-20:]}" for row in BAD_ROWS])
def test_a_bad_row_keeps_the_whole_list_out_and_is_told_with_line_and_reasons(
    unit: Command, folder: Path, tmp_path: Path, row: str, columns: list[str], said: str
) -> None:
    content = (folder / "data" / "units.csv").read_bytes()
    code, out, err = unit("import", listed(tmp_path, f"{OTHER},乙局,320100,市场监管,,,,", row), "--json")
    assert code == 1
    assert "nothing was written" in err
    (refused,) = lines(out)
    assert refused["line"] == 3
    named = [problem["column"].rpartition("(")[2].rstrip(")") for problem in refused["problems"]]
    assert named == columns
    assert said in refused["problems"][0]["en"]
    assert (folder / "data" / "units.csv").read_bytes() == content


def test_all_bad_rows_are_told_at_once_those_that_disagree_with_each_other_too(unit: Command, tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        f"{NEW},甲局,320100,市场监管,,,User:same,",
        f"{NEW},甲局,320100,市场监管,,,User:same,",
        f"{OTHER},乙局,320100,市场监管,,,User:same,",
        f"{OLD},丙局,320102,市场监管,,,,",
    )
    code, out, _ = unit("import", path, "--json")
    assert code == 1
    assert {one["line"]: one["problems"][0]["en"] for one in lines(out)} == {
        2: f"that of unit {OTHER}: every unit has its own",
        3: "the same unit as in line 2",
        4: f"that of unit {NEW}: every unit has its own",
    }


def test_a_level_must_fit_the_region_and_is_taken_from_it_when_it_is_not_given(unit: Command, tmp_path: Path) -> None:
    header = "统一社会信用代码,单位名称,行政区划代码,条线,级别"
    rows = [f"{NEW},甲局,320100,市场监管,市级", f"{OTHER},乙局,320102,市场监管,市级"]
    _, out, _ = unit("import", listed(tmp_path, *rows, header=header), "--json")
    (refused,) = lines(out)
    assert refused["line"] == 3
    assert "a county" in refused["problems"][0]["en"]


def test_a_new_line_of_departments_is_taken_when_it_is_meant(unit: Command, folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path, f"{NEW},南京海关,320100,海关,,,,")
    assert unit("import", path)[0] == 1
    assert unit("import", path, "--new-lines")[0] == 0
    assert registered(folder)[NEW].line == "海关"


def test_a_change_that_an_assignment_cannot_bear_is_refused(unit: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "assignments" / "honour.yaml").write_text(
        f"dataset: honour\nassignments: [{{units: [{OLD}], lines: [市场监管], from: 2026-01-01}}]\n", encoding="utf-8"
    )
    old = registered(folder)[OLD]
    code, _, err = unit("import", listed(tmp_path, f"{OLD},{old.name},320100,商务,,,,"))
    assert code == 1
    assert "honour.yaml:2" in err.replace("\n", "")
    assert registered(folder)[OLD] == old


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("甲,乙,丙", "没有找到表头"),
        ("单位名称,条线", "没有统一社会信用代码"),
        ("单位编码,单位名称,邮箱", "没有这些列：邮箱"),
        ("单位编码,单位编码", "同一字段出现了两列"),
    ],
)
def test_a_list_with_other_columns_is_refused_with_the_columns_that_there_are(
    unit: Command, tmp_path: Path, header: str, said: str
) -> None:
    code, _, err = unit("import", listed(tmp_path, header=header))
    assert code == 1
    assert said in err
    assert "Kafka 主体" in err


def test_units_are_found_by_what_they_must_report_and_shown_with_it(unit: Command) -> None:
    courts = lines(unit("list", "--dataset", "失信被执行人", "--limit", "1000", "--json")[1])
    assert {one["line"] for one in courts} == {"人民法院"}
    assert "contact_phone" not in courts[0]
    shown = json.loads(unit("show", courts[0]["code"], "--json")[1])
    assert "judgment_debtor" in {one["dataset"] for one in shown["assignments"]}
    assert shown["contact_phone"].startswith("000-")
    nanjing = lines(unit("list", "--region", "320100", "--line", "人民法院", "--json")[1])
    assert len(nanjing) == 12
    assert unit("show", NEW)[0] == 4


def test_the_file_that_is_written_is_read_as_it_was(unit: Command, folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path, f'{NEW},"南京市“示例”，中心",320100,市场监管,"张, 三",{PHONE},,')
    assert unit("import", path)[0] == 0
    with (folder / "data" / "units.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["code"]: row for row in csv.DictReader(file)}
    assert (rows[NEW]["name"], rows[NEW]["contact_name"]) == ("南京市“示例”，中心", "张, 三")
    assert [path.name for path in (folder / "data").iterdir() if path.name.startswith(".")] == []
