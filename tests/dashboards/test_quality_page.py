"""The page of the quality indicators in a real browser, on the real store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from conftest import LISTING, PENALTY, TOKEN, Province, Watched, new_uscc, open_deps, penalty, served
from playwright.sync_api import Download, Page, expect

from dashboards.app import ApiDeps, create_app
from dashboards.pages import STATIC
from schemas.assignments import Assignments
from schemas.release import Release
from schemas.units import Regions, Unit, Units
from sinks.indicators import DEADLINE_KIND
from zhida.cli import main

pytestmark = pytest.mark.browser
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LATE = {"rule": f"{PENALTY}.CF_JDRQ.{DEADLINE_KIND}", "dimension": "timeliness"}
MISSING = {"rule": f"{PENALTY}.CF_WSH.required", "dimension": "completeness"}
#: Name and code of a unit: a formula and a script, and a number that Excel would round.
CALCULATED = '=HYPERLINK("//x")<img src=x onerror="document.title=\'pwned\'">'
DIGITS = "113201000100000001"


@pytest.fixture(scope="module")
def judged(province: Province, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiDeps]:
    """What the service is handed: some days of verdicts, and units that are due."""
    province.judge("accepted", [penalty(str(n), new_uscc()) for n in range(5)], age=2 * 86_400)
    province.judge("accepted", [penalty(str(n), new_uscc()) for n in range(20, 22)])
    province.judge("suspect", [penalty("3", new_uscc())], violations=[LATE])
    province.judge("rejected", [penalty("4", new_uscc())], violations=[MISSING])
    province.judge("accepted", [{"record_id": "5"}], dataset=LISTING, city="320500")
    hostile = Unit(DIGITS, CALCULATED, "320102", "county", "x")
    units = Units([*province.units, hostile])
    wuxi = province.unit("320200").code
    entry = {"units": [province.unit("320100").code, wuxi, DIGITS], "from": "2026-01-01", "cycle": "daily"}
    files = [{"dataset": PENALTY, "assignments": [entry]}]
    assigned = Assignments.from_data(files, province.catalog, units, Regions.load())
    release = Release(province.catalog, province.regions, units, assigned)
    opened = open_deps(province, tmp_path_factory.mktemp("judged"))
    deps = next(opened)
    yield replace(deps, in_force=lambda: release, timed=lambda: frozenset({PENALTY}))
    next(opened, None)


def shown(page: Page) -> dict[str, list[str]]:
    """The rows of the table: the cells by the row's key, the sum under ''."""
    rows = page.locator("#figures tbody tr, #figures tfoot tr").all()
    cells = [(row.get_attribute("data-key") or "", row.locator("td").all_inner_texts()) for row in rows]
    return {
        key: [re.sub(r"^—\s*不计算.*", "—", text.strip(), flags=re.DOTALL) for text in texts] for key, texts in cells
    }


def arrived(page: Page, title: str) -> None:
    expect(page.locator("#title")).to_contain_text(title)
    expect(page.locator("body")).to_have_attribute("aria-busy", "false")


def saved(page: Page, folder: Path) -> tuple[Download, str]:
    with page.expect_download() as caught:
        page.click("#save")
    caught.value.save_as(folder / "saved.csv")
    return caught.value, (folder / "saved.csv").read_bytes().decode("utf-8")


