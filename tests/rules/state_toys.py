"""Three small datasets that refer to one another, and what the state says to sequences of their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rules_toys import CONTEXT, LIBRARY, TODAY, UNIT

from rules.ruleset import RuleSet
from rules.state.definitions import StatePlan, Texts
from rules.state.memory import MemoryState
from rules.state.texts import TextMaker
from schemas.catalog import Catalog, Dataset

_COMMON = {"category": "test", "event_date": "DAY", "key": ["NUMBER"]}
_DAY = {"name": "DAY", "zh": "日期", "en": "Day", "type": "date"}

PERSON = Dataset.model_validate(
    {
        **_COMMON,
        "code": "person",
        "zh": "主体",
        "en": "Subject",
        "key": ["CODE"],
        "subject": {"uscc": "CODE", "name": "NAME"},
        "fields": [
            {"name": "CODE", "zh": "代码", "en": "Code", "type": "string", "length": 18},
            {"name": "NAME", "zh": "名称", "en": "Name", "type": "string", "length": 200},
            {"name": "HEAD", "zh": "负责人", "en": "Head", "type": "string", "length": 50, "pii": "name"},
            {"name": "STATE", "zh": "状态", "en": "State", "type": "string", "enumeration": ["存续", "注销"]},
            {"name": "CAPITAL", "zh": "资本", "en": "Capital", "type": "decimal"},
            _DAY,
        ],
    }
)
LICENCE = Dataset.model_validate(
    {
        **_COMMON,
        "code": "licence",
        "zh": "许可",
        "en": "Licence",
        "subject": {"uscc": "WHO", "name": "WHO_NAME"},
        "fields": [
            {"name": "WHO", "zh": "代码", "en": "Code", "type": "string", "length": 18},
            {"name": "WHO_NAME", "zh": "名称", "en": "Name", "type": "string", "length": 200},
            {"name": "NUMBER", "zh": "文号", "en": "Number", "type": "string", "length": 64},
            {"name": "OFFICE", "zh": "机关", "en": "Office", "type": "string", "length": 18},
            {"name": "FEE", "zh": "费用", "en": "Fee", "type": "decimal"},
            {"name": "PAGES", "zh": "页数", "en": "Pages", "type": "long"},
            {"name": "NOTE", "zh": "备注", "en": "Note", "type": "string"},
            _DAY,
        ],
    }
)
CATALOG = Catalog({"person": PERSON, "licence": LICENCE})


def write_rules(folder: Path, rules: str) -> Path:
    """A library with *rules* (YAML, after the header) of the toy licence, and none of the toy subject."""
    (folder / "_library.yaml").write_text(LIBRARY, encoding="utf-8")
    (folder / "licence.yaml").write_text(f"dataset: licence\nrules:\n{rules}", encoding="utf-8")
    return folder


def a_rule(field: str, kind: str, parameters: str = "", examples: str = "") -> str:
    """One suspect rule of the toy licence in YAML; *parameters* and *examples* in flow style."""
    head = f"id: licence.{field}.{kind}, kind: {kind}, field: {field}, dimension: consistency, severity: suspect"
    rest = "".join(f", {part}" for part in (parameters, examples) if part)
    return f'  - {{{head}, zh: "请核对：{{found}}", en: "check it: {{found}}"{rest}}}\n'


def load(folder: Path, rules: str) -> RuleSet:
    """The rule set with *rules*; raises RuleError."""
    return RuleSet.load(CATALOG, write_rules(folder, rules))


def record(dataset: Dataset, record_id: str, **values: Any) -> dict[str, Any]:
    """A record of a toy dataset: what is not given is null."""
    return dict.fromkeys(dataset.by_name) | {
        "unit": UNIT,
        "record_id": record_id,
        "version": 1,
        "deleted": False,
        **values,
    }


class Course:
    """Records one after another, in texts of single records and of columns alike, each with a state of its own."""

    def __init__(self, rule_set: RuleSet) -> None:
        self.rules = rule_set.dataset("licence")
        self._plans = {"licence": rule_set.plan("licence"), "person": self._of_person(rule_set)}
        self._makers = {code: TextMaker(plan) for code, plan in self._plans.items()}
        self._states = MemoryState(), MemoryState()
        self._offset = 0

    @staticmethod
    def _of_person(rule_set: RuleSet) -> StatePlan:
        asked = rule_set.plan("licence").questions
        return StatePlan(PERSON, tuple(dict.fromkeys(one.index for one in asked if one.index.dataset == "person")))

    def come(self, dataset: Dataset, *records: Mapping[str, Any]) -> list[dict[str, str]]:
        """One batch comes; for each of its records the English messages by rule, after both ways have agreed."""
        offsets = range(self._offset, self._offset + len(records))
        self._offset += len(records)
        maker, plan = self._makers[dataset.code], self._plans[dataset.code]
        frame = pl.DataFrame(list(records), schema=dataset.polars_schema)
        texts: tuple[Texts, Texts] = (
            maker.rows(records, offsets, TODAY),
            maker.columns(frame, offsets, TODAY),
        )
        by_row, by_column = (
            state.ask(plan, dataset.report_topic, 0, one) for state, one in zip(self._states, texts, strict=True)
        )
        assert by_row == by_column
        return [self._judged(one, by_row.found.get(row, {}), plan) for row, one in enumerate(records)]

    @property
    def due(self) -> set[int]:
        """Offsets of the messages that have to be judged again."""
        assert self._states[0].due == self._states[1].due
        return {offset for _, _, offset in self._states[0].due}

    def _judged(self, one: Mapping[str, Any], found: Mapping[int, Sequence[str]], plan: StatePlan) -> dict[str, str]:
        if plan.dataset is PERSON:
            return {}
        answers = {plan.questions[number].name: tuple(what) for number, what in found.items()}
        violations = self.rules.judge_answers(one, answers, CONTEXT)
        return {violation.rule.removeprefix("licence."): violation.message_en for violation in violations}
