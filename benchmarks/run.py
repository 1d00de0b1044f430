"""``script/bench``: Zhida beside other ways to do the same job, its latency at a given rate, or what its rules cost."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaException

from benchmarks.corpus import load_corpus
from benchmarks.latency import Latency
from benchmarks.latency_report import latency_report, text
from benchmarks.measure import BenchError
from benchmarks.report import Begun, save, table, throughput_report
from benchmarks.rules_report import FULL, QUICK, rules_report, rules_text
from benchmarks.throughput import Sizes, Throughput
from benchmarks.ways.table import WAYS
from zhida.platform import start_platform
from zhida.settings import Settings
from zhida.stack import MissingProgram, StackError, StartInterrupted, start_stack
from zhida.stack.ports import Ports
from zhida.stack.signals import stop_signals

_FULL = Sizes(records=400_000, slow_records=40_000, rounds=3, warm_ups=6)
_QUICK = Sizes(records=6_000, slow_records=1_500, rounds=1, warm_ups=1)
#: Until then the broker's JVM compiles its code, which takes up to a third of a core.
_WARM_SECONDS = 60.0
_QUICK_SECONDS = 4.0
#: The smallest dataset has about an eighth of the messages; an even load takes a quarter from each.
_EVEN_FACTOR = 2.4


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="small figures: shows that it works, measures nothing")
    parser.add_argument("--embedded", action="store_true", help="the embedded engines even where Java is there")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="for engines and loads (var/bench)")
    parser.add_argument("--no-save", action="store_true", help="keep no file in benchmarks/results")
    side = parser.add_argument_group("side by side (default)")
    side.add_argument("--records", type=int, help=f"records of the load ({_FULL.records:,})")
    side.add_argument("--slow-records", type=int, help=f"records for stock Faust ({_FULL.slow_records:,})")
    side.add_argument("--rounds", type=int, help=f"times that each way is measured ({_FULL.rounds})")
    side.add_argument("--ways", default="", help=f"some of {','.join(way.name for way in WAYS)}")
    parser.add_argument("--rules", action="store_true", help="CPU of rules, of growing sets, of the Confluent client")
    late = parser.add_argument_group("latency")
    late.add_argument("--latency", action="store_true", help="produce at an even rate and time what comes out")
    late.add_argument("--rate", type=float, default=2000.0, help="records a second (2000)")
    late.add_argument("--seconds", type=float, help="how long, after the warm-up (30)")
    late.add_argument("--warm-up", type=float, help=f"seconds at that rate that do not count ({_WARM_SECONDS:.0f})")
    late.add_argument("--partitions", type=int, default=2, help="partitions of each of the four datasets (2)")
    options = parser.parse_args(arguments)
    unknown = set(filter(None, options.ways.split(","))) - {way.name for way in WAYS}
    if unknown:
        parser.error(f"unknown ways: {', '.join(sorted(unknown))}")
    return options


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def real_or_embedded(start: Callable[[bool], Any], embedded: bool) -> tuple[Any, bool]:
    """What *start* makes with real engines, or with the embedded ones where Java or npm is missing; and which."""
    if not embedded:
        try:
            return start(True), True
        except MissingProgram as missing:
            say(f"embedded engines instead of Apache Kafka: {missing}")
    return start(False), False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold *folder*: a second run would empty the first one's, and both would measure each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(f"another benchmark runs in {folder}; wait for its end") from None
        yield


def fresh_settings(folder: Path) -> Settings:
    """Settings whose data folder and ports are the benchmark's own; the folder is empty."""
    stack = folder.absolute() / "stack"
    shutil.rmtree(stack, ignore_errors=True)
    # At the usual ports another platform on this machine may answer in ours' stead.
    ports = Ports()
    return Settings.load(
        data_dir=stack,
        kafka_bootstrap=None,
        redis_url=None,
        clickhouse_host=None,
        registry_url=None,
        registry_port=ports.take(),
        api_port=ports.take(),
    )


def side_by_side(options: argparse.Namespace, stop_asked: Callable[[], bool]) -> dict[str, Any]:
    """The report of the side-by-side run."""
    base = _QUICK if options.quick else _FULL
    sizes = Sizes(
        records=options.records or base.records,
        slow_records=options.slow_records or base.slow_records,
        rounds=options.rounds or base.rounds,
        warm_ups=base.warm_ups,
    )
    begun = Begun.now()
    ways = [way.name for way in WAYS if not options.ways or way.name in options.ways.split(",")]
    settings = fresh_settings(options.folder)
    stack, real = real_or_embedded(
        lambda real: start_stack(settings, real=real, report=say, interrupted=stop_asked), options.embedded
    )
    with stack:
        results = Throughput(stack.settings, real, sizes, ways, say, stop_asked).run()
    return throughput_report(results, real, sizes, begun)


def latency(options: argparse.Namespace, stop_asked: Callable[[], bool]) -> dict[str, Any]:
    """The report of the latency run."""
    begun = Begun.now()
    seconds = options.seconds or (_QUICK_SECONDS if options.quick else 30.0)
    warm_up = options.warm_up or (_QUICK_SECONDS if options.quick else _WARM_SECONDS)
    settings = fresh_settings(options.folder).updated({"partitions": options.partitions})
    needed = int(options.rate * (seconds + warm_up) * _EVEN_FACTOR)
    say(f"making {needed:,} records of the sample province, unless they are there from an earlier run")
    corpus = load_corpus(options.folder / "corpus", needed, settings.partitions)
    platform, real = real_or_embedded(
        lambda real: start_platform(settings, real=real, units=corpus.units, report=say, interrupted=stop_asked),
        options.embedded,
    )
    with platform:
        say(f"{options.rate:,.0f} records/s for {warm_up:.0f} s of warm-up and {seconds:.0f} s that count")
        timings = Latency(platform, options.rate, warm_up, seconds, stop_asked).run(corpus)
    return latency_report(timings, real, options.rate, warm_up, corpus, begun)


def main() -> int:
    """Run what the command line asks for; 0 when everything did its job, whatever the figures."""
    options = parse()
    kind = "rules" if options.rules else "latency" if options.latency else "throughput"
    with stop_signals() as stop_asked:
        try:
            with alone(options.folder):
                if options.rules:
                    report = rules_report(QUICK if options.quick else FULL, say)
                else:
                    report = latency(options, stop_asked) if options.latency else side_by_side(options, stop_asked)
        except (BenchError, StackError, KafkaException) as error:
            say(f"error: {error}")
            return 130 if isinstance(error, StartInterrupted) else 1
    if report["source_changed_meanwhile"]:
        say("the source was edited during the run: not all processes ran the same code; nothing is kept")
    elif not options.quick and not options.no_save:
        say(f"kept in {save(report, kind)}")
    shown = {"rules": rules_text, "latency": text, "throughput": table}[kind]
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() if options.json else shown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
