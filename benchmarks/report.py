"""What a run has found: one JSON object, a table for people, and the file that is kept beside the commit."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psutil

from benchmarks.measure import WARM, Reading
from benchmarks.source import MEASURED, fingerprint
from benchmarks.throughput import Results, Sizes
from benchmarks.ways.table import AIMS, RATIOS, WAYS
from zhida.stack.kafka import KAFKA_VERSION

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("aiokafka", "confluent-kafka", "fastavro", "faust-streaming", "polars", "quixstreams", "redis")


def throughput_report(results: Results, real: bool, sizes: Sizes, begun: Begun) -> dict[str, Any]:
    """Everything about a side-by-side run."""
    ways = {way.name: _way(way.title, results.readings[way.name]) for way in WAYS if way.name in results.readings}
    return {
        **environment(real, begun),
        "method": {
            "rounds": sizes.rounds,
            "order": "round robin, each round begins with another way; the median counts",
            "span": f"from {WARM:.0%} of the accepted records visible to every output visible",
            "records": {load: corpus.expected.received for load, corpus in results.loads.items()},
            "load_of": {way.name: way.load for way in WAYS if way.name in results.readings},
            "foreign_cores": _foreign(results),
            "mix": results.loads["full"].mix(),
        },
        "ways": ways,
        "ratios": {
            name: {
                clock: _ratio(ways[ours][clock]["median"], ways[theirs][clock]["median"]) for clock in ("wall", "cpu")
            }
            for name, (ours, theirs) in RATIOS.items()
            if ours in ways and theirs in ways
        },
        "aims": AIMS,
    }


def environment(real: bool, begun: Begun) -> dict[str, Any]:
    """When, where and with what."""
    return {
        "at": begun.at.isoformat(timespec="seconds"),
        "commit": begun.commit,
        "source": begun.source,
        "source_changed_meanwhile": fingerprint(MEASURED) != begun.source,
        "broker": f"Apache Kafka {KAFKA_VERSION}" if real else "Tansu (embedded)",
        "stack": "real" if real else "embedded",
        "machine": {
            "processor": _processor(),
            "cores": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": platform.platform(),
            "load_average": [round(value, 2) for value in psutil.getloadavg()],
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
    }


@dataclass(frozen=True, slots=True)
class Begun:
    """What was measured, noted before the first process starts."""

    at: datetime
    commit: str
    source: str

    @classmethod
    def now(cls) -> Begun:
        """The source as it is."""
        return cls(datetime.now(UTC), commit(), fingerprint(MEASURED))


def commit() -> str:
    """The short hash of the commit that was measured, with ``+`` when files differ from it; ``unknown`` without git."""
    folder = Path(__file__).resolve().parents[1]
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() or "unknown"


def save(report: dict[str, Any], kind: str) -> Path:
    """Keep *report* in ``results/``; a later run of the same commit on the same day replaces it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['at'][:10]}-{report['commit'].rstrip('+')}-{kind}.json"
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def table(report: dict[str, Any]) -> str:
    """For people."""
    machine = report["machine"]
    lines = [
        f"{report['broker']}, {machine['cores']} cores, {machine['processor']}, commit {report['commit']}",
        "",
        f"{'way':34}{'records/s (wall)':>18}{'min - max':>22}{'records/s of CPU':>19}{'min - max':>22}",
    ]
    for name, way in report["ways"].items():
        cells = [
            f"{way[c]['median']:>{w},.0f}{way[c]['min']:>11,.0f} -{way[c]['max']:>9,.0f}"
            for c, w in (("wall", 18), ("cpu", 19))
        ]
        lines.append(f"{name:34}" + " ".join(cells))
    lines.append(f"other programs took {report['method']['foreign_cores']:.2f} cores meanwhile")
    lines += ["", f"{'ratio':34}{'wall':>10}{'aim':>8}{'CPU':>10}{'aim':>8}"]
    for name, ratio in report["ratios"].items():
        aim = {clock: "" if value is None else f"{value:g}" for clock, value in AIMS[name].items()}
        shown = {clock: "-" if value is None else f"{value:.2f}" for clock, value in ratio.items()}
        lines.append(f"{name:34}{shown['wall']:>10}{aim['wall']:>8}{shown['cpu']:>10}{aim['cpu']:>8}")
    return "\n".join(lines)


def _way(title: str, readings: list[Reading]) -> dict[str, Any]:
    return {
        "title": title,
        "wall": _spread([reading.per_second for reading in readings]),
        "cpu": _spread([reading.per_cpu_second for reading in readings]),
        "runs": [{"records": round(r.records), "wall_s": round(r.wall, 3), "cpu_s": round(r.cpu, 3)} for r in readings],
    }


def _foreign(results: Results) -> float:
    readings = [reading for readings in results.readings.values() for reading in readings]
    return round(sum(r.foreign for r in readings) / sum(r.wall for r in readings), 2)


def _ratio(ours: float, theirs: float) -> float | None:
    """None where a quick run was over before it could be timed."""
    return round(ours / theirs, 3) if theirs else None


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values)), "min": round(min(values)), "max": round(max(values))}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
