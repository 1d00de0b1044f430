"""Small changes to what a rule asks about other records. ``rules/mutants.py`` puts them into rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rules.checks.base import StatefulCheck
from rules.expr import Expression
from rules.state.definitions import Distribution, Mode, Question
from rules.variants import expressions
from schemas.catalog import Dataset

#: The mode that a careless author would have taken.
_OTHER_MODE: dict[Mode, Mode] = {"known": "agrees", "agrees": "known", "first": "clear", "clear": "first"}
_STEPS: dict[str, tuple[float, ...]] = {"days": (-1, 1), "quantile": (-0.01, 0.01), "times": (-1, 1), "least": (-1, 1)}


def asking_otherwise(check: StatefulCheck, dataset: Dataset) -> Iterator[tuple[str, StatefulCheck]]:
    """*check*, of a rule of *dataset*, with one thing changed in what it asks, and what that is."""
    asked = check.asks()
    changes: Iterator[tuple[str, Question | Distribution]]
    changes = _distributions(asked) if isinstance(asked, Distribution) else _questions(asked, check.about, dataset)
    for change, other in changes:
        yield change, check.asking(other, check.about)


def _distributions(asked: Distribution) -> Iterator[tuple[str, Question | Distribution]]:
    for name, steps in _STEPS.items():
        for step in steps:
            value = getattr(asked, name)
            other = round(value + step, 6)
            if other > 0 and not (name == "quantile" and other > 1):
                changed: dict[str, Any] = {name: other}
                yield f"{name} {value} -> {other}", replace(asked, **changed)


def _questions(asked: Question, about: Dataset, dataset: Dataset) -> Iterator[tuple[str, Question | Distribution]]:
    index = asked.index
    mode = _OTHER_MODE[asked.mode]
    if asked.mode == "clear" and about.code != dataset.code:
        mode = "known"  # no record of another dataset is the record itself, so that the first is any
    yield f"mode {asked.mode} -> {mode}", replace(asked, mode=mode)
    if len(asked.keys) > 1:
        for at, name in enumerate(asked.keys):
            keys = index.keys[:at] + index.keys[at + 1 :]
            own = asked.keys[:at] + asked.keys[at + 1 :]
            yield f"without key {name}", replace(asked, index=replace(index, keys=keys), keys=own)
    if index.loose:
        yield "not loose", replace(asked, index=replace(index, loose=False))
    for where in _conditions(index.where, about):
        yield f"where {where or 'left out'}", replace(asked, index=replace(index, where=where))
    if index.value:
        for field in about.business_fields:
            if field.type == "string" and field.name not in (index.value, *index.keys):
                yield f"value {field.name}", replace(asked, index=replace(index, value=field.name))
                break


def _conditions(where: str, about: Dataset) -> Iterator[str]:
    if not where:
        return
    yield ""
    for other in expressions(where):
        try:
            Expression.compile(other, about)
        except ValueError:  # of another type than it may be
            continue
        yield other
