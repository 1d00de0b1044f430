"""``GET /v1/verdicts/{feedback id}``: what the store has on one message, to those who may, and noted."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import httpx
import orjson
import pytest
from conftest import PENALTY, TOKEN, Province, new_uscc, penalty
from fastapi import FastAPI

from dashboards.app import ApiDeps, create_app
from schemas.verdict import Violation, feedback_id

pytestmark = pytest.mark.anyio
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BROKEN = Violation(
    f"{PENALTY}.CF_XDR_ZJHM.id_number", "conformity", "suspect", "CF_XDR_ZJHM", "1101************2X", "有误", "wrong"
)


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(deps)


async def ask(app: FastAPI, name: str, headers: Any = BEARER) -> httpx.Response:
    """Without the application's background tasks: what is noted stays in the journal."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida.test") as client:
        return await client.get(f"/v1/verdicts/{name}", headers=headers)


def judged(province: Province, verdict: str, violations: list[dict[str, str]] | None = None) -> str:
    """The feedback id of one more message with this verdict."""
    offset = province.judge(verdict, [penalty("V", new_uscc())], violations=violations)
    return feedback_id(province.topic, 0, offset)


def noted(deps: ApiDeps) -> list[list[str]]:
    lines = [line for path in sorted(deps.audit_folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [[orjson.loads(line)[name] for name in ("who", "what", "why", "source", "outcome")] for line in lines]


async def test_a_verdict_is_answered_with_its_violations_as_they_were_told(app: FastAPI, province: Province) -> None:
    name = judged(province, "suspect", [asdict(BROKEN)])
    answer = await ask(app, name)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    said = answer.json()
    assert (said["feedback_id"], said["topic"], said["partition"]) == (name, province.topic, 0)
    assert (said["dataset"], said["verdict"], said["verdict_zh"]) == (PENALTY, "suspect", "疑问")
    assert (said["rule_set"], said["schema_id"], said["version"]) == ("test-1", 1, 1)
    assert said["record_id"].startswith("V-")
    assert said["violations"] == [asdict(BROKEN)]
    assert said["unit"]["name"] == province.unit("320100").name
    assert datetime.fromisoformat(said["reported_at"]) == datetime.fromisoformat(said["governed_at"])
    accepted = (await ask(app, judged(province, "accepted"))).json()
    assert (accepted["verdict"], accepted["violations"], accepted["judged_again"]) == ("accepted", [], False)


async def test_of_an_unreadable_message_the_reason_is_answered(app: FastAPI, province: Province) -> None:
    reason = {"rule": "bad_magic", "value": "no schema id", "message_zh": "…", "message_en": "…"}
    said = (await ask(app, judged(province, "quarantined", [reason]))).json()
    assert (said["verdict_zh"], said["version"]) == ("隔离", None)
    assert said["violations"] == [{"dimension": "", "severity": "", "field": ""} | reason]


async def test_every_answer_is_noted_first_with_its_purpose_and_without_a_token_there_is_none(
    app: FastAPI, deps: ApiDeps, province: Province
) -> None:
    name = judged(province, "accepted")
    purpose = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"x-zhida-purpose", "异议核查 A-17".encode())]
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
        assert (await ask(app, name, headers)).status_code == 401
    assert noted(deps) == []
    assert (await ask(app, name, purpose)).status_code == 200
    unknown = f"{province.topic}-0-{10**15}"
    answer = await ask(app, unknown)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_verdict")
    assert noted(deps) == [
        ["api-token", f"verdict.read {name}", "异议核查 A-17", "192.0.2.7", "ok:store"],
        ["api-token", f"verdict.read {unknown}", "", "192.0.2.7", "not_found"],
    ]


async def test_what_cannot_be_noted_is_not_answered(app: FastAPI, deps: ApiDeps, province: Province) -> None:
    name = judged(province, "suspect", [asdict(BROKEN)])
    for number in range(1, 4):
        (deps.audit_folder / f"audit-{number:012d}.jsonl").mkdir()
    answer = await ask(app, name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
    assert BROKEN.rule not in answer.text


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("moon", 422),
        ("..%2F..%2Fmoon", 422),
        ("moon/-0-1", 422),
        ("%27%20OR%201=1%20--%20moon-0-1", 422),
        ("moon-0-1%00", 422),
        ("%00%FF%FEmoon-0-1", 422),
        ("moon-0--1", 422),
        ("moon-٠-١", 422),
        (f"moon-{1 << 31}-0", 422),
        (f"moon-0-{1 << 63}", 422),
        ("moon" * 70 + "-0-1", 422),
        ("moon" * 5000 + "-0-1", 422),
        ("moon-0-0", 404),
        ("zhida.report.moon-0-0", 404),
        (f"moon-{(1 << 31) - 1}-{(1 << 63) - 1}", 404),
    ],
)
async def test_an_id_of_nothing_is_refused_with_a_reason_and_no_echo(app: FastAPI, name: str, status: int) -> None:
    answer = await ask(app, name)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == {422: "bad_feedback_id", 404: "no_verdict"}[status]
    assert answer.json()["error"]["zh"]
    assert "moon" not in answer.text


async def test_a_store_that_is_away_is_a_clear_503_and_noted(app: FastAPI, deps: ApiDeps) -> None:
    deps.store.close()
    answer = await ask(app, "zhida.report.legal_person-0-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert [row[-1] for row in noted(deps)] == ["error"]


async def test_the_description_of_the_service_has_it_with_its_answers(app: FastAPI) -> None:
    described = app.openapi()["paths"]["/v1/verdicts/{feedback_id}"]["get"]
    assert set(described["responses"]) == {"200", "401", "404", "422", "503"}
    assert "HTTPValidationError" not in orjson.dumps(described).decode()
