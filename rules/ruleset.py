"""The rule library in force: loaded, versioned, and ready to judge batches of columns or single records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from rules.checks.base import JudgeContext
from rules.document import RuleDocument
from rules.errors import RuleError
from rules.evaluation import Evaluation
from rules.loader import read_library
from rules.masking import shown
from rules.model import LibraryFile, Rule
from schemas.catalog import Catalog, Dataset
from schemas.verdict import Severity, Violation

LIBRARY_DIR = Path(__file__).parent / "library"
#: Rows that are named of those that break a shadow rule.
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a batch breaks; rows are numbered from 0. Rows that are in neither list break nothing."""

    violations: dict[int, tuple[Violation, ...]]
    rejected: list[int]
    suspect: list[int]


@dataclass(frozen=True, slots=True)
class ShadowCount:
    """How many records of a batch break a shadow rule, and the first of them by row."""

    rule: str
    severity: Severity
    count: int
    rows: tuple[int, ...]


class DatasetRules:
    """The rules of one dataset. Both ways of judging give the same violations, in library order.

    ``rules`` are all that the library has, whatever their status. Use an instance from one thread at a time.
    """

    def __init__(self, dataset: Dataset, rules: tuple[Rule, ...]) -> None:
        self.dataset = dataset
        self.rules = rules
        self._active = Evaluation(dataset, tuple(rule for rule in rules if rule.status == "active"))
        shadow = tuple(rule for rule in rules if rule.status == "shadow")
        self._shadow = Evaluation(dataset, shadow) if shadow else None

    @property
    def active(self) -> tuple[Rule, ...]:
        """The rules that make verdicts."""
        return self._active.rules

    @property
    def has_shadow(self) -> bool:
        """True when there are rules that are only counted."""
        return self._shadow is not None

    def in_force(self) -> DatasetRules:
        """All rules as if they were active, whenever: as their examples are judged."""
        rules = tuple(rule.in_force() for rule in self.rules)
        return self if rules == self.rules else DatasetRules(self.dataset, rules)

    def judge_row(self, record: Mapping[str, Any], context: JudgeContext) -> tuple[Violation, ...]:
        """Every rule that *record* breaks; fields that it does not have count as null."""
        broken = self._active.row(record, context)
        return tuple(self._violation(number, record.get(self.active[number].field)) for number in broken)

    def judge_columns(self, frame: pl.DataFrame, context: JudgeContext) -> Judgement:
        """Every rule that each row of *frame* (columns as in ``Dataset.polars_schema``) breaks."""
        found: dict[int, list[Violation]] = {}
        rejected: set[int] = set()
        for broken in self._active.columns(frame, context):
            for row, value in zip(broken.rows, broken.values, strict=True):
                found.setdefault(row, []).append(self._violation(broken.number, value))
            if self.active[broken.number].severity == "reject":
                rejected.update(broken.rows)
        return Judgement(
            {row: tuple(found[row]) for row in sorted(found)},
            rejected=sorted(rejected),
            suspect=sorted(found.keys() - rejected),
        )

    def judge_shadow(
        self, batch: pl.DataFrame | Sequence[Mapping[str, Any]], context: JudgeContext
    ) -> tuple[ShadowCount, ...]:
        """What each shadow rule would find in *batch*, columns or records, in library order.

        Apart from the verdicts, so that a shadow rule that fails changes none either.
        """
        if self._shadow is None:
            return ()
        found: dict[int, list[int]] = {}
        if isinstance(batch, pl.DataFrame):
            found = {broken.number: broken.rows for broken in self._shadow.columns(batch, context)}
        else:
            for row, record in enumerate(batch):
                for number in self._shadow.row(record, context):
                    found.setdefault(number, []).append(row)
        rules = self._shadow.rules
        return tuple(
            ShadowCount(rule.id, rule.severity, len(rows), tuple(rows[:_SAMPLES]))
            for rule, rows in ((rule, found.get(number, [])) for number, rule in enumerate(rules))
        )

    def undecided(self, context: JudgeContext) -> Iterator[tuple[str, str]]:
        """Each rule that cannot decide everything on the context's day, and what; nothing breaks it there."""
        for rule in self.active:
            if reason := rule.undecided(context):
                yield rule.id, reason

    def _violation(self, number: int, value: Any) -> Violation:
        rule = self.active[number]
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
