"""The benchmark does what it says on small figures; no test looks at how fast anything is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from benchmarks.run import alone

ROOT = Path(__file__).resolve().parents[2]
RATIOS = {
    "govern_vs_stock_faust",
    "govern_vs_handwritten",
    "govern_vs_quix",
    "govern_vs_passthrough",
    "whole_vs_handwritten",
    "all_rules_vs_govern",
    "all_rules_vs_handwritten",
}


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    """The object that ``script/bench --json`` prints, on the embedded engines."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.run", "--json", "--quick", "--embedded", "--no-save"),
            *("--folder", str(folder), *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = orjson.loads(done.stdout)
    return report


def test_every_way_judges_alike_and_is_in_the_one_object(tmp_path: Path) -> None:
    report = bench(tmp_path, "--records", "4000", "--slow-records", "1000")
    assert set(report["ratios"]) == RATIOS
    assert all(set(ratio) == {"wall", "cpu"} for ratio in report["ratios"].values())
    for way in report["ways"].values():
        assert way["wall"].keys() == way["cpu"].keys() == {"median", "min", "max"}
        assert len(way["runs"]) == 1
    assert report["method"]["mix"]["expected"]["received"] == 4000
    assert report["broker"].startswith("Tansu")


def test_latency_times_feedback_and_redis_and_shows_a_histogram(tmp_path: Path) -> None:
    report = bench(tmp_path, "--latency", "--rate", "300", "--seconds", "5")
    for what in ("feedback", "redis"):
        figures = report[what]
        assert figures["count"] == sum(bucket["count"] for bucket in figures["histogram"]) > 0
        assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert set(report["met"]) == {"feedback_p50_ms", "feedback_p99_ms", "redis_p99_ms", "govern_cores"}
    assert report["govern_cores"] > 0


def test_rules_are_timed_beside_the_clients_own_executor(tmp_path: Path) -> None:
    report = bench(tmp_path, "--rules")
    for code, figures in report["datasets"].items():
        assert figures["columns_us"] > 0
        assert figures["rows_us"] > 0
        assert len(figures["alone_us_by_rule"]) == figures["rules"]
        client = report["client"][code]
        assert client["columns_to_client"] > 0
        assert client["rows_to_client"] > 0
        assert 0 < client["rules"] <= figures["rules"]
    assert report["growth"]["sets"].keys() == {"10", "25", "50", "100", "200"}
    assert report["growth"]["sets"]["10"]["columns_to_least"] == 1
    assert {"at", "commit", "source", "machine", "versions", "kinds", "rule_set"} <= report.keys()


def test_a_second_run_in_the_same_folder_is_refused_and_leaves_the_first_one_alone(tmp_path: Path) -> None:
    kept = tmp_path / "stack" / "in-use"
    kept.parent.mkdir()
    kept.touch()
    with alone(tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.run", "--quick", "--embedded", "--folder", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "another benchmark runs" in done.stderr
    assert kept.exists()
