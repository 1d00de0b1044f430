"""``zhida sample`` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zhida.cli import main
from zhida.errors import ExitCode


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_DATA_DIR", str(tmp_path / "var"))


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["sample", *arguments])
    return int(ended.value.code or 0)


def test_a_sample_is_generated_and_shown_with_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "样例")
    options = ("--records", "1000", "--seed", "3", "--today", "2026-03-02", "--faults", "rejected=0.1")
    assert _run("generate", "--out", folder, *options, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["made_with"]["seed"] == 3
    assert sum(counts.get("rejected", 0) for counts in made["datasets"].values()) == 100
    assert _run("show", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out) == made
    assert _run("show", folder, "--rules") == 0
    shown = capsys.readouterr().out
    assert "1000 条消息" in shown
    assert "行政处罚" in shown
    assert "legal_person.unit.known_unit" in shown


@pytest.mark.parametrize("faults", ["rejected=5", "nonsense=1", "rejected"])
def test_impossible_shares_are_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], faults: str) -> None:
    assert _run("generate", "-n", "10", "--out", str(tmp_path / "x"), "--faults", faults) == ExitCode.USAGE
    assert "错误" in capsys.readouterr().err


def test_a_folder_without_a_sample_is_said_to_be_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", str(tmp_path / "none")) == ExitCode.NOT_FOUND
    assert "sample.json" in capsys.readouterr().err
