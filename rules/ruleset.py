"""The rule library in force: loaded, versioned, and ready to judge batches of columns or single records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import polars as pl

from rules.checks.base import JudgeContext
from rules.document import RuleDocument
from rules.errors import RuleError
from rules.evaluation import Evaluation
from rules.loader import read_library
from rules.masking import shown
from rules.model import FOUND, LibraryFile, Rule
from rules.state.definitions import Distribution, Index, Question, StatePlan
from schemas.catalog import Catalog, Dataset
from schemas.verdict import Severity, Violation

LIBRARY_DIR = Path(__file__).parent / "library"
#: What the state has found for a question.
Found = tuple[str, ...]
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
        #: The rules that make verdicts, and those that are only counted.
        self.active = tuple(rule for rule in rules if rule.status == "active")
        self.shadow = tuple(rule for rule in rules if rule.status == "shadow")
        self._single = Evaluation(dataset, _by_state(self.active, False))
        self._stateful = Evaluation(dataset, _by_state(self.active, True))
        self._shadow_single = Evaluation(dataset, _by_state(self.shadow, False))
        self._shadow_stateful = Evaluation(dataset, _by_state(self.shadow, True))
        self._places = {rule.id: place for place, rule in enumerate(rules)}

    @property
    def has_shadow(self) -> bool:
        """True when there are rules that are only counted."""
        return bool(self.shadow)

    def in_force(self) -> DatasetRules:
        """All rules as if they were active, whenever: as their examples are judged."""
        rules = tuple(rule.in_force() for rule in self.rules)
        return self if rules == self.rules else DatasetRules(self.dataset, rules)

    def judge_row(self, record: Mapping[str, Any], context: JudgeContext) -> tuple[Violation, ...]:
        """Every rule that *record* breaks; fields that it does not have count as null.

        Of rules that ask the state, those for which the record carries an answer (:meth:`judge_answers`).
        """
        broken = self._single.row(record, context)
        rules = self._single.rules
        return tuple(self._violation(rules[number], record.get(rules[number].field)) for number in broken)

    def judge_answers(
        self, record: Mapping[str, Any], answers: Mapping[str, Found], context: JudgeContext
    ) -> tuple[Violation, ...]:
        """Every rule that asks the state and that *record* breaks, as it was answered: what was found, by question."""
        broken = self._stateful.row({**record, **answers}, context)
        rules = (self._stateful.rules[number] for number in broken)
        return tuple(self._violation(rule, record.get(rule.field), answers) for rule in rules)

    def in_order(self, *found: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """Violations of one record together, in library order."""
        return tuple(sorted((one for some in found for one in some), key=lambda one: self._places[one.rule]))

    def judge_columns(self, frame: pl.DataFrame, context: JudgeContext) -> Judgement:
        """Every rule that each row of *frame* (columns as in ``Dataset.polars_schema``) breaks.

        Those that ask the state are judged by :meth:`judge_answers`, where it has found something.
        """
        found: dict[int, list[Violation]] = {}
        rejected: set[int] = set()
        for broken in self._single.columns(frame, context):
            rule = self._single.rules[broken.number]
            for row, value in zip(broken.rows, broken.values, strict=True):
                found.setdefault(row, []).append(self._violation(rule, value))
            if rule.severity == "reject":
                rejected.update(broken.rows)
        return Judgement(
            {row: tuple(found[row]) for row in sorted(found)},
            rejected=sorted(rejected),
            suspect=sorted(found.keys() - rejected),
        )

    def judge_shadow(
        self,
        batch: pl.DataFrame | Sequence[Mapping[str, Any]],
        context: JudgeContext,
        answered: Mapping[int, tuple[Mapping[str, Any], Mapping[str, Found]]] = MappingProxyType({}),
    ) -> tuple[ShadowCount, ...]:
        """What each shadow rule would find in *batch*, columns or records, in library order.

        *answered* are the records, by row, for which the state has found something, with what it was. Apart from the
        verdicts, so that a shadow rule that fails changes none either.
        """
        found: dict[str, list[int]] = {rule.id: [] for rule in self.shadow}
        single = self._shadow_single
        if isinstance(batch, pl.DataFrame):
            for broken in single.columns(batch, context):
                found[single.rules[broken.number].id] = broken.rows
        else:
            for row, record in enumerate(batch):
                for number in single.row(record, context):
                    found[single.rules[number].id].append(row)
        for row, (record, answers) in sorted(answered.items()):
            for number in self._shadow_stateful.row({**record, **answers}, context):
                found[self._shadow_stateful.rules[number].id].append(row)
        counted = ((rule, found[rule.id]) for rule in self.shadow)
        return tuple(ShadowCount(rule.id, rule.severity, len(rows), tuple(rows[:_SAMPLES])) for rule, rows in counted)

    def undecided(self, context: JudgeContext) -> Iterator[tuple[str, str]]:
        """Each rule that cannot decide everything on the context's day, and what; nothing breaks it there."""
        for rule in self.active:
            if reason := rule.undecided(context):
                yield rule.id, reason

    def _violation(self, rule: Rule, value: Any, answers: Mapping[str, Found] = MappingProxyType({})) -> Violation:
        pii = self.dataset.by_name[rule.field].pii
        zh, en = rule.zh, rule.en
        if (asked := rule.asks) is not None:
            told = rule.check.told(answers.get(asked.name) or ())
            zh, en = zh.replace(FOUND, told), en.replace(FOUND, told)
        return Violation(rule.id, rule.dimension, rule.severity, rule.field, shown(value, pii), zh, en)


