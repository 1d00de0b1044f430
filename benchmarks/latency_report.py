"""What a latency run has found: figures, targets and a histogram in text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.corpus import Corpus
from benchmarks.latency import LISTENING_UNITS, PROBE_EVERY, Timings
from benchmarks.report import Begun, environment

#: Milliseconds; each bucket reaches to the next.
EDGES = (0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000)
TARGETS = {"feedback_p50_ms": 50, "feedback_p99_ms": 300, "redis_p99_ms": 500, "govern_cores": 0.3}
_BAR = 50


def latency_report(
    timings: Timings, real: bool, rate: float, warm_up: float, corpus: Corpus, begun: Begun
) -> dict[str, Any]:
    """Everything about a latency run."""
    govern = sum(share for name, share in timings.cpu_share.items() if name.startswith("govern"))
    report = {
        **environment(real, begun),
        "method": {
            "rate": rate,
            "seconds": round(timings.seconds, 1),
            "warm_up_seconds": warm_up,
            "produced": timings.produced,
            "late_ticks": timings.late_ticks,
            "foreign_cores": round(timings.foreign_cores, 2),
            "listening_units": LISTENING_UNITS,
            "probe_every": PROBE_EVERY,
            "mix": corpus.mix()["shares"],
        },
        "feedback": _figures(timings.feedback),
        "redis": _figures(timings.redis),
        "govern_cores": round(govern, 3),
        "cores": {name: round(share, 3) for name, share in sorted(timings.cpu_share.items())},
        "targets": TARGETS,
    }
    report["met"] = {
        "feedback_p50_ms": report["feedback"]["p50_ms"] <= TARGETS["feedback_p50_ms"],
        "feedback_p99_ms": report["feedback"]["p99_ms"] <= TARGETS["feedback_p99_ms"],
        "redis_p99_ms": report["redis"]["p99_ms"] <= TARGETS["redis_p99_ms"],
        "govern_cores": govern <= TARGETS["govern_cores"],
    }
    return report


def text(report: dict[str, Any]) -> str:
    """For people."""
    met = {name: "" if ok else "  missed" for name, ok in report["met"].items()}
    feedback, cache, targets = report["feedback"], report["redis"], report["targets"]
    lines = [
        f"{report['broker']}, {report['machine']['cores']} cores, commit {report['commit']}, "
        f"{report['method']['rate']:,.0f} records/s for {report['method']['seconds']:.0f} s; "
        f"other programs took {report['method']['foreign_cores']:.2f} cores",
        "",
        f"produce → feedback   p50 {feedback['p50_ms']:8.1f} ms (aim {targets['feedback_p50_ms']})"
        f"{met['feedback_p50_ms']}",
        f"                     p99 {feedback['p99_ms']:8.1f} ms (aim {targets['feedback_p99_ms']})"
        f"{met['feedback_p99_ms']}   max {feedback['max_ms']:.1f} ms of {feedback['count']:,}",
        f"produce → Redis      p50 {cache['p50_ms']:8.1f} ms",
        f"                     p99 {cache['p99_ms']:8.1f} ms (aim {targets['redis_p99_ms']})"
        f"{met['redis_p99_ms']}   max {cache['max_ms']:.1f} ms of {cache['count']:,}",
        f"govern               {report['govern_cores']:12.3f} of a core (aim {targets['govern_cores']})"
        f"{met['govern_cores']}",
    ]
    lines.append("cores: " + ", ".join(f"{name} {share:.2f}" for name, share in report["cores"].items()))
    for name in ("feedback", "redis"):
        lines += ["", f"produce → {name}, ms", *_bars(report[name]["histogram"])]
    return "\n".join(lines)


def _figures(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        raise ValueError("nothing was timed: the run was too short")
    array = np.asarray(values)
    p50, p90, p99 = (round(float(value), 2) for value in np.percentile(array, (50, 90, 99)))
    counts, _ = np.histogram(array, bins=(*EDGES, np.inf))
    return {
        "count": len(values),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "max_ms": round(float(array.max()), 2),
        "histogram": [{"from_ms": edge, "count": int(count)} for edge, count in zip(EDGES, counts, strict=True)],
    }


def _bars(histogram: Sequence[dict[str, Any]]) -> list[str]:
    filled = [number for number, bucket in enumerate(histogram) if bucket["count"]]
    shown = histogram[filled[0] : filled[-1] + 1]
    most = max(bucket["count"] for bucket in shown)
    lines = []
    for number, bucket in enumerate(shown, start=filled[0]):
        until = f"- {EDGES[number + 1]:>5}" if number + 1 < len(EDGES) else "and up"
        bar = "█" * max(1 if bucket["count"] else 0, round(bucket["count"] / most * _BAR))
        lines.append(f"{bucket['from_ms']:>6} {until:7} {bucket['count']:>8,} {bar}")
    return lines
