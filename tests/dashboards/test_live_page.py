"""The live page in a real browser, on the real store, cache and broker."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from conftest import TOKEN, Province, Watched, new_uscc, penalty, served
from playwright.sync_api import expect

from dashboards.app import ApiDeps, create_app

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


def reject(rule: str, zh: str) -> list[dict[str, str]]:
    names = ("dimension", "field", "value")
    return [dict.fromkeys(names, "") | {"rule": rule, "severity": "reject", "message_zh": zh, "message_en": zh}]


def test_the_page_shows_the_province_as_it_changes(
    watched: Watched, empty_deps: ApiDeps, empty_province: Province
) -> None:
    page, province = watched.page, empty_province
    expect.set_options(timeout=30_000)
    with served(create_app(empty_deps)) as address:
        page.goto(f"{address}/live?token={TOKEN}")
        assert page.url == f"{address}/live"
        expect(page.locator("#link")).to_have_attribute("data-state", "live")
        expect(page.locator("#received")).to_have_text("0")
        expect(page.locator("#no-rejects")).to_be_visible()

        province.send(1_300)
        expect(page.locator("#received")).to_have_text("1,300")
        expect(page.locator("#balance")).to_have_attribute("data-state", "moving")
        province.judge("accepted", [penalty(f"A-{n}", new_uscc()) for n in range(1_200)], city="320100")
        province.judge("suspect", [penalty(f"S-{n}", new_uscc()) for n in range(60)], city="320500", age=200)
        province.judge("rejected", [penalty(f"R-{n}", "x") for n in range(38)], violations=reject("r.1", "日期错误"))
        province.judge("rejected", [penalty(HOSTILE, "x")], violations=reject(HOSTILE, HOSTILE))
        expect(page.locator("#in_flight")).to_have_text("1")
        province.judge("quarantined", [penalty("Q-1", "x")], violations=reject("truncated", "记录不完整"))

        expect(page.locator("#balance")).to_have_attribute("data-state", "balanced")
        expect(page.locator("#balance")).to_contain_text("核对一致")
        for name, shown in (("accepted", "1,260"), ("suspect", "60"), ("rejected", "39"), ("quarantined", "1")):
            expect(page.locator(f"#{name}")).to_have_text(shown)
        expect(page.locator(".city")).to_have_count(13)
        expect(page.locator('[data-city="320500"]')).to_have_attribute("data-level", "late")
        expect(page.locator('[data-city="321300"]')).to_have_attribute("data-level", "none")
        expect(page.locator('[data-city="320100"] .count')).to_have_text("1,200 条")
        expect(page.locator("#rate-peak")).not_to_have_text("0")
        expect(page.locator("#p99")).to_contain_text("ms")
        assert page.locator(".chart canvas").count() == 2

        expect(page.locator("#rejects tr")).to_have_count(30)
        expect(page.locator("#rejects")).to_contain_text("document.title='pwned'")
        expect(page.locator("#rejects")).to_contain_text(province.unit("320100").name)
        assert page.locator("#rejects img, #rejects script").count() == 0
        assert "pwned" not in page.title()
        expect(page.locator(".pages a:has-text('质量指标')")).to_have_attribute("href", "quality")
        assert watched.hosts == {urlsplit(address).netloc}
        assert watched.complaints == []


def test_an_interrupted_stream_is_shown_and_comes_back(
    watched: Watched, empty_deps: ApiDeps, empty_province: Province
) -> None:
    page = watched.page
    with served(create_app(empty_deps)) as address:
        page.goto(f"{address}/live?token={TOKEN}")
        expect(page.locator("#received")).to_have_text("0")
        assert watched.complaints == []
    expect(page.locator("#link")).to_contain_text("数据已中断")
    expect(page.locator("#trouble")).to_be_visible()
    empty_province.send(3)
    with served(create_app(empty_deps), port=urlsplit(address).port or 0):
        expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=60_000)
        expect(page.locator("#trouble")).to_be_hidden()
        expect(page.locator("#received")).to_have_text("3")


def test_the_page_fits_a_telephone(watched: Watched, deps: ApiDeps, province: Province) -> None:
    page = watched.page
    province.judge("rejected", [penalty("长" * 60, "x")], violations=reject("rule." + "x" * 60, "说明" * 80))
    page.set_viewport_size({"width": 360, "height": 780})
    with served(create_app(deps)) as address:
        page.goto(f"{address}/live?token={TOKEN}")
        expect(page.locator("#rejects tr").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_stranger_is_shown_the_sign_in_page_and_can_sign_in(watched: Watched, deps: ApiDeps) -> None:
    page = watched.page
    with served(create_app(deps)) as address:
        page.goto(f"{address}/")
        page.fill("#token", "wrong")
        page.click("button")
        expect(page.locator("form")).to_contain_text("令牌无效")
        page.fill("#token", TOKEN)
        page.click("button")
        expect(page.locator("#link")).to_have_attribute("data-state", "live")
        assert page.url == f"{address}/live"
        assert page.evaluate("document.cookie") == ""
