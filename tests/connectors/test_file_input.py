"""Files as people really send them: what is read, what is refused alone, and what stops before anything is sent."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from reporting_samples import PENALTY, DryRun, penalty_csv

from connectors.base import ConnectorError, Wiring
from connectors.file import FileReport, report_file
from connectors.file.refused import NOTES
from schemas.catalog import Catalog
from schemas.units import Units

LABELS = {field.name: field.zh for field in Catalog.load()["administrative_penalty"].fields}
GOOD = penalty_csv([{}, {"CF_WSH": "2"}])


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (GOOD.encode(), "utf-8"),
        (codecs.BOM_UTF8 + GOOD.encode(), "utf-8-sig"),
        (GOOD.encode("gb18030"), "gb18030"),
        (GOOD.encode("gbk"), "gb18030"),
        (GOOD.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + GOOD.encode("utf-16-be"), "utf-16"),
        (GOOD.replace("\n", "\r\n").encode(), "utf-8"),
        (GOOD.replace("\n", "\r").encode(), "utf-8"),
        (GOOD.replace(",", "\t").encode("utf-16"), "utf-16"),
        (GOOD.replace(",", ";").encode(), "utf-8"),
        (GOOD.replace(",", "，").encode(), "utf-8"),
        (gzip.compress(GOOD.encode("gbk")), "gb18030"),
        (GOOD.rstrip("\n").encode(), "utf-8"),
    ],
)
def test_every_usual_encoding_and_delimiter_is_read(dry_run: DryRun, content: bytes, encoding: str) -> None:
    counts, refused = dry_run(content)
    assert (counts.sent, refused, counts.encoding) == (2, [], encoding)


@pytest.mark.parametrize(
    "title",
    [
        lambda name: name,
        lambda name: LABELS[name],
        lambda name: f" {LABELS[name]} ",
        lambda name: f"*{LABELS[name]}",
        lambda name: f"{LABELS[name]}（{name}）",
        lambda name: f"{name} {LABELS[name]}",
        lambda name: name.lower(),
        lambda name: f"{LABELS[name]}(必填)",
        lambda name: name if len(name) % 2 else LABELS[name],
    ],
)
def test_columns_are_known_by_code_by_label_and_by_both(dry_run: DryRun, title: object) -> None:
    header = [f'"{title(name)}"' for name in PENALTY]  # type: ignore[operator]
    counts, refused = dry_run(penalty_csv([{}], header=header))
    assert (counts.sent, refused) == (1, [])


def test_every_label_of_the_catalog_means_its_own_field_in_every_dataset(dry_wiring: Wiring) -> None:
    from connectors.file.header import Names

    for dataset in dry_wiring.catalog:
        names = Names(dataset)
        for field in dataset.fields:
            assert names.find(field.zh) is field, (dataset.code, field.zh)
            assert names.find(field.name) is field, (dataset.code, field.name)


def test_a_title_above_the_header_and_a_second_header_row_are_passed_over(dry_run: DryRun) -> None:
    codes, row = penalty_csv([{}]).splitlines()
    labels = ",".join(LABELS[name] for name in codes.split(","))
    counts, refused = dry_run(f"南京市行政处罚信息表{',' * 5}\n\n{labels}\n{codes}\n{row}\n")
    assert (counts.sent, refused) == (1, [])


def test_blank_lines_and_rows_of_commas_are_counted_and_not_refused(dry_run: DryRun) -> None:
    header, row = penalty_csv([{}]).splitlines()
    counts, refused = dry_run(f"{header}\n\n{row}\n{',' * (len(PENALTY) - 1)}\n   \n")
    assert (counts.sent, counts.blank, refused) == (1, 3, [])


def test_empty_columns_at_the_end_of_an_excel_export_do_no_harm(dry_run: DryRun) -> None:
    header, row = penalty_csv([{}]).splitlines()
    counts, refused = dry_run(f"{header},,,\n{row},,,\n{row.replace('1号', '2号')},,\n")
    assert counts.sent == 1
    assert [refusal.line for refusal in refused] == [3]


def test_quotes_commas_and_line_breaks_inside_cells_are_kept(dry_run: DryRun) -> None:
    rows = [PENALTY | {"CF_SY": '第一,"引"\n第二行\r\n第三行'}, PENALTY | {"CF_WSH": "2"}]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(PENALTY))
    writer.writeheader()
    writer.writerows(rows)
    counts, refused = dry_run(text.getvalue())
    assert (counts.sent, refused) == (2, [])


def test_a_quote_that_never_ends_costs_one_row_and_no_neighbour(dry_run: DryRun) -> None:
    header, row = penalty_csv([{}]).splitlines()
    rows = [row.replace("1号", f"{number}号") for number in range(20)]
    rows[5] = rows[5].replace("虚假宣传", '"虚假宣传', 1)
    counts, refused = dry_run("\n".join([header, *rows]) + "\n")
    assert counts.sent == 19
    assert [refusal.line for refusal in refused] == [7]


def test_two_rows_with_a_stray_quote_each_cost_two_rows(dry_run: DryRun) -> None:
    header, row = penalty_csv([{}]).splitlines()
    rows = [row.replace("1号", f"{number}号") for number in range(9)]
    rows[2] = rows[2].replace("虚假宣传", '"虚假宣传', 1)
    rows[6] = rows[6].replace("虚假宣传", '"虚假宣传', 1)
    counts, refused = dry_run("\n".join([header, *rows]) + "\n")
    assert (counts.sent, [refusal.line for refusal in refused]) == (7, [4, 8])


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("length", [17_000_000, 200_000])
def test_a_field_of_50_megabytes_is_refused_and_the_next_rows_are_read(
    dry_run: DryRun, quote: str, length: int
) -> None:
    header, row = penalty_csv([{}]).splitlines()
    huge = row.replace("在网页上作虚假宣传", quote + "长" * length + quote)
    counts, refused = dry_run("\n".join([header, huge, row.replace("1号", "2号")]) + "\n")
    assert (counts.sent, [refusal.line for refusal in refused]) == (1, [2])
    assert "131072" in refused[0].problems[0].zh


def test_a_record_over_the_byte_limit_is_refused_with_its_size(dry_run: DryRun) -> None:
    counts, refused = dry_run(penalty_csv([{"CF_SY": "长" * 40_000}, {"CF_WSH": "2"}]), max_record_bytes=100_000)
    assert counts.sent == 1
    assert "100000" in refused[0].problems[0].zh


@pytest.mark.parametrize("change", [lambda row: row + ",多余", lambda row: row.rsplit(",", 1)[0]])
def test_a_row_with_too_many_or_too_few_cells_is_refused_alone(dry_run: DryRun, change: object) -> None:
    header, row = penalty_csv([{}]).splitlines()
    ragged = change(row)  # type: ignore[operator]
    counts, refused = dry_run(f"{header}\n{ragged}\n{row}\n")
    assert (counts.sent, [refusal.line for refusal in refused]) == (1, [2])


def test_every_bad_cell_of_a_row_is_named_with_line_column_value_and_reason(dry_run: DryRun) -> None:
    counts, refused = dry_run(penalty_csv([{"CF_WSH": "0"}, {"CF_JDRQ": "去年", "CF_NR_FK": "一万"}]))
    assert (counts.read, counts.sent, counts.refused) == (2, 1, 1)
    assert refused[0].line == 3
    assert {(problem.column.split()[-1], problem.value) for problem in refused[0].problems} == {
        ("CF_JDRQ", "去年"),
        ("CF_NR_FK", "一万"),
    }
    assert all(problem.zh and problem.en for problem in refused[0].problems)


def test_personal_numbers_are_masked_in_what_is_shown(dry_run: DryRun) -> None:
    _, refused = dry_run(penalty_csv([{"CF_XDR_ZJHM": "32010219900101123\0"}]))
    assert "19900101" not in refused[0].problems[0].value


def test_a_damaged_character_costs_its_row_and_does_not_change_the_encoding(dry_run: DryRun) -> None:
    lines = penalty_csv([{"CF_WSH": str(number)} for number in range(5)]).encode().splitlines(keepends=True)
    lines[3] = lines[3].replace("南京".encode(), "南京".encode()[:-1], 1)
    counts, refused = dry_run(b"".join(lines))
    assert (counts.encoding, counts.sent, [refusal.line for refusal in refused]) == ("utf-8", 4, [4])


def test_a_gbk_file_with_a_damaged_row_stays_gbk(dry_run: DryRun) -> None:
    lines = penalty_csv([{"CF_WSH": str(number)} for number in range(5)]).encode("gbk").splitlines(keepends=True)
    lines[2] = lines[2].replace("南京".encode("gbk"), b"\xff\xff", 1)
    counts, refused = dry_run(b"".join(lines))
    assert (counts.encoding, counts.sent, [refusal.line for refusal in refused]) == ("gb18030", 4, [3])


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.xlsx", b"PK\x03\x04rest", "Excel"),
        ("a.csv", b"PK\x03\x04rest", "Excel"),
        ("a.xls", b"\xd0\xcf\x11\xe0rest", "Excel"),
        ("a.csv", b"", "空文件"),
        ("a.csv", b"\n\n  \n", "空文件"),
        ("a.csv", b"\x00\x01\x02", "零字节"),
        ("a.csv", b"\xff\xfa\xff\xfb\n\x80\x81", "编码"),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:40], "gzip"),
        ("a.csv", "第一行,就是,数据\n1,2,3\n".encode(), "表头"),
        ("a.json", b'[{"a": 1}]', "JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole_with_a_remedy(
    dry_run: DryRun, name: str, content: bytes, word: str
) -> None:
    with pytest.raises(ConnectorError) as caught:
        dry_run(content, name)
    assert word in caught.value.message_zh
    assert caught.value.remedy


def test_unknown_columns_are_named_with_the_field_that_was_meant(dry_run: DryRun) -> None:
    header = [*list(PENALTY)[:-1], "数据来源单位信用代码"]
    with pytest.raises(ConnectorError) as caught:
        dry_run(penalty_csv([{}], header=header))
    assert "CF_SJLYDM" in caught.value.message_en


def test_two_columns_for_one_field_are_refused(dry_run: DryRun) -> None:
    header, row = penalty_csv([{}]).splitlines()
    with pytest.raises(ConnectorError) as caught:
        dry_run(f"{header},{LABELS['CF_WSH']}\n{row},2\n")
    assert "CF_WSH" in caught.value.message_en


def test_a_missing_required_column_is_named_unless_it_is_allowed(dry_run: DryRun) -> None:
    without = penalty_csv([{}], header=list(PENALTY)).replace("CF_CFLB,", "", 1).replace("罚款,", "", 1)
    with pytest.raises(ConnectorError) as caught:
        dry_run(without)
    assert "CF_CFLB" in caught.value.message_zh
    assert dry_run(without, allow_missing=True)[0].sent == 1


def test_records_can_be_withdrawn_by_id_alone(dry_run: DryRun) -> None:
    counts, refused = dry_run("记录编号,是否删除\nA-1,是\nA-2,true\n")
    assert (counts.sent, refused) == (2, [])


def test_columns_marked_with_a_hash_are_left_out(dry_run: DryRun) -> None:
    header, row = penalty_csv([{}]).splitlines()
    counts, _ = dry_run(f"#序号,{header},#备注\n1,{row},内部\n")
    assert counts.sent == 1


def test_the_same_row_twice_is_refused_when_nothing_tells_the_records_apart(dry_run: DryRun) -> None:
    counts, refused = dry_run(penalty_csv([{}, {"CF_NR": "另一内容"}]))
    assert counts.sent == 1
    assert "第 2 行" in refused[0].problems[0].zh


def test_the_same_record_id_twice_is_a_correction_unless_the_version_is_the_same(dry_run: DryRun) -> None:
    counts, _ = dry_run(penalty_csv([{"record_id": "A"}, {"record_id": "A"}]))
    assert counts.sent == 2
    counts, refused = dry_run(
        penalty_csv(
            [{"record_id": "A", "version": "3"}, {"record_id": "A", "version": "3"}, {"record_id": "A", "version": "4"}]
        )
    )
    assert (counts.sent, [refusal.line for refusal in refused]) == (2, [3])


@pytest.mark.parametrize(
    "row",
    [
        {"unit": "11320100MB0000001A"},
        {"record_id": "x" * 65},
        {"record_id": "a\x07b"},
        {"version": "-1", "record_id": "A"},
        {"version": "1.5", "record_id": "A"},
        {"deleted": "也许", "record_id": "A"},
        {"CF_WSH": ""},
    ],
)
def test_a_wrong_envelope_is_refused(dry_run: DryRun, row: dict[str, str]) -> None:
    counts, refused = dry_run(penalty_csv([row]))
    assert (counts.sent, len(refused)) == (0, 1)


def test_an_unknown_unit_is_refused_before_the_file_is_read(dry_run: DryRun, unit: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        dry_run(GOOD, unit=unit[:-1] + ("A" if unit[-1] != "A" else "B"))
    assert unit in caught.value.message_en


def test_json_lines_are_read_with_codes_or_labels(dry_run: DryRun) -> None:
    by_label = {LABELS[name]: value for name, value in PENALTY.items()} | {"罚款金额（万元）": 1.5}
    lines = [json.dumps(PENALTY | {"CF_WSH": "2"}), "", json.dumps(by_label, ensure_ascii=False)]
    counts, refused = dry_run("\n".join(lines), "a.jsonl")
    assert (counts.sent, counts.blank, refused, counts.format) == (2, 1, [], "jsonl")


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "1", '"text"', '{"a": NaN}', '{"CF_WSH": "1", "CF_WSH": "2"}', '{"CF_WHS": "1"}', "null",
        '{"CF_WSH": {"a": 1}}', '{"CF_WSH": "1", "行政处罚决定书文号": "2"}', '{"CF_NR_FK": 1e999999999}',
        '{"CF_WSH": "\\ud800"}', "9" * 5000, '{"version": ' + "9" * 5000 + "}", "[" * 100_000,
        '{"a":"' + "x" * 2_000_000 + '"}',
    ],
)  # fmt: skip
def test_a_bad_json_line_is_refused_alone(dry_run: DryRun, line: str) -> None:
    good, other = json.dumps(PENALTY), json.dumps(PENALTY | {"CF_WSH": "2"})
    counts, refused = dry_run(f"{good}\n{line}\n{other}\n", "a.jsonl")
    assert (counts.sent, [refusal.line for refusal in refused]) == (2, [2])


def test_refused_rows_can_be_corrected_in_the_errors_file_and_reported(
    dry_run: DryRun, tmp_path: Path, units: Units
) -> None:
    errors = tmp_path / "errors.csv"
    dry_run(penalty_csv([{"CF_WSH": "0"}, {"CF_JDRQ": "去年"}]), errors=errors)
    text = errors.read_text(encoding="utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:3] == list(NOTES)
    assert rows[1][0] == "3"
    assert "CF_JDRQ" in rows[1][1]
    assert errors.stat().st_mode & 0o077 == 0
    counts, refused = dry_run(text.replace("去年", "2023-06-01"), "corrected.csv")
    assert (counts.sent, refused) == (1, [])


def test_no_errors_file_is_left_where_nothing_was_refused(dry_run: DryRun, tmp_path: Path) -> None:
    dry_run(GOOD, errors=tmp_path / "errors.csv")
    assert not (tmp_path / "errors.csv").exists()


def test_the_reported_file_is_never_overwritten_by_its_errors(dry_run: DryRun, tmp_path: Path) -> None:
    with pytest.raises(ConnectorError):
        dry_run(GOOD, errors=tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text(encoding="utf-8") == GOOD


def test_a_missing_file_is_said(dry_wiring: Wiring, unit: str, tmp_path: Path) -> None:
    config = FileReport(dataset="administrative_penalty", unit=unit, path=tmp_path / "no.csv", dry_run=True)
    with pytest.raises(ConnectorError):
        report_file(config, dry_wiring)
