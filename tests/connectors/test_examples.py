"""The files in docs/examples do what the pages that use them say."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from connectors.file.csv_reader import CsvReader
from connectors.file.encoder import Encoder, Message
from connectors.file.header import Names
from connectors.file.json_reader import JsonReader
from connectors.file.source import examine, open_text
from rules.checks.base import JudgeContext
from rules.ruleset import RuleSet
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.rowcodec import RowCodec
from schemas.units import Regions, Units

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
UNIT = "11320100010564360Y"


@pytest.mark.parametrize(
    ("name", "code", "wanted"),
    [
        ("penalties.csv", "administrative_penalty", ["accepted", "accepted", "rejected", "refused"]),
        ("commitments.csv", "credit_commitment", ["accepted", "accepted", "rejected"]),
        ("licences.jsonl", "administrative_licence", ["accepted", "accepted"]),
    ],
)
def test_the_example_files_hold_good_rejected_and_refused_records_as_the_pages_say(
    name: str, code: str, wanted: list[str]
) -> None:
    catalog = Catalog.load()
    dataset, rules = catalog[code], RuleSet.load(catalog).dataset(code)
    codec = RowCodec(dataset, 1, dataset.avro_schema)
    encoder = Encoder(dataset, codec, UNIT, 1_764_000_000_000, 1_000_000)
    units, day = Units.load(), date(2026, 1, 1)
    assigned = Assignments.load(catalog, units, Regions.load()).units_for(code, day)
    context = JudgeContext(day, units.codes, assigned)
    found = []
    source = examine(EXAMPLES / name)
    with open_text(source) as opened:
        reader = (JsonReader if source.format == "jsonl" else CsvReader)(opened.text, Names(dataset))
        for row in reader:
            message = encoder.encode(row)  # type: ignore[arg-type]
            if not isinstance(message, Message):
                found.append("refused")
                continue
            broken = rules.judge_row(codec.decode(message.value), context)
            # The files stay as they are; what they tell grows too old for any deadline.
            broken = tuple(violation for violation in broken if not violation.rule.endswith(".workday_deadline"))
            assert all(violation.severity == "reject" for violation in broken), broken
            found.append("rejected" if broken else "accepted")
    assert found == wanted
