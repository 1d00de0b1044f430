"""Whatever a unit writes into a CSV or JSON file comes out of the encoded message as it was."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import ConnectorError
from connectors.file.config import FileReport
from connectors.file.csv_reader import CsvReader
from connectors.file.encoder import Encoder, Message
from connectors.file.header import Names
from connectors.file.json_reader import JsonReader
from connectors.file.rows import Row
from connectors.file.source import examine, open_text
from schemas.catalog import Catalog
from schemas.rowcodec import RowCodec
from schemas.types import FIRST_DAY, LAST_DAY

DATASET = Catalog.load()["administrative_penalty"]
CODEC = RowCodec(DATASET, 7, DATASET.avro_schema)
UNIT = "11320100010564360Y"

#: Text as people type it: Chinese, quotes, delimiters, line breaks; no characters that stand for damage.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\ufffd") | st.sampled_from("，,;\t\"'\n\r罚款（）〔〕"),
    max_size=30,
)


RECORD = st.fixed_dictionaries(
    {
        "record_id": st.from_regex(r"[A-Za-z0-9〔〕号-]{1,40}", fullmatch=True),
        "CF_SY": TEXT.map(lambda text: f"罚{text}罚"),
        "CF_NR": TEXT.map(lambda text: f"罚{text}罚"),
        "CF_JDRQ": st.dates(FIRST_DAY, LAST_DAY).map(lambda day: day.isoformat()),
        "CF_NR_FK": st.decimals(min_value=0, max_value=10**9, places=6).map(str),
        "version": st.integers(0, 2**63 - 1).map(str),
    }
)


def decoded(row: Any) -> dict[str, Any]:
    assert isinstance(row, Row)
    made = Encoder(DATASET, CODEC, UNIT, 1, 10_000_000).encode(row)
    assert isinstance(made, Message), made
    record = CODEC.decode(made.value)
    assert made.key.decode() == f"{UNIT}|{record['record_id']}"
    return record


def check(record: dict[str, str], back: dict[str, Any]) -> None:
    assert back["unit"] == UNIT
    assert back["deleted"] is False
    assert back["record_id"] == record["record_id"]
    assert str(back["version"]) == record["version"]
    assert (back["CF_SY"], back["CF_NR"]) == (record["CF_SY"], record["CF_NR"])
    assert back["CF_JDRQ"].isoformat() == record["CF_JDRQ"]
    assert f"{back['CF_NR_FK']:.6f}" == record["CF_NR_FK"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    records=st.lists(RECORD, min_size=1, max_size=5),
    delimiter=st.sampled_from(",\t;|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
    packed=st.booleans(),
)
def test_csv_rows_survive_every_delimiter_line_end_and_encoding(
    tmp_path: Path, records: list[dict[str, str]], delimiter: str, end: str, encoding: str, packed: bool
) -> None:
    text = io.StringIO(newline="")
    # Of a lone carriage return without quotes nobody can say whether it ends the row; Python's writer leaves it so.
    quoting = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL
    writer = csv.DictWriter(text, list(records[0]), delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(records)
    content = text.getvalue().encode(encoding)
    path = tmp_path / "report.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    with open_text(examine(path)) as opened:
        rows = list(CsvReader(opened.text, Names(DATASET)))
    assert len(rows) == len(records)
    for record, row in zip(records, rows, strict=True):
        check(record, decoded(row))


@given(record=RECORD)
def test_json_lines_survive(record: dict[str, str]) -> None:
    typed = record | {"version": int(record["version"])}
    rows = list(JsonReader(io.StringIO(json.dumps(typed, ensure_ascii=False) + "\n"), Names(DATASET)))
    check(record, decoded(rows[0]))


@given(st.binary(max_size=400), st.sampled_from(["a.csv", "a.jsonl", "a"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_whatever_do_more_than_being_refused(tmp_path: Path, content: bytes, name: str) -> None:
    header = ",".join(["record_id", "CF_WSH", "CF_SY", "CF_JDRQ"]).encode() + b"\n"
    for data in (content, header + content):
        path = tmp_path / name
        path.write_bytes(data)
        with contextlib.suppress(ConnectorError):
            source = examine(path)
            with open_text(source) as opened:
                names = Names(DATASET)
                reader = JsonReader(opened.text, names) if source.format == "jsonl" else CsvReader(opened.text, names)
                for row in reader:
                    if isinstance(row, Row):
                        Encoder(DATASET, CODEC, UNIT, 1, 10_000_000).encode(row)


def test_the_derived_record_id_is_the_same_on_every_run_and_holds_no_content() -> None:
    row = Row(2, {"CF_WSH": "宁罚1号", "CF_XDR_MC": "甲公司"}, ())
    first, second = (Encoder(DATASET, CODEC, UNIT, version, 10_000).encode(row) for version in (1, 2))
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert first.key == second.key
    assert first.key.decode().startswith(f"{UNIT}|k-")
    assert CODEC.decode(second.value)["version"] == 2


def test_every_setting_of_the_reporter_is_described() -> None:
    assert all(field.description for field in FileReport.model_fields.values())


@pytest.mark.parametrize("dataset", list(Catalog.load()), ids=lambda dataset: dataset.code)
def test_every_dataset_has_a_key_from_which_a_record_id_can_be_derived(dataset: Any) -> None:
    assert dataset.key
    assert dataset.by_name[dataset.key[0]].type == "string"
