"""``script/bench``: the govern stage and the whole way against other ways to do the same, or latency at a given rate."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from benchmarks.measure import BenchError
from benchmarks.report import save, table, throughput_report
from benchmarks.throughput import Sizes, Throughput
from benchmarks.ways.table import WAYS
from zhida.settings import Settings
from zhida.stack import MissingProgram, RunningStack, start_stack
from zhida.stack.signals import stop_signals

FOLDER = Path("var") / "bench"
_FULL = Sizes(records=400_000, slow_records=40_000, rounds=3)
_QUICK = Sizes(records=6_000, slow_records=1_500, rounds=1)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="small figures: shows that it works, measures nothing")
    parser.add_argument("--embedded", action="store_true", help="the embedded broker even where Java is there")
    parser.add_argument("--records", type=int, help="records of the load")
    parser.add_argument("--slow-records", type=int, help="records for stock Faust")
    parser.add_argument("--rounds", type=int, help="times that each way is measured")
    parser.add_argument("--ways", default="", help=f"of {','.join(way.name for way in WAYS)}")
    parser.add_argument("--no-save", action="store_true", help="keep no file in benchmarks/results")
    return parser.parse_args(arguments)


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def fresh_stack(embedded: bool, interrupted: Callable[[], bool]) -> Iterator[tuple[RunningStack, bool]]:
    """A stack with an empty folder of the benchmark's own, real where the machine can; and whether it is."""
    folder = FOLDER.absolute() / "stack"
    shutil.rmtree(folder, ignore_errors=True)
    settings = Settings.load(data_dir=folder, kafka_bootstrap=None, redis_url=None, clickhouse_host=None)
    stack, real = None, not embedded
    if real:
        try:
            stack = start_stack(settings, real=True, report=say, interrupted=interrupted)
        except MissingProgram as missing:
            say(f"embedded broker instead of Apache Kafka: {missing}")
            real = False
    if stack is None:
        stack = start_stack(settings, report=say, interrupted=interrupted)
    with stack:
        yield stack, real


def main() -> int:
    """Run what the command line asks for; 0 when every way did its job, whatever the figures."""
    options = parse()
    base = _QUICK if options.quick else _FULL
    sizes = Sizes(
        options.records or base.records, options.slow_records or base.slow_records, options.rounds or base.rounds
    )
    ways = [way.name for way in WAYS if not options.ways or way.name in options.ways.split(",")]
    with stop_signals() as stop_asked:
        try:
            with fresh_stack(options.embedded, stop_asked) as (stack, real):
                results = Throughput(stack.settings, real, sizes, ways, say).run()
        except BenchError as error:
            say(f"error: {error}")
            return 1
    report = throughput_report(results, real, sizes)
    if not options.quick and not options.no_save:
        say(f"kept in {save(report, 'throughput')}")
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() if options.json else table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