def test_page_api_and_command_line_show_the_same_figures(
    watched: Watched,
    judged: ApiDeps,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    page = watched.page
    monkeypatch.setenv("ZHIDA_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("ZHIDA_API_TOKEN", TOKEN)
    with served(create_app(judged)) as address:
        monkeypatch.setenv("ZHIDA_API_PORT", address.rpartition(":")[2])
        page.goto(f"{address}/quality?token={TOKEN}")
        arrived(page, "全省 · 按设区市")
        assert page.url == f"{address}/quality"
        for by in ("city", "dataset", "day"):
            page.check(f"[name=by][value={by}]", force=True)
            arrived(page, {"city": "按设区市", "dataset": "按数据集", "day": "按日期"}[by])
            table = shown(page)
            api = httpx.get(f"{address}/v1/quality", params={"by": by}, headers=BEARER, trust_env=False).json()
            with pytest.raises(SystemExit):
                main(["quality", "show", "--by", by, "--json"])
            told = orjson.loads(capsys.readouterr().out)
            assert told["rows"] == api["rows"]
            assert list(table) == [*(row["key"] for row in api["rows"]), ""]
            for row in (*api["rows"], api["total"]):
                assert table[row["key"]] == figures(row), row["key"]
        nanjing = httpx.get(f"{address}/v1/quality", headers=BEARER, trust_env=False).json()["rows"][0]
        assert (nanjing["records"], nanjing["accepted"], nanjing["timeliness"]) == (9, 8, 7 / 8)
        expect(page.locator(".rate-card canvas")).to_have_count(4)
        told_by_chart = page.locator("[data-rate=compliance] .chart").get_attribute("aria-label") or ""
        assert "最低" in told_by_chart
        assert watched.hosts == {urlsplit(address).netloc}
        assert watched.complaints == []


def figures(row: dict[str, float | None]) -> list[str]:
    rates = [row[name] for name in ("completeness", "timeliness", "compliance", "reporting_rate")]
    names = ("records", "accepted", "suspect", "rejected", "quarantined", "due", "reported")
    # Rounded down, so that 100 % means all.
    return ["—" if rate is None else f"{int(rate * 10_000 + 1e-6) / 100:.2f}%" for rate in rates] + [
        f"{row[name]:,}" for name in names
    ]


def test_one_can_go_down_to_a_unit_and_take_the_figures_away(watched: Watched, judged: ApiDeps, tmp_path: Path) -> None:
    page = watched.page
    with served(create_app(judged)) as address:
        page.goto(f"{address}/quality?token={TOKEN}")
        page.click("#figures a:has-text('南京市')")
        arrived(page, "南京市 · 按县区")
        assert page.evaluate("document.activeElement.id") == "title"
        page.click("#figures [data-key='320102'] a")
        arrived(page, "玄武区 · 按单位")
        expect(page.locator(f"#figures [data-key='{DIGITS}'] th")).to_contain_text("=HYPERLINK")
        assert page.locator("#figures img").count() == 0
        assert "pwned" not in page.title()
        expect(page.locator("#notes")).to_contain_text("及时率：没有设有时限规则的数据集的通过记录")
        download, text = saved(page, tmp_path)
        assert download.suggested_filename.startswith("质量指标_玄武区_按单位_")
        assert text.startswith('\ufeff"编码","单位","完整率"')
        (line,) = [line for line in text.split("\r\n") if DIGITS in line]
        # Nothing that Excel would compute, and no code that it would round.
        assert line.startswith(f'"{DIGITS}\t","\'=HYPERLINK(""//x"")')
        page.go_back()
        arrived(page, "南京市 · 按县区")
        page.reload()
        arrived(page, "南京市 · 按县区")
        page.click("#path a:has-text('全省')")
        arrived(page, "全省 · 按设区市")
        page.select_option("[name=dataset]", LISTING)
        arrived(page, "全省 · 经营异常名录 · 按设区市")
        assert set(shown(page)) == {"320500", ""}
        expect(page.locator(".pages a:has-text('实时掌控')")).to_have_attribute("href", "live")
        assert watched.complaints == []


def test_columns_sort_by_keyboard_and_a_rate_of_nothing_stays_last(
    watched: Watched, judged: ApiDeps, tmp_path: Path
) -> None:
    page = watched.page
    with served(create_app(judged)) as address:
        page.goto(f"{address}/quality?token={TOKEN}")
        arrived(page, "全省 · 按设区市")
        heading = page.locator("th:has([data-column=compliance])")
        for direction, order in (("ascending", ["320100", "320500"]), ("descending", ["320500", "320100"])):
            page.locator("[data-column=compliance]").press("Enter")
            expect(heading).to_have_attribute("aria-sort", direction)
            assert list(shown(page)) == [*order, "320200", ""]
            assert page.evaluate("document.activeElement.dataset.column") == "compliance"
        _, text = saved(page, tmp_path)
        assert re.findall(r'^"(\d+)"', text, re.MULTILINE) == ["320500", "320100", "320200"]
        page.set_viewport_size({"width": 360, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.click("#define")
        expect(page.get_by_role("dialog")).to_contain_text("complete / (accepted + rejected)")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert page.get_by_role("columnheader", name="合规率").get_attribute("aria-sort") == "descending"
        assert page.get_by_role("rowheader", name="南京市").count() == 1


def test_figures_of_another_question_do_not_stay_when_there_is_no_answer(watched: Watched, judged: ApiDeps) -> None:
    page = watched.page
    with served(create_app(judged)) as address:
        page.goto(f"{address}/quality?token={TOKEN}")
        arrived(page, "全省 · 按设区市")
        assert len(shown(page)) == 4
        page.goto(f"{address}/quality?from=2020-01-01&to=2026-01-01")
        expect(page.locator("#trouble")).to_contain_text("最长 366 天")
        assert shown(page) == {}
        page.select_option("[name=period]", "week")
        arrived(page, "全省 · 按设区市")
        expect(page.locator("#trouble")).to_be_hidden()
    page.check("[name=by][value=unit]", force=True)
    expect(page.locator("#trouble")).to_contain_text("服务无应答")
    assert shown(page) == {}
    expect(page.locator("#save")).to_be_disabled()


def test_the_definitions_on_the_page_are_those_of_the_documentation() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "indicators.md").read_text(encoding="utf-8")
    formulas = re.findall(r"^\| (\S+) `\w+` \| `(.+)` \|$", documented, re.MULTILINE)
    page = (STATIC / "quality.html").read_text(encoding="utf-8")
    told = re.findall(r"<dt>(\S+) .*<code>(.+)</code></dt>", page)
    assert len(formulas) == 4
    assert sorted(told) == sorted(formulas)
