"""What judging costs: CPU a record by columns and by rows, by batch size, with faults, rule by rule, as sets grow.

Times are CPU times of all threads, the best of several runs: other work on the machine disturbs them less than it does
wall-clock times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import polars as pl

from benchmarks.rules_records import Record, Records, spoiled
from rules.checks.base import JudgeContext
from rules.model import Rule
from rules.ruleset import DatasetRules

BATCH = 5_000
_BATCHES = (100, 1_000, BATCH)
#: Records that are judged one by one.
_FEW = 500
GROWTH = (10, 25, 50, 100, 200)
#: The dataset whose rules are repeated.
GROWN = "administrative_penalty"
_GROWTH_ROUNDS = 5


def cpu(work: Callable[[], object], seconds: float) -> float:
    """Seconds of CPU that one call takes: the best of runs of about *seconds* altogether."""
    work()
    best, spent = float("inf"), 0.0
    while spent < seconds:
        started = time.process_time()
        work()
        taken = time.process_time() - started
        best, spent = min(best, taken), spent + max(taken, 1e-6)
    return best


def dataset_cost(rules: DatasetRules, source: Records, rows: int, seconds: float) -> dict[str, Any]:
    """All figures of one dataset, in microseconds of CPU a record; each is timed for about *seconds*."""
    records, context = source.valid(rules), source.context(rules.dataset.code)
    schema = rules.dataset.polars_schema
    frame = pl.DataFrame(records, schema=schema)
    faulty = pl.DataFrame(spoiled(rules, records), schema=schema)
    columns = _columns_us(rules, frame, context, seconds)
    alone = {
        rule.id: _columns_us(DatasetRules(rules.dataset, (rule,)), frame, context, seconds / 10)
        for rule in rules.active
    }
    by_row = _rows_us(rules, records, context, seconds)
    return {
        "fields": len(rules.dataset.fields),
        "rules": len(rules.active),
        "rows_with_violations": {
            "clean": len(rules.judge_columns(frame, context).violations),
            "faulty": len(rules.judge_columns(faulty, context).violations),
        },
        "columns_us": columns,
        "columns_us_a_rule": columns / len(rules.active),
        "columns_faulty_us": _columns_us(rules, faulty, context, seconds),
        "rows_us": by_row,
        "rows_us_a_rule": by_row / len(rules.active),
        "rows_to_columns": by_row / columns,
        "columns_us_by_batch": {
            str(size): _columns_us(rules, frame[:size], context, seconds) for size in _BATCHES if size <= rows
        },
        "alone_us_by_rule": alone,
    }


def cost_by_kind(rules: list[Rule], alone: dict[str, float]) -> dict[str, dict[str, float]]:
    """Of the rules of each kind: how many, the median and the highest cost of one alone."""
    kinds: dict[str, list[float]] = {}
    for rule in rules:
        kinds.setdefault(rule.kind, []).append(alone[rule.id])
    return {
        kind: {"rules": len(costs), "median_us": median(costs), "max_us": max(costs)}
        for kind, costs in sorted(kinds.items())
    }


def growth(rules: DatasetRules, source: Records, seconds: float) -> dict[str, Any]:
    """The cost of sets of 10 to 200 rules, the dataset's own over and over; the smallest set is the measure."""
    records, context = source.valid(rules), source.context(rules.dataset.code)
    frame = pl.DataFrame(records, schema=rules.dataset.polars_schema)
    sets = {size: DatasetRules(rules.dataset, repeated(rules.active, size)) for size in GROWTH}
    columns: dict[int, list[float]] = {size: [] for size in sets}
    by_row: dict[int, list[float]] = {size: [] for size in sets}
    for _ in range(_GROWTH_ROUNDS):  # sets take turns, so that drift hits all alike
        for size, grown in sets.items():
            columns[size].append(_columns_us(grown, frame, context, seconds / _GROWTH_ROUNDS))
            by_row[size].append(_rows_us(grown, records, context, seconds / _GROWTH_ROUNDS))
    least = GROWTH[0]
    return {
        "dataset": rules.dataset.code,
        "batch": len(records),
        "sets": {
            str(size): {
                "columns_us": min(columns[size]),
                "rows_us": min(by_row[size]),
                "columns_to_least": min(columns[size]) / min(columns[least]),
                "rows_to_least": min(by_row[size]) / min(by_row[least]),
            }
            for size in sets
        },
    }


def repeated(rules: tuple[Rule, ...], size: int) -> tuple[Rule, ...]:
    """*size* rules under ids of their own: some of *rules*, evenly spread, or all of them again and again."""
    if size <= len(rules):
        return tuple(rules[number * len(rules) // size] for number in range(size))
    return tuple(
        rules[number % len(rules)].model_copy(update={"id": f"{rules[number % len(rules)].id}.{number}"})
        for number in range(size)
    )


def _columns_us(rules: DatasetRules, frame: pl.DataFrame, context: JudgeContext, seconds: float) -> float:
    return cpu(lambda: rules.judge_columns(frame, context), seconds) / len(frame) * 1e6


def _rows_us(rules: DatasetRules, records: list[Record], context: JudgeContext, seconds: float) -> float:
    few = records[:_FEW]
    return cpu(lambda: [rules.judge_row(record, context) for record in few], seconds) / len(few) * 1e6
