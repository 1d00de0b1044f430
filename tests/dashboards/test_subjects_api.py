from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import httpx
import polars as pl
import pytest
from conftest import LISTING, TOKEN, Province, new_id_number, new_uscc, penalty

from dashboards.app import ApiDeps, create_app
from sinks.clickhouse.engine import fetch, open_client

pytestmark = pytest.mark.anyio
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ID_NUMBER = "11010519491231002X"


@pytest.fixture
async def api(deps: ApiDeps) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(deps)
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client,
    ):
        yield client


def audit_rows(province: Province) -> list[tuple[str, ...]]:
    client = open_client(province.clickhouse)
    table = f"{province.clickhouse.database}.audit"
    frame: pl.DataFrame = fetch(client, f"SELECT who, what, why, source, outcome FROM {table} ORDER BY at")
    client.close()
    return list(frame.iter_rows())


async def test_a_subject_is_answered_with_its_records_by_dataset(api: httpx.AsyncClient, province: Province) -> None:
    uscc = new_uscc()
    province.judge("accepted", [penalty("CF-1", uscc, CF_NR_FK=Decimal("1.50"))])
    province.judge("suspect", [penalty("CF-2", uscc)])
    province.judge(
        "accepted", [{"record_id": "YC-1", "TYSHXYDM": uscc, "LRYY": "公示信息隐瞒真实情况或弄虚作假"}], dataset=LISTING
    )
    answer = await api.get(f"/v1/subjects/{uscc.lower()}", headers=BEARER)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["subject"], body["count"], body["suspect"]) == (uscc, 3, 1)
    assert [(group["zh"], group["count"]) for group in body["datasets"]] == [("经营异常名录", 1), ("行政处罚", 2)]
    penalties = body["datasets"][1]
    first, second = penalties["records"]
    assert (first["verdict_zh"], second["verdict_zh"]) == ("正常", "疑问")
    assert penalties["labels"]["CF_NR_FK"] == "罚款金额（万元）"
    assert first["fields"]["CF_NR_FK"] == "1.5"
    assert first["fields"]["CF_JDRQ"] == "2026-09-01"
    unit = province.unit("320100")
    assert first["unit"]["code"] == unit.code
    assert first["unit"]["name"] == unit.name
    assert answer.headers["cache-control"] == "no-store"


async def test_the_second_answer_comes_from_the_cache_and_is_the_same(
    api: httpx.AsyncClient, province: Province
) -> None:
    uscc = new_uscc()
    province.judge("accepted", [penalty("CF-1", uscc)])
    first = (await api.get(f"/v1/subjects/{uscc}", headers=BEARER)).json()
    second = (await api.get(f"/v1/subjects/{uscc}", headers=BEARER)).json()
    assert (first["source"], second["source"]) == ("store", "cache")
    assert first["datasets"] == second["datasets"]


