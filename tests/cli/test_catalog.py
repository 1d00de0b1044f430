"""``zhida catalog``: what it prints, how it ends, and the reference pages that it writes."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rules.ruleset import LIBRARY_DIR
from schemas.catalog import CATALOG_DIR, Catalog
from zhida.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["catalog", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the catalog that comes with Zhida."""
    for name in ("datasets", "extensions", "assignments", "data"):
        shutil.copytree(CATALOG_DIR / name, tmp_path / "catalog" / name)
    return tmp_path / "catalog"


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def small(folder: Path) -> list[str]:
    """The same with one dataset and its rules alone: quick to lint. The options that name it."""
    rules = folder.parent / "rules"
    rules.mkdir()
    shutil.copy(LIBRARY_DIR / "_library.yaml", rules)
    text = (LIBRARY_DIR / "honour.yaml").read_text(encoding="utf-8")
    # Without the rules that name other datasets.
    (rules / "honour.yaml").write_text(text[: text.index("\n  # What other records say")], encoding="utf-8")
    for kind in ("datasets", "extensions", "assignments"):
        for path in (folder / kind).rglob("*.yaml"):
            if path.stem != "honour":
                path.unlink()
    return ["--folder", str(folder), "--rules", str(rules)]


def test_lint_ends_with_0_where_all_is_well_and_with_1_where_not(
    small: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lint", *small, "--strict") == 0
    edit(folder, "datasets/honour.yaml", "category: 诚实守信相关荣誉", "category: 荣誉")
    capsys.readouterr()
    assert run("lint", *small, "--json") == 1
    (problem,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert problem["file"].endswith("honour.yaml")
    assert (problem["line"], problem["severity"]) == (4, "error")
    assert run("lint", *small) == 1
    assert f"{folder}/datasets/honour.yaml:4: " in capsys.readouterr().out


def test_warnings_fail_only_where_asked(small: list[str], folder: Path) -> None:
    edit(folder, "datasets/honour.yaml", "owner: 省公共信用信息中心\n", "")
    assert run("lint", *small) == 0
    assert run("lint", *small, "--strict") == 1


def test_the_tree_has_every_dataset_with_its_level_its_added_fields_and_its_units(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("tree", "--json", "--day", "2026-06-30") == 0
    rows = {row["dataset"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows.keys() == {dataset.code for dataset in Catalog.load()}
    assert rows["administrative_penalty"]["added"] == {"320500": ["CF_CLJZ"]}
    assert rows["environmental_credit"]["level"] == "extended"
    assert all(row["units"] > 0 for row in rows.values())
    assert run("tree") == 0
    assert "扩展 苏州市：CF_CLJZ" in capsys.readouterr().out


def test_a_template_has_the_fields_of_the_province_and_of_the_units_own_city(
    capsys: pytest.CaptureFixture[str],
) -> None:
    titles = {}
    for region in ("", "320500", "320506", "320100"):
        assert run("template", "administrative_penalty", "--region", region) == 0
        titles[region] = capsys.readouterr().out.strip().split(",")
    assert "裁量基准阶次" in titles["320500"]
    assert titles["320500"] == titles["320506"]
    assert titles[""] == titles["320100"]
    assert "裁量基准阶次" not in titles[""]
    assert run("template", "administrative_licence", "--region", "320100") == 0
    assert "办理类型" in capsys.readouterr().out
    assert run("template", "administrative_penalty", "--region", "999999") == 2


def test_diff_ends_with_1_where_a_change_is_not_compatible(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", str(CATALOG_DIR), str(folder)) == 0
    edit(folder, "datasets/honour.yaml", "owner: 省公共信用信息中心", "owner: 南京市信用办")
    assert run("diff", str(CATALOG_DIR), str(folder)) == 0
    assert "南京市信用办" in capsys.readouterr().out
    (folder / "datasets" / "honour.yaml").unlink()
    assert run("diff", str(CATALOG_DIR), str(folder), "--json") == 1
    (change,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (change["code"], change["kind"], change["compatible"]) == ("honour", "removed", False)


def test_a_broken_catalog_is_told_with_file_and_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder, "datasets/honour.yaml", "type: date", "type: dat")
    assert run("tree", "--folder", str(folder)) == 2
    error = capsys.readouterr().err
    assert re.search(r"honour\.yaml:\d+: ", error.replace("\n", ""))
    assert run("tree", "--folder", str(folder / "none")) == 4


class _Page(HTMLParser):
    """What a page refers to, and whether its tags are closed in order."""

    void = frozenset({"meta", "br", "hr", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def close(self) -> None:
        super().close()
        assert not self._open


def test_the_reference_has_a_page_of_each_dataset_that_needs_nothing_else(tmp_path: Path) -> None:
    assert run("docs", str(tmp_path / "pages"), "--day", "2026-06-30") == 0
    names = {"index", *(dataset.code for dataset in Catalog.load())}
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {f"{n}.{e}" for n in names for e in ("md", "html")}
    for name in names:
        page = _Page()
        page.feed((tmp_path / "pages" / f"{name}.html").read_text(encoding="utf-8"))
        page.close()
        assert set(page.links) <= {f"{other}.html" for other in names}
        assert not page.tags & {"script", "img", "link", "iframe"}
    penalty = (tmp_path / "pages" / "administrative_penalty.md").read_text(encoding="utf-8")
    for dataset in Catalog.load():
        if dataset.code == "administrative_penalty":
            assert all(f"| `{field.name}` |" in penalty for field in dataset.fields)
    assert "处罚决定日期 CF\\_JDRQ 之后 7 个工作日内" in penalty
    assert "处罚类别含“罚款”时，大于 0" in penalty
    assert "| 市场监管 | 1 | 13 | 95 |" in penalty
    example = json.loads(penalty.partition("```json\n")[2].partition("```")[0])
    assert example["CF_WSH"] == "宁市监罚字〔2026〕56号"


def test_markup_in_a_label_is_shown_and_not_obeyed(small: list[str], folder: Path, tmp_path: Path) -> None:
    hostile = "获奖者 <script>alert(1)</script> | [x](javascript:alert(1)) `x`"
    edit(folder, "datasets/honour.yaml", "zh: 荣誉表彰", f"zh: '{hostile}'")
    assert run("docs", str(tmp_path / "pages"), *small, "--format", "html") == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "pages").iterdir()}
    assert run("docs", str(tmp_path / "pages"), *small, "--format", "html") == 0
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "pages").iterdir()}
    for name in ("index", "honour"):
        text = (tmp_path / "pages" / f"{name}.html").read_text(encoding="utf-8")
        page = _Page()
        page.feed(text)
        page.close()
        assert "script" not in page.tags
        assert not any("javascript" in link for link in page.links)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
