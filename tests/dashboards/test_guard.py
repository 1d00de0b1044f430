from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import structlog
from conftest import TOKEN
from fastapi import FastAPI
from structlog.testing import capture_logs

from dashboards import guard
from dashboards.app import ApiDeps, create_app
from dashboards.guard import COOKIE, SECURITY_HEADERS, SESSION_SECONDS, Sessions

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def visitor(deps: ApiDeps, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(replace(deps, clock=clock))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        yield client


def known_paths(app: FastAPI) -> set[str]:
    described = {path.replace("{uscc}", "9144030071526726XG") for path in app.openapi()["paths"]}
    pages = {"/", "/live", "/live/events", "/static/live.js", "/quality", "/static/quality.js"}
    return described | pages | {"/openapi.json", "/no-such", "//healthz"}


async def test_only_the_liveness_probe_is_open(deps: ApiDeps) -> None:
    app = create_app(deps)
    known = known_paths(app)
    assert {"/healthz", "/metrics", "/readyz", "/v1/subjects/search"} <= known
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://zhida.test") as client:
        for path in known:
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
                answer = await client.request(method, path)
                expected = {200, 405} if path == "/healthz" else {401}
                assert answer.status_code in expected, (method, path)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \u00e9"],
)
async def test_a_wrong_token_is_refused(visitor: httpx.AsyncClient, authorization: str) -> None:
    headers = [(b"authorization", authorization.encode("latin-1"))]
    answer = await visitor.get("/readyz", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_page_opened_with_the_token_sets_a_cookie_and_drops_the_token(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/live", params={"token": TOKEN})
    assert answer.status_code == 303
    assert answer.headers["location"] == "live"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    page = await visitor.get("/live")
    assert page.status_code == 200
    assert "归集处理实时掌控" in page.text


async def test_the_token_can_be_typed_into_the_sign_in_page(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get("/live")
    assert page.status_code == 401
    assert "<form" in page.text
    wrong = await visitor.post("/sign-in", data={"token": "<script>alert(1)</script>"})
    assert wrong.status_code == 401
    assert "令牌无效" in wrong.text
    assert "<script" not in wrong.text
    assert (await visitor.post("/sign-in", data={"token": TOKEN})).status_code == 303
    assert (await visitor.get("/live")).status_code == 200


async def test_signing_in_leads_to_the_page_that_was_asked_for(visitor: httpx.AsyncClient) -> None:
    asked = {"by": "unit", "city": "320100"}
    page = await visitor.get("/quality", params=asked)
    assert page.status_code == 401
    assert 'value="quality?by=unit&amp;city=320100"' in page.text
    back = "quality?by=unit&city=320100"
    wrong = await visitor.post("/sign-in", data={"token": "wrong", "page": back})
    assert 'value="quality?by=unit&amp;city=320100"' in wrong.text
    assert (await visitor.post("/sign-in", data={"token": TOKEN, "page": back})).headers["location"] == back
    assert (await visitor.get("/quality", params={"token": TOKEN} | asked)).headers["location"] == back
    assert "质量指标" in (await visitor.get("/quality")).text


@pytest.mark.parametrize(
    "page",
    [
        "",
        "https://elsewhere.test/",
        "//elsewhere.test",
        "/quality",
        "quality/../v1",
        "live#x",
        "\\elsewhere",
        "quality\r\nX: y",
    ],
)
async def test_signing_in_leads_nowhere_else(visitor: httpx.AsyncClient, page: str) -> None:
    answer = await visitor.post("/sign-in", data={"token": TOKEN, "page": page})
    assert answer.headers["location"] == "live"


async def test_a_question_that_is_carried_through_the_sign_in_cannot_break_out_of_it(
    visitor: httpx.AsyncClient,
) -> None:
    hostile = '"><script>alert(1)</script>\r\nX-Header: y'
    page = await visitor.get("/quality", params={"by": hostile})
    assert "<script" not in page.text
    entered = await visitor.get("/quality", params={"by": hostile, "token": TOKEN})
    location = entered.headers["location"]
    assert location.startswith("quality?by=%22%3E%3Cscript")
    assert TOKEN not in location
    assert "x-header" not in entered.headers
    long = await visitor.get("/quality", params={"by": "x" * 600, "token": TOKEN})
    assert long.headers["location"] == "quality"


@pytest.mark.parametrize("body", [b"", b"token=" + b"a" * 100_000, b"a=1&" * 50, b"\xff\x00=%ZZ", b"token=%"])
async def test_a_hostile_sign_in_is_just_refused(visitor: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await visitor.post("/sign-in", content=body, headers=headers)).status_code == 401


async def test_a_session_ends_after_its_time(visitor: httpx.AsyncClient, clock: Clock) -> None:
    await visitor.get("/live", params={"token": TOKEN})
    clock.now += SESSION_SECONDS - 1
    assert (await visitor.get("/static/live.css")).status_code == 200
    clock.now += 2
    assert (await visitor.get("/static/live.css")).status_code == 401


def test_a_cookie_is_good_only_as_it_was_issued(clock: Clock) -> None:
    sessions = Sessions(TOKEN, clock)
    cookie = sessions.issue()
    assert sessions.is_session(cookie)
    expiry, mac = cookie.split(".")
    later = str(int(expiry) + 1)
    for forged in ("", ".", mac, f".{mac}", f"{later}.{mac}", f"{expiry}.{mac[:-1]}", f"{expiry}.", f"{expiry}.{mac}é"):
        assert not sessions.is_session(forged)
    assert not Sessions("another-token-of-thirty-letters", clock).is_session(cookie)


async def test_every_answer_carries_the_security_headers(visitor: httpx.AsyncClient) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answers = [
        await visitor.get("/healthz"),
        await visitor.get("/live"),
        await visitor.get("/live", headers=bearer),
        await visitor.get("/static/live.js", headers=bearer),
        await visitor.get("/nowhere", headers=bearer),
        await visitor.get("/v1/subjects/x"),
    ]
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy


async def test_an_unexpected_error_tells_nothing_and_keeps_the_headers(deps: ApiDeps) -> None:
    class Broken:
        def received(self) -> int:
            raise RuntimeError("secret detail")

    app = create_app(replace(deps, broker=Broken()))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Content-Security-Policy" in answer.headers


async def test_files_outside_the_static_folder_cannot_be_had(visitor: httpx.AsyncClient) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/guard.py", "/static//etc/passwd"):
        assert (await visitor.get(path, headers=bearer)).status_code == 404


async def test_cookies_do_not_open_the_door_when_a_wrong_token_is_sent(visitor: httpx.AsyncClient) -> None:
    await visitor.get("/live", params={"token": TOKEN})
    assert COOKIE in visitor.cookies
    assert (await visitor.get("/readyz", headers={"Authorization": "Bearer wrong"})).status_code == 401


async def test_a_guesser_does_not_fill_the_log(
    visitor: httpx.AsyncClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A logger that another test's configuration has not touched yet.
    monkeypatch.setattr(guard, "_log", structlog.get_logger())
    with capture_logs() as logs:
        for guess in range(50):
            await visitor.get("/readyz", headers={"Authorization": f"Bearer {guess}"})
        clock.now += 11
        await visitor.get("/readyz")
    assert [entry["count"] for entry in logs if "turned away" in entry["event"]] == [1, 50]
