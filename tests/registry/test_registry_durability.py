"""State survives kill -9, every instance has the same, and two that write at once never double or lose an id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from registry_process import RegistryProcess
from registry_support import B_DEFAULT, JSON, A, B, RegistryThread, post, record, refused, register

from schemas.connection import RegistryConnection
from schemas.registry.client import RegistryClient
from zhida.stack import RunningStack
from zhida.stack.testing import unique_name


def everything(url: str) -> dict[str, Any]:
    """All that a registry can be asked for."""
    with httpx.Client(base_url=url, headers=JSON, timeout=30) as http:
        subjects = http.get("/subjects?deleted=true").json()
        return {
            "schemas": http.get("/schemas?deleted=true").json(),
            "alive": http.get("/schemas").json(),
            "subjects": subjects,
            "config": http.get("/config").json(),
            "mode": http.get("/mode").json(),
            "configs": {name: http.get(f"/config/{name}").json() for name in subjects},
            "modes": {name: http.get(f"/mode/{name}").json() for name in subjects},
        }


def fill(url: str) -> None:
    with httpx.Client(base_url=url, headers=JSON, timeout=30) as http:
        register(http, "plain", record(A))
        register(http, "plain", record(A, B_DEFAULT))
        register(http, "user", record({"name": "r", "type": "R"}, name="U"), references=[
            {"name": "R", "subject": "plain", "version": 2}
        ])  # fmt: skip
        register(http, "contract", record(A), metadata={"properties": {"k": "v"}}, ruleSet={"domainRules": []})
        register(http, "gone", record(B))
        http.delete("/subjects/gone")
        register(http, "back", record(B, name="Back"))
        http.delete("/subjects/back")
        register(http, "back", record(B, name="Back"))
        register(http, "for-good", record(B, name="Gone"))
        http.delete("/subjects/for-good")
        http.delete("/subjects/for-good?permanent=true")
        http.put("/config", json={"compatibility": "FULL"})
        http.put("/config/plain", json={"compatibility": "NONE", "normalize": True})
        http.put("/mode/contract", json={"mode": "READONLY"})


def test_the_state_is_the_same_after_kill_9_and_on_a_second_instance(
    start_process: Callable[[str], RegistryProcess],
) -> None:
    topic = unique_name("_schemas")
    first = start_process(topic)
    fill(first.url)
    before = everything(first.url)
    assert before["configs"]["plain"] == {"compatibilityLevel": "NONE", "normalize": True}
    first.kill()
    second = start_process(topic)
    assert everything(second.url) == before
    assert everything(start_process(topic).url) == before
    with httpx.Client(base_url=second.url, headers=JSON, timeout=60) as http:
        highest = max(version["id"] for version in before["schemas"])
        # The id of what was deleted for good was higher than all that remain.
        assert register(http, "next", record(A, name="Next")) == highest + 2


def test_a_write_that_was_answered_is_there_after_kill_9(start_process: Callable[[str], RegistryProcess]) -> None:
    topic = unique_name("_schemas")
    one = start_process(topic)
    answered: dict[str, int] = {}

    def register_until_dead() -> None:
        with httpx.Client(base_url=one.url, headers=JSON, timeout=5) as http:
            for at in range(1000):
                try:
                    answered[f"s{at}"] = register(http, f"s{at}", record(A, name=f"K{at}"))
                except httpx.HTTPError:
                    return
                if at == 12:
                    killing.append(killer.submit(one.kill))

    killing: list[Any] = []
    with ThreadPoolExecutor(1) as killer:
        register_until_dead()
    assert len(answered) > 12
    with httpx.Client(base_url=start_process(topic).url, headers=JSON, timeout=30) as http:
        for name, number in answered.items():
            assert http.get(f"/subjects/{name}/versions/1").json()["id"] == number


def test_two_instances_that_write_at_once_agree_on_every_id(start_registry: Callable[..., RegistryThread]) -> None:
    one = start_registry()
    two = start_registry(one.topic)
    clients = [RegistryClient(RegistryConnection(server.url), timeout=60) for server in (one, two)]

    def write(at: int) -> tuple[str, int]:
        # Half of the schemas are registered at both instances, under two subjects.
        name = f"P{at // 2 if at % 4 < 2 else at}"
        schema = json.loads(record(A, name=name))
        return name, clients[at % 2].register(f"p{at}", schema)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(write, range(80)))
    ids: dict[str, set[int]] = {}
    for name, number in results:
        ids.setdefault(name, set()).add(number)
    assert all(len(numbers) == 1 for numbers in ids.values()), "one schema, two ids"
    assert len({next(iter(numbers)) for numbers in ids.values()}) == len(ids), "one id, two schemas"
    # Known at once wherever it was written: an instance asks the log before it says that there is no such id.
    for name, numbers in ids.items():
        for client in clients:
            assert client.schema(next(iter(numbers)))["name"] == name
    assert everything(one.url) == everything(two.url)
    assert {version["subject"] for version in everything(one.url)["alive"]} == {f"p{at}" for at in range(80)}


def test_200_clients_at_once_lose_and_double_no_id(registry: RegistryThread) -> None:
    prefix = unique_name("crowd")

    async def one(at: int) -> list[int]:
        async with httpx.AsyncClient(base_url=registry.url, headers=JSON, timeout=60, verify=False) as http:
            numbers = []
            for kind in (f"own{at}", f"shared{at % 10}"):
                body = {"schema": record(A, name=kind.capitalize() + prefix.replace(".", ""))}
                answer = await http.post(f"/subjects/{prefix}-{at}-{kind}/versions", json=body)
                assert answer.status_code == 200, answer.text
                numbers.append(answer.json()["id"])
                assert (await http.get(f"/schemas/ids/{numbers[-1]}")).json()["schema"] == body["schema"].replace(
                    " ", ""
                )
            return numbers

    async def all_at_once() -> list[list[int]]:
        return await asyncio.gather(*(one(at) for at in range(200)))

    results = asyncio.run(all_at_once())
    assert len({own for own, _ in results}) == 200
    assert len({shared for _, shared in results}) == 10
    assert all(results[at][1] == results[at % 10][1] for at in range(200))
    assert not {own for own, _ in results} & {shared for _, shared in results}
    with httpx.Client(base_url=registry.url, timeout=30) as http:
        assert len(http.get("/subjects", params={"subjectPrefix": prefix}).json()) == 400


def test_a_crowd_on_one_subject_gets_one_version_each(http: httpx.Client, subject: str) -> None:
    http.put(f"/config/{subject}", json={"compatibility": "BACKWARD_TRANSITIVE"})

    def write(at: int) -> httpx.Response:
        return post(http, subject, record(A, {"name": f"f{at}", "type": "int", "default": 0}))

    with ThreadPoolExecutor(20) as pool:
        assert all(response.status_code == 200 for response in pool.map(write, range(40)))
    assert http.get(f"/subjects/{subject}/versions").json() == list(range(1, 41))


def test_records_of_another_registry_in_the_log_are_read_and_odd_ones_skipped(
    stack: RunningStack, start_registry: Callable[..., RegistryThread], new_topic: Callable[..., str]
) -> None:
    topic = new_topic("_schemas", 1, {"cleanup.policy": "compact"})
    producer = Producer(stack.settings.kafka().confluent())
    schema = {"subject": "old", "version": 1, "id": 41, "schema": '"string"', "deleted": False, "md5": "x", "ts": 1}
    for key, value in (
        ({"keytype": "NOOP", "magic": 0}, None),
        ({"keytype": "SCHEMA", "subject": "old", "version": 1, "magic": 1}, schema),
        ({"keytype": "SCHEMA", "subject": "odd", "version": "x", "magic": 1}, schema),
        ({"keytype": "SCHEMA", "subject": "odd", "magic": 1}, {}),
        ({"keytype": "CONTEXT", "tenant": "default", "context": ".", "magic": 0}, {"a": 1}),
        ({"keytype": "CONFIG", "subject": None, "magic": 0}, {"compatibilityLevel": "FULL"}),
        ("not an object", {}),
    ):
        body = None if value is None else json.dumps(value)
        producer.produce(topic, body, json.dumps(key))
    producer.produce(topic, b"\xff\xfe", b"\xff{")
    producer.flush(30)
    with httpx.Client(base_url=start_registry(topic).url, headers=JSON, timeout=30) as http:
        assert http.get("/subjects").json() == ["old"]
        assert http.get("/schemas/ids/41").json()["schema"] == '"string"'
        assert http.get("/config").json() == {"compatibilityLevel": "FULL"}
        assert register(http, "new", record(A)) == 42


def test_a_topic_that_would_forget_schemas_is_refused(
    start_registry: Callable[..., RegistryThread], new_topic: Callable[..., str]
) -> None:
    with pytest.raises(Exception, match="exactly 1"):
        start_registry(new_topic("_schemas", 2, {"cleanup.policy": "compact"}))


def test_a_refused_write_leaves_nothing_behind(http: httpx.Client, subject: str) -> None:
    register(http, subject, record(A))
    before = http.get(f"/schemas?subjectPrefix={subject}").json()
    refused(post(http, subject, record(A, B)), 409, 409)
    assert http.get(f"/schemas?subjectPrefix={subject}").json() == before
