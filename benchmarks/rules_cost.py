"""What judging costs: CPU per record by columns and by rows, by batch size, with faults, and rule by rule.

    python benchmarks/rules_cost.py [--rows 5000] [--json]

One thread. Times are CPU times, the best of several runs: other work on the machine disturbs them less than wall clock.
"""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # before Polars is imported

import argparse
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import orjson
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rules.checks.base import JudgeContext
from rules.ruleset import DatasetRules, RuleSet
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.units import Regions, Units
from zhida.sample.records import MAKERS, make_valid
from zhida.sample.words import Words
from zhida.sample.world import World

TODAY = date(2026, 6, 30)
SIZES = (100, 1_000, 5_000, 20_000)
FAULTY_SHARE = 0.05


def cpu(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Seconds of CPU that one call takes: the best of runs of about *seconds* altogether."""
    work()
    best, spent = float("inf"), 0.0
    while spent < seconds:
        started = time.process_time()
        work()
        taken = time.process_time() - started
        best, spent = min(best, taken), spent + max(taken, 1e-6)
    return best


def sample(rules: DatasetRules, world: World, rows: int) -> list[dict[str, Any]]:
    """Valid records of the sample province."""
    random = Random(7)
    return [make_valid(rules.dataset.code, world, random)[0] for _ in range(rows)]


def spoiled(rules: DatasetRules, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with a share of them spoiled in one field each."""
    random = Random(8)
    names = [field.name for field in rules.dataset.business_fields]
    return [{**record, random.choice(names): None} if random.random() < FAULTY_SHARE else record for record in records]


def measure(rules: DatasetRules, world: World, context: JudgeContext, rows: int) -> dict[str, Any]:
    """All figures of one dataset, in microseconds of CPU a record."""
    records = sample(rules, world, rows)
    schema = rules.dataset.polars_schema
    frame = pl.DataFrame(records, schema=schema)
    faulty = pl.DataFrame(spoiled(rules, records), schema=schema)
    clean = len(rules.judge_columns(frame, context).violations)
    few = records[:1_000]
    by_size = {}
    for size in (size for size in SIZES if size <= rows):
        part = frame[:size]
        by_size[size] = cpu(lambda part=part: rules.judge_columns(part, context)) / size * 1e6
    by_rule = {}
    for rule in rules.rules:
        alone = DatasetRules(rules.dataset, (rule,))
        by_rule[rule.id] = cpu(lambda alone=alone: alone.judge_columns(frame, context), 0.05) / rows * 1e6
    return {
        "dataset": rules.dataset.code,
        "fields": len(rules.dataset.fields),
        "rules": len(rules.rules),
        "rows": rows,
        "rows_with_violations": {"clean": clean, "faulty": len(rules.judge_columns(faulty, context).violations)},
        "columns_us": cpu(lambda: rules.judge_columns(frame, context)) / rows * 1e6,
        "columns_faulty_us": cpu(lambda: rules.judge_columns(faulty, context)) / rows * 1e6,
        "rows_us": cpu(lambda: [rules.judge_row(record, context) for record in few]) / len(few) * 1e6,
        "columns_us_by_batch": by_size,
        "alone_us_by_rule": by_rule,
    }


def show(figures: dict[str, Any]) -> None:
    """Figures for reading."""
    found = figures["rows_with_violations"]
    print(f"\n{figures['dataset']}: {figures['rules']} rules, {figures['fields']} fields, µs of CPU a record")
    print(f"  columns, {found['clean']} of {figures['rows']} rows with violations   {figures['columns_us']:8.3f}")
    print(f"  columns, {found['faulty']} of {figures['rows']} rows with violations {figures['columns_faulty_us']:8.3f}")
    print(f"  rows                                          {figures['rows_us']:8.3f}")
    for size, cost in figures["columns_us_by_batch"].items():
        print(f"  columns in batches of {size:<6}                  {cost:8.3f}")
    print("  one rule alone, with the fixed cost of a batch:")
    for rule, cost in sorted(figures["alone_us_by_rule"].items(), key=lambda item: -item[1]):
        print(f"    {cost:8.4f}  {rule.partition('.')[2]}")


def main() -> None:
    """Measure every dataset, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--dataset")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    catalog, units = Catalog.load(), Units.load()
    regions = Regions.load()
    assignments = Assignments.load(catalog, units, regions)
    world = World(options.rows, regions, units, assignments, Words.load(), TODAY, Random(6))
    rule_set = RuleSet.load(catalog)
    results = []
    for code in MAKERS:
        if options.dataset in (None, code):
            context = JudgeContext(TODAY, units.codes, assignments.units_for(code, TODAY))
            results.append(measure(rule_set.dataset(code), world, context, options.rows))
    if options.json:
        print(
            orjson.dumps({"rule_set": rule_set.version, "datasets": results}, option=orjson.OPT_NON_STR_KEYS).decode()
        )
        return
    for figures in results:
        show(figures)


if __name__ == "__main__":
    main()
