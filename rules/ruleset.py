"""The rule library in force: loaded, versioned, and ready to judge batches of columns or single records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from rules.checks.base import JudgeContext
from rules.columns import ColumnRules
from rules.document import RuleDocument
from rules.errors import RuleError
from rules.loader import read_library
from rules.masking import shown
from rules.model import LibraryFile, Rule
from rules.rows import RowFunction, compile_rows
from schemas.catalog import Catalog, Dataset
from schemas.verdict import Violation

LIBRARY_DIR = Path(__file__).parent / "library"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a batch breaks; rows are numbered from 0. Rows that are in neither list break nothing."""

    violations: dict[int, tuple[Violation, ...]]
    rejected: list[int]
    suspect: list[int]


class DatasetRules:
    """The rules of one dataset. Both ways of judging give the same violations, in library order.

    Use an instance from one thread at a time.
    """

    def __init__(self, dataset: Dataset, rules: tuple[Rule, ...]) -> None:
        self.dataset = dataset
        self.rules = rules
        self._row: RowFunction = compile_rows(dataset, rules)
        self._nulls: dict[str, Any] = {field.name: None for field in dataset.fields}
        self._columns: tuple[JudgeContext, ColumnRules] | None = None

    def judge_row(self, record: Mapping[str, Any], context: JudgeContext) -> tuple[Violation, ...]:
        """Every rule that *record* breaks; fields that it does not have count as null."""
        try:
            broken = self._row(record, context)
        except KeyError:
            record = {**self._nulls, **record}
            broken = self._row(record, context)
        if broken is None:
            return ()
        return tuple(self._violation(number, record[self.rules[number].field]) for number in broken)

    def judge_columns(self, frame: pl.DataFrame, context: JudgeContext) -> Judgement:
        """Every rule that each row of *frame* (columns as in ``Dataset.polars_schema``) breaks."""
        found: dict[int, list[Violation]] = {}
        rejected: set[int] = set()
        for broken in self._compiled(context).broken(frame):
            for row, value in zip(broken.rows, broken.values, strict=True):
                found.setdefault(row, []).append(self._violation(broken.number, value))
            if self.rules[broken.number].severity == "reject":
                rejected.update(broken.rows)
        return Judgement(
            {row: tuple(found[row]) for row in sorted(found)},
            rejected=sorted(rejected),
            suspect=sorted(found.keys() - rejected),
        )

    def undecided(self, context: JudgeContext) -> Iterator[tuple[str, str]]:
        """Each rule that cannot decide everything on the context's day, and what; nothing breaks it there."""
        for rule in self.rules:
            if reason := rule.undecided(context):
                yield rule.id, reason

    def _compiled(self, context: JudgeContext) -> ColumnRules:
        """Expressions hold the day and the units, so they are compiled again when one of these changes."""
        if self._columns is None or self._columns[0] != context:
            self._columns = (context, ColumnRules(self.dataset, self.rules, context))
        return self._columns[1]

    def _violation(self, number: int, value: Any) -> Violation:
        rule = self.rules[number]
        pii = self.dataset.by_name[rule.field].pii
        return Violation(rule.id, rule.dimension, rule.severity, rule.field, shown(value, pii), rule.zh, rule.en)


class RuleSet:
    """All rules in force, by dataset. Immutable; ``version`` names it in every verdict."""

    def __init__(self, library: LibraryFile, catalog: Catalog, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        self.number = library.number
        self.examples = library.examples
        self._datasets = {code: DatasetRules(catalog[code], found) for code, found in rules.items()}

    @classmethod
    def load(cls, catalog: Catalog, folder: Path = LIBRARY_DIR) -> RuleSet:
        """Read the library in *folder*; raises RuleError that names file and line of everything wrong."""
        library, rules = read_library(catalog, folder)
        return cls(library, catalog, rules)

    @classmethod
    def from_document(cls, document: RuleDocument, catalog: Catalog) -> RuleSet:
        """The rule set in *document*, compiled for *catalog*; raises RuleError as :meth:`load` does."""
        library, rules = read_library(catalog, Path(f"rule set {document.number}"), document.files)
        return cls(library.model_copy(update={"number": document.number}), catalog, rules)

    @cached_property
    def version(self) -> str:
        """``<number>-<8 hex digits of the content>``; comments and examples are not content."""
        content = {code: [rule.meaning() for rule in found.rules] for code, found in sorted(self._datasets.items())}
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return f"{self.number}-{digest[:8]}"

    def dataset(self, code: str) -> DatasetRules:
        """The rules of a dataset; raises RuleError when the library has none for it."""
        try:
            return self._datasets[code]
        except KeyError:
            raise RuleError([f"the library has no rules for dataset {code!r}: add rules/library/{code}.yaml"]) from None

    def __iter__(self) -> Iterator[DatasetRules]:
        return iter(self._datasets.values())

    def __len__(self) -> int:
        return sum(len(dataset.rules) for dataset in self)
