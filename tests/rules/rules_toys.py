"""A small dataset and rule files written on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from rules.checks.base import JudgeContext
from rules.ruleset import DatasetRules, RuleSet
from schemas.catalog import Catalog, Dataset
from schemas.verdict import Violation

TODAY = date(2026, 6, 30)
UNIT = "11320000014000028X"
UNASSIGNED = "11320100014001004U"
CONTEXT = JudgeContext(TODAY, units=frozenset({UNIT, UNASSIGNED}), assigned=frozenset({UNIT}))

TOY = Dataset.model_validate(
    {
        "code": "toy",
        "zh": "玩具",
        "en": "Toy",
        "category": "test",
        "event_date": "DAY",
        "subject": {"uscc": "CODE", "name": "NAME"},
        "key": ["NAME"],
        "fields": [
            {"name": "NAME", "zh": "名称", "en": "Name", "type": "string", "length": 10, "pii": "name"},
            {"name": "CODE", "zh": "代码", "en": "Code", "type": "string", "length": 18},
            {"name": "KIND", "zh": "类别", "en": "Kind", "type": "string", "length": 8, "enumeration": ["甲", "乙"]},
            {"name": "TAGS", "zh": "标签", "en": "Tags", "type": "string"},
            {"name": "PAPER", "zh": "证件", "en": "Document", "type": "string", "length": 64, "pii": "id_number"},
            {"name": "PHONE", "zh": "电话", "en": "Telephone", "type": "string", "length": 20, "pii": "phone"},
            {"name": "DAY", "zh": "日期", "en": "Day", "type": "date"},
            {"name": "END", "zh": "止期", "en": "End", "type": "date"},
            {"name": "SUM", "zh": "金额", "en": "Amount", "type": "decimal"},
            {"name": "SEEN", "zh": "时间", "en": "Moment", "type": "timestamp"},
        ],
    }
)
CATALOG = Catalog({"toy": TOY})

LIBRARY = f"number: 7\nexamples: {{today: {TODAY}, units: [{UNIT}]}}\n"


def write_library(folder: Path, rules: str, dataset: str = "toy") -> Path:
    """A library whose only file has the text *rules* after its header of two lines."""
    (folder / "_library.yaml").write_text(LIBRARY, encoding="utf-8")
    (folder / f"{dataset}.yaml").write_text(f"dataset: {dataset}\nrules:\n{rules}", encoding="utf-8")
    return folder


def one_rule(folder: Path, field: str, kind: str, parameters: str = "", severity: str = "reject") -> DatasetRules:
    """The toy dataset with one rule; *parameters* in YAML flow style without braces."""
    head = f"id: toy.{field}.{kind}, kind: {kind}, field: {field}, dimension: accuracy, severity: {severity}"
    extra = f", {parameters}" if parameters else ""
    text = f'  - {{{head}, zh: "请改正该字段", en: "correct the field"{extra}}}\n'
    return RuleSet.load(CATALOG, write_library(folder, text)).dataset("toy")


def record(**values: Any) -> dict[str, Any]:
    """A record of the toy dataset: what is not given is null."""
    return dict.fromkeys(TOY.by_name) | {"unit": UNIT, "record_id": "1", "version": 1, "deleted": False} | values


def judge_both(
    rules: DatasetRules, *records: Mapping[str, Any], context: JudgeContext = CONTEXT
) -> list[tuple[Violation, ...]]:
    """The violations of each record, after making sure that rows and columns agree on them."""
    frame = pl.DataFrame(list(records), schema=rules.dataset.polars_schema)
    judgement = rules.judge_columns(frame, context)
    by_row = [rules.judge_row(record, context) for record in records]
    assert judgement.violations == {row: found for row, found in enumerate(by_row) if found}
    rejected = [row for row, found in enumerate(by_row) if any(v.severity == "reject" for v in found)]
    assert judgement.rejected == rejected
    assert judgement.suspect == [row for row, found in enumerate(by_row) if found and row not in rejected]
    return by_row
