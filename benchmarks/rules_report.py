"""``script/bench --rules``: what each rule costs, how that grows with their number, the Confluent client beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.report import Begun, environment
from benchmarks.rules_client import client_cost
from benchmarks.rules_cost import BATCH, GROWN, cost_by_kind, dataset_cost, growth
from benchmarks.rules_records import Records
from rules.ruleset import RuleSet
from schemas.catalog import Catalog


@dataclass(frozen=True, slots=True)
class RuleSizes:
    """Records of a batch, records that the client is given, seconds a figure, and how many datasets (None: all)."""

    rows: int
    client_records: int
    seconds: float
    datasets: int | None = None


FULL = RuleSizes(rows=BATCH, client_records=40, seconds=0.2)
QUICK = RuleSizes(rows=200, client_records=2, seconds=0.001, datasets=2)


def rules_report(sizes: RuleSizes, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything about a run; raises BenchError when the client judges otherwise."""
    begun = Begun.now()
    catalog = Catalog.load()
    rule_set, source = RuleSet.load(catalog), Records(catalog, sizes.rows)
    chosen = list(rule_set)[: sizes.datasets]
    datasets, client = {}, {}
    for rules in chosen:
        say(f"{rules.dataset.code}: {len(rules.active)} rules")
        datasets[rules.dataset.code] = dataset_cost(rules, source, sizes.rows, sizes.seconds)
        client[rules.dataset.code] = client_cost(rules, source, sizes.client_records, sizes.seconds)
    say(f"sets of rules of {GROWN}")
    alone = {rule: cost for figures in datasets.values() for rule, cost in figures["alone_us_by_rule"].items()}
    return {
        **environment(real=False, begun=begun),
        "broker": "none",
        "stack": "none",
        "rule_set": rule_set.version,
        "method": {
            "batch": sizes.rows,
            "client_records": sizes.client_records,
            "clock": "CPU of all threads, the best of several runs; the client's once over its records",
        },
        "datasets": datasets,
        "kinds": cost_by_kind([rule for rules in chosen for rule in rules.active], alone),
        "growth": growth(rule_set.dataset(GROWN), source, sizes.seconds),
        "client": client,
    }


def rules_text(report: dict[str, Any]) -> str:
    """For people."""
    return "\n".join(
        [
            f"rule set {report['rule_set']}, batches of {report['method']['batch']:,}, commit {report['commit']}",
            "",
            *_datasets(report["datasets"]),
            "",
            f"{'one rule alone, with the fixed cost of a batch':46}{'rules':>6}{'median µs':>11}{'highest µs':>11}",
            *(
                f"{kind:46}{one['rules']:>6}{one['median_us']:>11.4f}{one['max_us']:>11.4f}"
                for kind, one in report["kinds"].items()
            ),
            "",
            *_growth(report["growth"]),
            "",
            *_client(report["client"]),
        ]
    )


def _datasets(datasets: dict[str, Any]) -> list[str]:
    head = f"{'µs of CPU a record':28}{'rules':>6}{'columns':>9}{'a rule':>9}{'5 % faulty':>11}{'rows':>9}{'a rule':>9}"
    return [
        f"{head}{'rows/columns':>13}",
        *(
            f"{code:28}{one['rules']:>6}{one['columns_us']:>9.2f}{one['columns_us_a_rule']:>9.4f}"
            f"{one['columns_faulty_us']:>11.2f}{one['rows_us']:>9.2f}{one['rows_us_a_rule']:>9.4f}"
            f"{one['rows_to_columns']:>13.1f}"
            for code, one in datasets.items()
        ),
    ]


def _growth(figures: dict[str, Any]) -> list[str]:
    return [
        f"{'rules of ' + figures['dataset']:34}{'columns µs':>11}{'to 10':>8}{'rows µs':>9}{'to 10':>8}",
        *(
            f"{size:>34}{one['columns_us']:>11.2f}{one['columns_to_least']:>8.2f}{one['rows_us']:>9.2f}"
            f"{one['rows_to_least']:>8.2f}"
            for size, one in figures["sets"].items()
        ),
    ]


def _client(figures: dict[str, Any]) -> list[str]:
    head = f"{'records/s of CPU, same rules':30}{'rules':>6}{'client':>9}{'rows':>11}{'columns':>12}"
    return [
        f"{head}{'rows/client':>13}{'columns/client':>16}",
        *(
            f"{code:30}{one['rules']:>6}{one['client_per_cpu_s']:>9.1f}{one['rows_per_cpu_s']:>11,.0f}"
            f"{one['columns_per_cpu_s']:>12,.0f}{one['rows_to_client']:>13,.0f}{one['columns_to_client']:>16,.0f}"
            for code, one in figures.items()
        ),
    ]
