"""``zhida report``, ``zhida feedback follow`` and ``zhida status`` as a unit runs them, against a real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from platform_support import Platform, make_feedback, send_feedback
from reporting_samples import penalty_csv

from schemas.topics import feedback_topic
from zhida.stack.testing import create_topic

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def zhida(platform: Platform, tmp_path: Path) -> Run:
    """Runs the command line in a folder of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZHIDA_")} | {
        "ZHIDA_KAFKA_BOOTSTRAP": platform.kafka.bootstrap,
        "ZHIDA_REGISTRY_URL": platform.registry_url,
        "ZHIDA_DATA_DIR": str(tmp_path / "var"),
        "ZHIDA_API_PORT": "1",
        "COLUMNS": "200",
    }

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zhida", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=60)

    return run


def test_a_report_prints_its_refused_rows_and_its_sum(zhida: Run, own_unit: str, tmp_path: Path) -> None:
    path = tmp_path / "处罚.csv"
    path.write_text(penalty_csv([{"CF_WSH": "1"}, {"CF_WSH": "2", "CF_JDRQ": "昨天"}]), encoding="gb18030")
    done = zhida("report", "行政处罚", path, "--unit", own_unit, "--errors", "未发送.csv")
    assert done.returncode == 1, done.stderr
    assert "gb18030" in done.stdout
    assert "昨天" in done.stdout
    assert (tmp_path / "未发送.csv").exists()


def test_a_report_for_programs_is_one_json_object_a_line(zhida: Run, own_unit: str, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{"CF_WSH": "1"}, {"CF_WSH": "2", "CF_JDRQ": "昨天"}]))
    done = zhida("report", "administrative_penalty", path, "--unit", own_unit, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["refused", "summary"]
    assert (events[1]["sent"], events[1]["refused"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["administrative_penalty", "没有.csv", "--unit", "{unit}"], 1, "没有.csv"),
        (["administrative_penality", "a.csv", "--unit", "{unit}"], 2, "administrative_penalty"),
        (["administrative_penalty", "a.csv", "--unit", "123"], 2, "123"),
        (["administrative_penalty", "a.csv"], 2, "--unit"),
    ],
)
def test_a_mistake_ends_with_its_code_and_what_to_do(
    zhida: Run, own_unit: str, arguments: list[str], code: int, words: str
) -> None:
    done = zhida("report", *(argument.format(unit=own_unit) for argument in arguments))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_feedback_is_shown_with_label_value_and_reason(zhida: Run, platform: Platform, own_unit: str) -> None:
    create_topic(platform.kafka, feedback_topic(own_unit))
    send_feedback(platform.kafka, make_feedback(own_unit, "zhida.report.administrative_penalty", 0, 5))
    done = zhida("feedback", "follow", "--unit", own_unit, "--from-beginning", "--limit", "1")
    assert done.returncode == 0, done.stderr
    for words in ("退回", "处罚决定日期 CF_JDRQ", "2099-01-01", "处罚决定日期晚于今天", "20 ms"):
        assert words in done.stdout
    done = zhida("feedback", "follow", "--unit", own_unit, "--from-beginning", "--limit", "1", "--json")
    assert json.loads(done.stdout)["source_offset"] == 5


def test_feedback_that_is_not_there_yet_is_said_and_waited_for(zhida: Run, own_unit: str) -> None:
    done = zhida("feedback", "follow", "--unit", own_unit, "--timeout", "0.5")
    assert done.returncode == 0, done.stderr
    assert "等待" in done.stderr


def test_a_connector_is_run_by_its_name(zhida: Run, own_unit: str, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{}]))
    done = zhida(
        "connector", "run", "file", "--set", f"path={path}", "--set", f"unit={own_unit}", "--set",
        "dataset=administrative_penalty",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == 1


def test_status_counts_what_every_report_topic_holds(zhida: Run, own_unit: str, tmp_path: Path) -> None:
    before = json.loads(zhida("status", "--json").stdout)
    path = tmp_path / "report.csv"
    path.write_text(penalty_csv([{"record_id": f"R-{number}"} for number in range(40)]))
    assert zhida("report", "administrative_penalty", path, "--unit", own_unit).returncode == 0
    done = zhida("status", "--json")
    after = json.loads(done.stdout)
    # The API does not run here.
    assert done.returncode == 3
    assert after["parts"]["kafka"]["ok"]
    assert not after["parts"]["api"]["ok"]
    assert after["total"]["received"] - before["total"]["received"] == 40
    assert after["total"]["received"] == after["total"]["governed"] + after["total"]["lag"]


def test_a_subject_cannot_be_asked_for_while_the_api_is_down(zhida: Run) -> None:
    done = zhida("subject", "show", "91320100MA1XXXXX0A")
    assert done.returncode == 3
    assert "zhida up" in done.stderr
