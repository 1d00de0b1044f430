from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import pytest
from conftest import LISTING, PENALTY, TOKEN, Province, new_uscc, penalty, served

from dashboards.app import ApiDeps, create_app
from schemas.assignments import Assignments
from schemas.release import Release
from sinks.indicators import DEADLINE_KIND
from zhida.cli import main

BEARER = {"Authorization": f"Bearer {TOKEN}", "X-Zhida-Purpose": "week 12"}
LATE = {"rule": f"{PENALTY}.CF_JDRQ.{DEADLINE_KIND}", "dimension": "timeliness"}
MISSING = {"rule": f"{PENALTY}.CF_WSH.required", "dimension": "completeness"}


@pytest.fixture
async def api(empty_deps: ApiDeps, empty_province: Province) -> AsyncIterator[httpx.AsyncClient]:
    release = empty_deps.in_force()
    units = [empty_province.unit(city).code for city in ("320100", "320200")]
    entry = {"units": units, "from": "2026-01-01", "cycle": "daily"}
    files = [{"dataset": PENALTY, "assignments": [entry]}]
    assigned = Assignments.from_data(files, release.catalog, release.units, release.regions)
    settled = Release(release.catalog, release.regions, release.units, assigned)
    app = create_app(replace(empty_deps, in_force=lambda: settled, timed=lambda: frozenset({PENALTY})))
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client,
    ):
        yield client


@pytest.mark.anyio
async def test_the_indicators_are_answered_by_group(api: httpx.AsyncClient, empty_province: Province) -> None:
    empty_province.judge("accepted", [penalty("1", new_uscc()), penalty("2", new_uscc())])
    empty_province.judge("suspect", [penalty("3", new_uscc())], violations=[LATE])
    empty_province.judge("rejected", [penalty("4", new_uscc())], violations=[MISSING])
    empty_province.judge("accepted", [{"record_id": "5"}], dataset=LISTING, city="320500")
    found = (await api.get("/v1/quality", params={"by": "city"}, headers=BEARER)).json()
    assert [(row["key"], row["name"]) for row in found["rows"]] == [
        ("320100", "南京市"),
        ("320200", "无锡市"),
        ("320500", "苏州市"),
    ]
    nanjing, wuxi, suzhou = found["rows"]
    rates = ("completeness", "timeliness", "compliance", "reporting_rate")
    assert [nanjing[rate] for rate in rates] == pytest.approx([3 / 4, 2 / 3, 3 / 4, 1.0])
    assert [wuxi[rate] for rate in rates] == [None, None, None, 0.0]
    assert [suzhou[rate] for rate in rates] == [1.0, None, 1.0, None]
    assert (found["total"]["records"], found["total"]["reporting_rate"]) == (5, 0.5)
    today = (datetime.now(UTC) + timedelta(hours=8)).date()
    assert (found["from"], found["to"]) == (str(today - timedelta(days=6)), str(today))
    one = (await api.get("/v1/quality", params={"by": "unit", "dataset": LISTING}, headers=BEARER)).json()
    assert [row["records"] for row in one["rows"]] == [1]


@pytest.mark.anyio
async def test_what_can_be_asked_for_is_what_is_in_force(deps: ApiDeps) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        found = (await client.get("/v1/quality/choices", headers=BEARER)).json()
    assert {one["code"]: one["zh"] for one in found["datasets"]}[PENALTY] == deps.catalog[PENALTY].zh
    assert {"code": "320102", "name": "玄武区", "level": "county", "parent": "320100"} in found["regions"]
    assert (found["usual_days"], found["longest_days"]) == (7, 366)
    assert datetime.fromisoformat(found["now"]).tzinfo is not None


@pytest.mark.anyio
async def test_every_question_is_in_the_audit_journal_before_it_is_answered(deps: ApiDeps) -> None:
    transport = httpx.ASGITransport(create_app(deps), client=("192.0.2.7", 4711))
    asked = {
        "by": "unit",
        "from": "2026-03-02",
        "to": "2026-03-03",
        "dataset": PENALTY,
        "city": "320100",
        "own": "true",
    }
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        assert (await client.get("/v1/quality", params=asked, headers=BEARER)).status_code == 200
    (journal,) = deps.audit_folder.glob("*.jsonl")
    noted = orjson.loads(journal.read_bytes())
    assert noted["what"] == f"quality.read by=unit from=2026-03-02 to=2026-03-03 dataset={PENALTY} region=320100 own"
    assert [noted[name] for name in ("who", "why", "source", "outcome")] == [
        "api-token",
        "week 12",
        "192.0.2.7",
        "ok:store",
    ]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("by=moon", "bad_by"),
        ("dataset=%27%20OR%201", "unknown_dataset"),
        ("city=999999", "unknown_region"),
        ("own=true", "no_region"),
        ("city=320100&own=moon", "invalid_request"),
        ("from=yesterday", "bad_day"),
        ("to=1000-01-01", "bad_day"),
        ("from=2026-02-02&to=2026-02-01", "bad_period"),
        ("from=2020-01-01&to=2026-02-01", "bad_period"),
        (f"by={'x' * 100}", "invalid_request"),
    ],
)
@pytest.mark.anyio
async def test_a_question_that_makes_no_sense_is_refused_with_a_reason_and_no_echo(
    deps: ApiDeps, query: str, code: str
) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        answer = await client.get(f"/v1/quality?{query}", headers=BEARER)
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["code"] == code
    assert "moon" not in answer.text


@pytest.mark.anyio
async def test_without_a_token_nothing_is_answered(deps: ApiDeps) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        for path in ("/v1/quality", "/v1/quality/choices", "/quality"):
            assert (await client.get(path)).status_code == 401


@pytest.mark.anyio
async def test_a_store_that_is_away_is_a_clear_503(deps: ApiDeps) -> None:
    deps.store.close()
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        answer = await client.get("/v1/quality", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


def test_the_command_line_shows_what_the_service_answers(
    empty_deps: ApiDeps,
    empty_province: Province,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    empty_province.judge("accepted", [penalty(str(number), new_uscc()) for number in range(2)])
    empty_province.judge("rejected", [penalty("3", new_uscc())], violations=[MISSING])
    monkeypatch.setenv("ZHIDA_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("ZHIDA_API_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "200")
    with served(create_app(empty_deps)) as address:
        monkeypatch.setenv("ZHIDA_API_PORT", address.rpartition(":")[2])
        shown = _run(capsys, "quality", "show", "--by", "dataset")
        told = orjson.loads(_run(capsys, "quality", "show", "--json"))
        wrong = _run(capsys, "quality", "show", "--by", "moon", code=2)
    assert "行政处罚" in shown
    # Two of three, rounded down; no deadline rule, nobody due.
    assert re.search(r"66\.66 % +— +66\.66 % +— +3 +2 +1 +0 +0 +0", shown)
    assert (told["by"], told["total"]["records"]) == ("city", 3)
    assert "unit, dataset, city, county, day" in wrong


def _run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    printed = capsys.readouterr()
    assert caught.value.code == code, printed.err
    return printed.err if code else printed.out