async def test_a_person_is_found_by_post_and_shown_masked(
    api: httpx.AsyncClient, province: Province, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    number = new_id_number()
    person = {"CF_XDR_MC": "张某某", "CF_XDR_LB": "自然人", "CF_XDR_ZJHM": number}
    province.judge("accepted", [penalty("CF-P", None, **person)])
    with caplog.at_level(logging.DEBUG):
        answer = await api.post("/v1/subjects/search", headers=BEARER, json={"id_number": f" {number.lower()} "})
        await api.post("/v1/subjects/search", headers=BEARER, json={"id_number": number, number: "x"})
    assert answer.status_code == 200
    assert answer.json()["subject"].startswith("p:")
    fields = answer.json()["datasets"][0]["records"][0]["fields"]
    assert fields["CF_XDR_ZJHM"] == f"1101************{number[-2:]}"
    captured = capfd.readouterr()
    for text in (answer.text, caplog.text, captured.out, captured.err):
        assert number not in text
        assert number.lower() not in text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("9144030071526726XH", 400, "bad_uscc_check"),
        ("91440300", 400, "bad_uscc_length"),
        (ID_NUMBER, 400, "person_in_url"),
        ("p:0123456789abcdef0123456789abcdef", 400, "person_in_url"),
        ("..%2F..%2Fetc%2Fpasswd", 400, "bad_uscc_length"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", 400, "bad_uscc_length"),
        ("%00%FF", 400, "bad_uscc_length"),
        ("9144030071526726XG", 404, "no_records"),
        ("reg:999999999999999", 404, "no_records"),
    ],
)
async def test_a_wrong_or_unknown_subject_is_answered_with_a_reason(
    api: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await api.get(f"/v1/subjects/{path}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["zh"]
    assert answer.json()["error"]["en"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"id_number": 5}',
        b'{"id_number": "11010519491231002X", "extra": 1}',
        b"\xff\xfe",
        b"[" * 9000,
    ],
)
async def test_a_malformed_search_is_refused_without_an_echo(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/v1/subjects/search", headers=BEARER | {"Content-Type": "application/json"}, content=body)
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["code"] == "invalid_request"
    assert ID_NUMBER not in answer.text


async def test_a_huge_search_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/subjects/search", headers=BEARER, content=b'{"id_number": "' + b"1" * 50_000)
    assert answer.status_code == 413
    assert "Content-Security-Policy" in answer.headers


async def test_every_read_is_in_the_audit_log(empty_deps: ApiDeps, empty_province: Province) -> None:
    deps, province = empty_deps, empty_province
    known, unknown, number = new_uscc(), new_uscc(), new_id_number()
    province.judge("accepted", [penalty("CF-1", known)])
    app = create_app(deps)
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://z") as api:
        raw = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"x-zhida-purpose", "贷前审查 A-17".encode())]
        await api.get(f"/v1/subjects/{known}", headers=raw)
        await api.get(f"/v1/subjects/{unknown}", headers=BEARER)
        await api.post("/v1/subjects/search", headers=BEARER, json={"id_number": number})
        await api.get("/v1/subjects/nonsense", headers=BEARER)
        await api.get(f"/v1/subjects/{known}")
    # The application has stopped: what it answered is in the store.
    person = deps.subject_of_person(number)
    assert sorted(audit_rows(province)) == sorted(
        [
            ("api-token", f"subject.read {known}", "贷前审查 A-17", "192.0.2.7", "ok:store"),
            ("api-token", f"subject.read {unknown}", "", "192.0.2.7", "not_found"),
            ("api-token", f"subject.search {person}", "", "192.0.2.7", "not_found"),
        ]
    )


async def test_what_cannot_be_noted_is_not_answered(deps: ApiDeps, province: Province) -> None:
    uscc = new_uscc()
    province.judge("accepted", [penalty("CF-1", uscc)])
    app = create_app(deps)
    # A folder in the way of the journal's next file: the journal cannot be written.
    for number in range(1, 4):
        (deps.audit_folder / f"audit-{number:012d}.jsonl").mkdir()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://zhida.test") as api:
        answer = await api.get(f"/v1/subjects/{uscc}", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
    assert "江苏直达" not in answer.text


async def test_an_unreachable_store_is_a_clear_503_and_noted(deps: ApiDeps, province: Province) -> None:
    uscc = new_uscc()
    deps.store.close()
    app = create_app(deps)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://zhida.test") as api:
        answer = await api.get(f"/v1/subjects/{uscc}", headers=BEARER)
        ready = await api.get("/readyz", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert ready.status_code == 503
    assert ready.json()["parts"] == {"store": "SinkError", "broker": "ok", "cache": "ok"}
    noted = b"".join(path.read_bytes() for path in deps.audit_folder.glob("*.jsonl"))
    assert uscc.encode() in noted
    assert b'"outcome":"error"' in noted


async def test_readiness_and_metrics_tell_the_truth(empty_deps: ApiDeps, empty_province: Province) -> None:
    uscc = new_uscc()
    empty_province.send(7)
    empty_province.judge("accepted", [penalty(f"CF-{number}", uscc) for number in range(5)])
    app = create_app(empty_deps)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://zhida.test") as api:
        ready = await api.get("/readyz", headers=BEARER)
        await api.get(f"/v1/subjects/{uscc}", headers=BEARER)
        lines = (await api.get("/metrics", headers=BEARER)).text.splitlines()
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert 'zhida_messages_total{verdict="accepted"} 5' in lines
    assert 'zhida_messages_total{verdict="rejected"} 0' in lines
    assert "zhida_received_total 7" in lines
    assert 'zhida_subject_reads_total{outcome="ok:store"} 1' in lines


def test_a_short_token_is_refused_at_start(deps: ApiDeps) -> None:
    with pytest.raises(ValueError, match="fewer than 16"):
        replace(deps, token="short")
