"""``zhida rules lint | test | show``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rules.ruleset import LIBRARY_DIR
from zhida.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rules", *arguments])
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


@pytest.fixture
def broken_library(tmp_path: Path) -> Path:
    shutil.copytree(LIBRARY_DIR, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "legal_person.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("kind: uscc", "kind: usc", 1), encoding="utf-8")
    return tmp_path


def test_lint_says_that_the_shipped_library_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "lint")
    assert code == 0
    assert "no problems" in out


def test_lint_names_file_line_and_suggestion(capsys: pytest.CaptureFixture[str], broken_library: Path) -> None:
    code, out, _ = run(capsys, "lint", "--folder", str(broken_library))
    assert code == 1
    assert f"{broken_library}/legal_person.yaml:" in out
    assert "did you mean 'uscc'?" in out


def test_test_runs_the_examples_of_every_dataset_and_says_how_far_they_reach(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "test", "--mutants", "--json")
    *results, library = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {result["dataset"] for result in results} >= {"legal_person", "administrative_licence"}
    assert all(result["covered"] == result["rules"] and result["wrong"] == 0 for result in results)
    assert library["datasets_with_rules"] == library["datasets"] == len(results)
    assert library["covered"] == library["rules"] == sum(result["rules"] for result in results)
    assert library["kinds_unused"] == []
    noticed = library["mutants"]["all"]
    assert noticed["changes"] - noticed["noticed"] == len(library["survived"])


def test_test_shows_coverage_and_what_examples_do_not_notice(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "test", "--mutants")
    assert code == 0
    assert "种类已使用 kinds in use: " in out
    assert "扩展字段 extension fields" in out


def test_test_fails_when_an_example_comes_out_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree(LIBRARY_DIR, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "legal_person.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('pass: [{XZQHDM: "320102"}]', 'pass: [{XZQHDM: "32"}]', 2), encoding="utf-8")
    code, _, err = run(capsys, "test", "--folder", str(tmp_path))
    assert code == 1
    assert "legal_person.XZQHDM.pattern: example 1: must pass but fails" in err


def test_show_lists_rules_with_what_the_catalog_adds(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", "法人登记", "--json")
    rules = {rule["id"]: rule for rule in map(json.loads, out.splitlines())}
    assert code == 0
    assert "存续" in rules["legal_person.DJZT.enumeration"]["values"]
    assert rules["legal_person.ZCZB.required"]["when"] == {"JGLX": {"equals": ["企业"]}}


def test_show_without_a_dataset_counts_rules(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show")
    assert code == 0
    assert "administrative_penalty" in out


def test_a_library_that_cannot_be_used_ends_in_a_remedy(
    capsys: pytest.CaptureFixture[str], broken_library: Path
) -> None:
    code, _, err = run(capsys, "show", "--folder", str(broken_library))
    assert code == 1
    assert "zhida rules lint" in err
