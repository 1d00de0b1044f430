"""Valid records of every dataset: of the sample province where it has them, else varied from the catalog's example."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any

from rules.checks.base import JudgeContext
from rules.records import record_of
from rules.ruleset import DatasetRules
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.units import Regions, Units
from zhida.sample.records import MAKERS, make_valid
from zhida.sample.words import Words
from zhida.sample.world import World

TODAY = date(2026, 6, 30)
#: So many differ in more than their codes and numbers.
_VARIANTS = 300
_FAULTY_SHARE = 0.05

Record = dict[str, Any]


class Records:
    """What records are made of."""

    def __init__(self, catalog: Catalog, rows: int) -> None:
        self._units = Units.load()
        regions = Regions.load()
        self._assignments = Assignments.load(catalog, self._units, regions)
        self._world = World(rows, regions, self._units, self._assignments, Words.load(), TODAY, Random(6))
        self._rows = rows

    def context(self, code: str) -> JudgeContext:
        """The day, and who may report the dataset."""
        return JudgeContext(TODAY, self._units.codes, self._assignments.units_for(code, TODAY))

    def valid(self, rules: DatasetRules) -> list[Record]:
        """Records that break no rule, or few of them one."""
        random = Random(7)
        if rules.dataset.code in MAKERS:
            return [make_valid(rules.dataset.code, self._world, random)[0] for _ in range(self._rows)]
        variants = list(self._variants(rules, random))
        codes = [field for field in self._coded(rules) if variants[0][field]]
        population = self._world.population
        made = []
        for number in range(self._rows):
            record = {**random.choice(variants), "record_id": str(number), "version": 1}
            subject = population.pick(population.organisations, random).uscc
            made.append({**record, **dict.fromkeys(codes, subject)})
        return made

    def _variants(self, rules: DatasetRules, random: Random) -> Iterator[Record]:
        """The example with values from passing examples of rules, as long as no rule is broken."""
        context = self.context(rules.dataset.code)
        units = sorted(context.assigned)
        values: dict[str, list[Any]] = {}
        for rule in rules.rules:
            for example in rule.passes:
                record = record_of(example, rules.dataset)
                for name, written in example.items():
                    # Texts of the greatest length are rare in reality; what is given is not of the record.
                    if not isinstance(written, dict | list):
                        values.setdefault(name, []).append(record[name])
        sent = {"unit": units[0], "record_id": "1", "version": 1}
        first = record_of({**rules.dataset.example, **sent}, rules.dataset)
        for _ in range(min(_VARIANTS, self._rows)):
            record = {**first, "unit": random.choice(units)}
            for field in rules.dataset.business_fields:
                changed = {**record, field.name: random.choice(values.get(field.name, [record[field.name]]))}
                if not rules.judge_row(changed, context):
                    record = changed
            yield record

    @staticmethod
    def _coded(rules: DatasetRules) -> set[str]:
        """The field with the code of whom a record is about."""
        subject = rules.dataset.subject.uscc
        return {rule.field for rule in rules.rules if rule.kind == "uscc" and rule.field == subject}


def spoiled(rules: DatasetRules, records: list[Record]) -> list[Record]:
    """The same with a share of them spoiled in one field each."""
    random = Random(8)
    names = [field.name for field in rules.dataset.business_fields]
    return [{**record, random.choice(names): None} if random.random() < _FAULTY_SHARE else record for record in records]
