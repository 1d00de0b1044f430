"""The side-by-side measurement: every way in turn, several rounds, on one broker and one load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.corpus import Corpus, Expected, load_corpus, preload
from benchmarks.measure import BenchError, Broker, Observer, Outputs, Place, Reading
from benchmarks.prefill import prefill
from benchmarks.processes import Workers
from benchmarks.readback import Digest, read_back
from benchmarks.stores import Stores, accepted_topics
from benchmarks.ways.job import Orders
from benchmarks.ways.table import WAYS, Load, Way
from schemas.catalog import Catalog
from schemas.registry.client import RegistryClient, RegistryClientError
from schemas.topics import QUARANTINE_TOPIC, REJECTED_TOPIC, feedback_topic
from streams.topic_admin import TopicAdmin, TopicSpec
from zhida.preparation import create_topics, register_schemas
from zhida.roles.govern import GOVERN_GROUP
from zhida.settings import Settings
from zhida.stack import StartInterrupted
from zhida.stack.children import Children

_SETTLE_SECONDS = 15.0
#: What goes through the broker before anything counts: as others send it, then again and again as we do.
_WARM_UP = {way.name: replace(way, name="warm_up") for way in WAYS if way.name in ("handwritten", "govern_all_rules")}
#: Until that is no faster by this than it has been.
_FASTER = 1.1


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    records: int
    slow_records: int
    rounds: int
    #: Times at most that everything is sent through before anything counts.
    warm_ups: int


@dataclass(slots=True)
class Results:
    """All readings by way, in order of rounds."""

    readings: dict[str, list[Reading]] = field(default_factory=dict)
    loads: dict[str, Corpus] = field(default_factory=dict)


class Throughput:
    """The arena: topics, loads and the processes that are measured."""

    def __init__(
        self,
        settings: Settings,
        real: bool,
        sizes: Sizes,
        ways: Sequence[str],
        say: Callable[[str], None],
        stop_asked: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._real = real
        self._sizes = sizes
        self._ways = [way for way in WAYS if way.name in ways]
        self._say = say
        self._stop_asked = stop_asked
        self._children = Children(settings.data_dir)
        self._broker = Broker(settings.kafka(), exact_list=real)
        self._catalog = Catalog.load()
        self._digests: dict[Load, Digest] = {}
        self._ids: dict[str, int] = {}

    def run(self) -> Results:
        """Prepare, then measure round by round."""
        results = Results()
        with Workers(self._settings, self._children) as registry:
            registry.start("registry", ["zhida", "worker", "run", "registry"])
            self._wait_for_registry(registry)
            self._prepare(results)
            self._warm_up(results)
            for number in range(self._sizes.rounds):
                # Each round begins with another way, so that none always runs first.
                turn = number % len(self._ways)
                for way in self._ways[turn:] + self._ways[:turn]:
                    registry.check()
                    self._measure(way, number, results)
        return results

    def _warm_up(self, results: Results) -> None:
        """Send everything through, uncounted, until the broker's JVM has compiled what it will.

        That takes it a minute and more, and a core of its own meanwhile, which the first rounds would pay for.
        """
        self._say("sending everything through, uncounted, until the broker has compiled its code")
        uncounted, load = Results(loads=results.loads), self._ways[0].load
        self._measure(replace(_WARM_UP["handwritten"], load=load), 0, uncounted)
        best = 0.0
        for number in range(1, self._sizes.warm_ups):
            self._measure(replace(_WARM_UP["govern_all_rules"], load=load), number, uncounted)
            speed = uncounted.readings["warm_up"][-1].per_second
            if speed < _FASTER * best:
                break
            best = max(best, speed)

    def _wait_for_registry(self, registry: Workers) -> None:
        deadline = time.monotonic() + 60
        while True:
            registry.check()
            try:
                with RegistryClient(self._settings.registry(), attempts=1) as client:
                    client.subjects()
                    return
            except RegistryClientError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _prepare(self, results: Results) -> None:
        folder = self._settings.data_dir.parent / "corpus"
        self._say(f"making {self._sizes.records:,} records of the sample province (kept for the next run)")
        full = load_corpus(folder, self._sizes.records, self._settings.partitions)
        results.loads["full"] = full
        results.loads["small"] = full.head(min(self._sizes.slow_records, self._sizes.records))
        create_topics(self._settings, full.units)
        self._broker.warm([*accepted_topics(), REJECTED_TOPIC, QUARANTINE_TOPIC, *map(feedback_topic, full.units)])
        ids = self._ids = register_schemas(self._settings)
        for load in {way.load for way in self._ways}:
            topics = {code: topic for topic, code in self._report_topics(load).items()}
            if load == "small":
                config = self._settings.topic_config("report")
                specs = [TopicSpec(topic, self._settings.partitions, config) for topic in topics.values()]
                TopicAdmin(self._settings.kafka(), replication=self._settings.replication_factor).create(specs)
            took = preload(self._settings, results.loads[load], topics, ids)
            self._say(f"preloaded {results.loads[load].expected.received:,} records ({load}) in {took:.1f} s")

    def _report_topics(self, load: Load) -> dict[str, str]:
        if load == "full":
            return {dataset.report_topic: dataset.code for dataset in self._catalog}
        return {f"bench.report.{dataset.code}": dataset.code for dataset in self._catalog}

    def _outputs(self, way: Way, corpus: Corpus) -> Outputs:
        places = self._broker.places
        expected = corpus.expected
        reported = set(corpus.frame["dataset"].unique())
        accepted = places([dataset.accepted_topic for dataset in self._catalog if dataset.code in reported])
        if way.writes == "accepted":
            return Outputs(accepted, [], [], expected.received, 0, 0, expected.received)
        return Outputs(
            accepted=accepted,
            others=places([REJECTED_TOPIC, QUARANTINE_TOPIC]),
            feedback=places([feedback_topic(unit) for unit in corpus.units]),
            want_accepted=expected.passed,
            want_others=expected.rejected + expected.quarantined,
            want_feedback=expected.feedback,
            received=expected.received,
        )

    def _measure(self, way: Way, number: int, results: Results) -> None:
        corpus = results.loads[way.load]
        outputs = self._outputs(way, corpus)
        reports = self._broker.places(self._report_topics(way.load))
        starts = self._broker.ends(self._broker.places([*accepted_topics(), REJECTED_TOPIC, QUARANTINE_TOPIC]))
        with Workers(self._settings, self._children) as workers:
            stores = self._stores(way, corpus, number, starts)
            observer = Observer(self._broker, outputs, lambda: self._go_on(workers))
            group = self._start(way, number, corpus, workers, stores)
            reading = observer.watch(workers.meter(), stores.complete if stores else lambda: True)
            self._settle(group, reports, workers)
            observer.check()
            if stores:
                stores.check()
        if way.writes != "accepted":
            self._verify(way, corpus.expected, starts)
        results.readings.setdefault(way.name, []).append(reading)
        self._say(
            f"round {number + 1} {way.name:12} {reading.per_second:>10,.0f} records/s wall "
            f"{reading.per_cpu_second:>10,.0f} records/s CPU   ({reading.wall:.2f} s, {reading.cpu:.2f} CPU s)"
        )

    def _go_on(self, workers: Workers) -> None:
        if self._stop_asked():
            raise StartInterrupted("stopped while measuring; nothing is left running")
        workers.check()

    def _stores(self, way: Way, corpus: Corpus, number: int, starts: dict[Place, int]) -> Stores | None:
        if way.writes != "stores":
            return None
        stores = Stores(self._settings, self._broker, corpus, number)
        stores.prepare(starts)
        return stores

    def _start(self, way: Way, number: int, corpus: Corpus, workers: Workers, stores: Stores | None) -> str:
        """Start the way's processes, which read everything from the beginning; returns the group to look at."""
        if way.module is not None:
            group = f"bench-{way.name}-{number}"
            workers.start(way.name, [way.module, Orders(group, self._report_topics(way.load)).text()])
            return group
        self._broker.delete_groups([GOVERN_GROUP])
        if way.state:
            prefill(self._settings, corpus, self._ids)
        if stores:
            stores.start_sinks(workers)
        settings = self._settings.updated({"govern_state": way.state})
        workers.start("govern", ["zhida", "worker", "run", "govern"], settings)
        return GOVERN_GROUP

    def _settle(self, group: str, reports: list[Place], workers: Workers) -> None:
        """Everything must be committed soon after."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        ends = self._broker.ends(reports)
        while self._broker.committed(group, reports) != ends:
            workers.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{group} has not committed everything within {_SETTLE_SECONDS:.0f} s")
            time.sleep(0.1)

    def _verify(self, way: Way, expected: Expected, starts: dict[Place, int]) -> None:
        """All ways must have judged the same: what they sent is read back and compared with the first one's."""
        digest = read_back(self._settings.kafka(), starts, self._broker.ends(list(starts)))
        if digest.verdicts != expected.by_verdict:
            raise BenchError(f"{way.name} judged {digest.verdicts}; the sample was made with {expected.by_verdict}")
        first = self._digests.setdefault(way.load, digest)
        if digest != first:
            raise BenchError(f"{way.name} judged differently: {digest} instead of {first}")