def _by_state(rules: tuple[Rule, ...], stateful: bool) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if (rule.asks is not None) is stateful)


class RuleSet:
    """All rules in force, by dataset. Immutable; ``version`` names it in every verdict."""

    def __init__(self, library: LibraryFile, catalog: Catalog, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        self.number = library.number
        self.examples = library.examples
        self._datasets = {code: DatasetRules(catalog[code], found) for code, found in rules.items()}
        self._plans = state_plans(self._datasets.values())

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

    def plan(self, code: str) -> StatePlan:
        """What the state is told and asked about the records of a dataset; raises RuleError as :meth:`dataset` does."""
        return self._plans[self.dataset(code).dataset.code]

    def __iter__(self) -> Iterator[DatasetRules]:
        return iter(self._datasets.values())

    def __len__(self) -> int:
        return sum(len(dataset.rules) for dataset in self)


def state_plans(every: Iterable[DatasetRules]) -> dict[str, StatePlan]:
    """The plan of each dataset: indexes are kept where the records are, for the rules of whatever dataset asks."""
    parts = {rules.dataset.code: rules for rules in every}
    every_index = {one.index for rules in parts.values() for one in _asked(rules.active + rules.shadow)[0]}
    kept = {index: _kept(index, every_index) for index in every_index}
    plans = {}
    for code, rules in parts.items():
        questions, distributions = _asked(rules.active + rules.shadow)
        plans[code] = StatePlan(
            rules.dataset,
            tuple(sorted({index for index in kept.values() if index.dataset == code}, key=lambda index: index.id)),
            tuple(dict.fromkeys(replace(one, index=kept[one.index]) for one in questions)),
            tuple(distributions),
            frozenset(replace(one, index=kept[one.index]) for one in _asked(rules.active)[0]),
        )
    return plans


def _kept(index: Index, every: Iterable[Index]) -> Index:
    """The index that serves for *index*: one without a value is not kept beside one that has the same keys."""
    if index.value:
        return index
    return max((one for one in every if replace(one, value="") == index), key=lambda one: one.value)


def _asked(rules: tuple[Rule, ...]) -> tuple[dict[Question, None], dict[Distribution, None]]:
    """Each once, in library order."""
    asked = [one for rule in rules if (one := rule.asks) is not None]
    questions = dict.fromkeys(one for one in asked if isinstance(one, Question))
    return questions, dict.fromkeys(one for one in asked if isinstance(one, Distribution))
