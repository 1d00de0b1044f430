"""The protocol over plain HTTP: what clients hide, status by status and code by code."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest
from registry_support import B_DEFAULT, JSON, STRING, A, B, RegistryThread, post, record, refused, register

from zhida.stack.testing import unique_name


def test_a_schema_is_registered_and_read_back_in_every_way(http: httpx.Client, subject: str) -> None:
    number = register(http, subject, record(A, name=f"R{id(http)}"))
    version = http.get(f"/subjects/{subject}/versions/1").json()
    assert (version["subject"], version["version"], version["id"]) == (subject, 1, number)
    assert http.get(f"/subjects/{subject}/versions/latest").json() == version
    assert http.get(f"/subjects/{subject}/versions/-1").json() == version
    assert http.get(f"/subjects/{subject}/versions").json() == [1]
    assert http.get(f"/subjects/{subject}/versions/1/schema").text == version["schema"]
    assert http.get(f"/schemas/ids/{number}").json()["schema"] == version["schema"]
    assert http.get(f"/schemas/ids/{number}/schema").text == version["schema"]
    assert http.get(f"/schemas/ids/{number}/subjects").json() == [subject]
    assert http.get(f"/schemas/ids/{number}/versions").json() == [{"subject": subject, "version": 1}]
    assert http.get(f"/schemas/ids/{number}?fetchMaxId=true").json()["maxId"] >= number
    assert http.get(f"/schemas/guids/{version['guid']}").json()["id"] == number
    assert subject in http.get("/subjects").json()
    assert version in http.get(f"/schemas?subjectPrefix={subject}").json()


def test_the_same_schema_again_changes_nothing(http: httpx.Client, subject: str) -> None:
    first = register(http, subject, record(A))
    assert register(http, subject, ' {"fields": [{"type":"string","name":"a"}], "name":"R", "type":"record"} ') == first
    assert http.get(f"/subjects/{subject}/versions").json() == [1]


def test_the_same_schema_under_another_subject_has_the_same_id(http: httpx.Client, subject: str) -> None:
    other = unique_name("other")
    assert register(http, subject, record(A, B)) == register(http, other, record(A, B))
    number = http.get(f"/subjects/{subject}/versions/1").json()["id"]
    assert {subject, other} <= set(http.get(f"/schemas/ids/{number}/subjects").json())


@pytest.mark.parametrize("name", ["a/b", "域/主题", "space and +plus", "per%cent", "q?mark#hash", "..", "a&b=c"])
def test_any_name_of_a_subject_survives_the_url(http: httpx.Client, name: str) -> None:
    subject = f"{unique_name('name')}{name}"
    number = register(http, subject, STRING)
    encoded = quote(subject, safe="")
    assert http.get(f"/subjects/{encoded}/versions/1").json()["subject"] == subject
    assert subject in http.get(f"/schemas/ids/{number}/subjects").json()
    assert http.put(f"/config/{encoded}", json={"compatibility": "FULL"}, headers=JSON).status_code == 200
    assert http.delete(f"/subjects/{encoded}").json() == [1]


def test_looking_a_schema_up_finds_its_version(http: httpx.Client, subject: str) -> None:
    refused(http.post(f"/subjects/{subject}", json={"schema": STRING}), 404, 40401)
    number = register(http, subject, record(A))
    found = http.post(f"/subjects/{subject}", json={"schema": record(A)}).json()
    assert (found["subject"], found["version"], found["id"]) == (subject, 1, number)
    refused(http.post(f"/subjects/{subject}", json={"schema": record(B)}), 404, 40403)


def test_unknown_things_are_404_each_with_its_code(http: httpx.Client, subject: str) -> None:
    refused(http.get("/schemas/ids/99999999"), 404, 40403)
    refused(http.get("/schemas/ids/99999999/subjects"), 404, 40403)
    refused(http.get("/schemas/ids/abc"), 404, 40403)
    refused(http.get("/schemas/guids/nonsense"), 404, 40403)
    refused(http.get(f"/subjects/{subject}/versions"), 404, 40401)
    refused(http.get(f"/subjects/{subject}/versions/1"), 404, 40401)
    refused(http.delete(f"/subjects/{subject}"), 404, 40401)
    refused(http.delete(f"/subjects/{subject}/versions/1"), 404, 40401)
    register(http, subject, STRING)
    refused(http.get(f"/subjects/{subject}/versions/2"), 404, 40402)
    refused(http.delete(f"/subjects/{subject}/versions/2"), 404, 40402)
    refused(http.get(f"/config/{subject}"), 404, 40408)
    refused(http.get(f"/mode/{subject}"), 404, 40409)
    refused(http.get("/nothing/here"), 404, 404)
    refused(http.post("/schemas/types"), 405, 405)


@pytest.mark.parametrize("version", ["0", "-2", "x", "1.5", "2147483648", "99999999999999999999", "%00", "latest2"])
def test_a_version_that_is_none_is_42202(http: httpx.Client, subject: str, version: str) -> None:
    register(http, subject, STRING)
    refused(http.get(f"/subjects/{subject}/versions/{version}"), 422, 42202)


def test_deleting_is_soft_then_permanent(http: httpx.Client, subject: str) -> None:
    first = register(http, subject, record(A))
    register(http, subject, record(A, B_DEFAULT))
    refused(http.delete(f"/subjects/{subject}/versions/1?permanent=true"), 404, 40407)
    assert http.delete(f"/subjects/{subject}/versions/1").json() == 1
    refused(http.delete(f"/subjects/{subject}/versions/1"), 404, 40406)
    refused(http.get(f"/subjects/{subject}/versions/1"), 404, 40402)
    assert http.get(f"/subjects/{subject}/versions/1?deleted=true").json()["id"] == first
    assert http.get(f"/subjects/{subject}/versions").json() == [2]
    assert http.get(f"/subjects/{subject}/versions?deleted=true").json() == [1, 2]
    assert http.get(f"/subjects/{subject}/versions?deletedOnly=true").json() == [1]
    assert http.get(f"/schemas/ids/{first}").status_code == 200
    assert http.delete(f"/subjects/{subject}/versions/1?permanent=true").json() == 1
    refused(http.get(f"/subjects/{subject}/versions/1?deleted=true"), 404, 40402)
    refused(http.delete(f"/subjects/{subject}?permanent=true"), 404, 40405)
    assert http.delete(f"/subjects/{subject}").json() == [2]
    refused(http.delete(f"/subjects/{subject}"), 404, 40404)
    assert subject not in http.get("/subjects").json()
    assert subject in http.get("/subjects?deleted=true").json()
    assert subject in http.get("/subjects?deletedOnly=true").json()
    assert http.delete(f"/subjects/{subject}?permanent=true").json() == [2]
    refused(http.delete(f"/subjects/{subject}?permanent=true"), 404, 40401)


def test_a_deleted_schema_comes_back_as_a_new_version_with_its_old_id(http: httpx.Client, subject: str) -> None:
    first = register(http, subject, record(A))
    http.delete(f"/subjects/{subject}")
    assert register(http, subject, record(A)) == first
    assert http.get(f"/subjects/{subject}/versions").json() == [2]


def test_an_id_is_never_given_twice_even_after_everything_is_deleted_for_good(
    start_registry: Callable[..., RegistryThread],
) -> None:
    one = start_registry()
    with httpx.Client(base_url=one.url, headers=JSON, timeout=30) as http:
        first = register(http, "s", record(A))
        http.delete("/subjects/s")
        http.delete("/subjects/s?permanent=true")
        refused(http.get(f"/schemas/ids/{first}"), 404, 40403)
    # A new instance knows nothing but the log.
    with httpx.Client(base_url=start_registry(one.topic).url, headers=JSON, timeout=30) as http:
        assert register(http, "s", record(B)) == first + 1


def test_an_incompatible_schema_is_409_and_the_message_names_the_field(http: httpx.Client, subject: str) -> None:
    register(http, subject, record(A))
    message = refused(post(http, subject, record(A, B)), 409, 409)
    assert "'b'" in message
    assert "BACKWARD" in message
    assert register(http, subject, record(A, B_DEFAULT))


def test_compatibility_is_asked_without_registering(http: httpx.Client, subject: str) -> None:
    path = f"/compatibility/subjects/{subject}/versions"
    assert http.post(path, json={"schema": STRING}).json() == {"is_compatible": True}
    refused(http.post(f"{path}/latest", json={"schema": STRING}), 404, 40401)
    register(http, subject, record(A))
    answer = http.post(f"{path}/latest?verbose=true", json={"schema": record(A, B)}).json()
    assert answer["is_compatible"] is False
    assert "'b'" in answer["messages"][0]
    assert http.post(f"{path}/1", json={"schema": record(A, B_DEFAULT)}).json() == {"is_compatible": True}
    assert http.post(f"{path}?verbose=true", json={"schema": record(A)}).json() == {
        "is_compatible": True,
        "messages": [],
    }
    refused(http.post(f"{path}/7", json={"schema": STRING}), 404, 40402)
    refused(http.post(f"{path}/x", json={"schema": STRING}), 422, 42202)
    refused(http.post(f"{path}/1", json={"schema": "{"}), 422, 42201)


def test_levels_are_set_globally_and_by_subject(start_registry: Callable[..., RegistryThread]) -> None:
    with httpx.Client(base_url=start_registry().url, headers=JSON, timeout=30) as http:
        assert http.get("/config").json() == {"compatibilityLevel": "BACKWARD"}
        assert http.put("/config", json={"compatibility": "full"}).json() == {"compatibility": "full"}
        assert http.get("/config").json() == {"compatibilityLevel": "FULL"}
        assert http.get("/config/s?defaultToGlobal=true").json() == {"compatibilityLevel": "FULL"}
        assert http.put("/config/s", json={"compatibility": "NONE", "normalize": True}).status_code == 200
        assert http.get("/config/s").json() == {"compatibilityLevel": "NONE", "normalize": True}
        register(http, "s", record(A))
        register(http, "s", record(B))
        assert http.delete("/config/s").json() == {"compatibilityLevel": "NONE", "normalize": True}
        refused(http.delete("/config/s"), 404, 40401)
        refused(post(http, "s", record(A)).raise_for_status() and http.put("/config", json={}), 422, 42203)
        assert http.delete("/config").json() == {"compatibilityLevel": "FULL"}
        assert http.get("/config").json() == {"compatibilityLevel": "BACKWARD"}


@pytest.mark.parametrize("level", ["SIDEWAYS", "", 7, ["FULL"]])
def test_a_level_that_is_none_is_42203(http: httpx.Client, subject: str, level: object) -> None:
    refused(http.put(f"/config/{subject}", json={"compatibility": level}), 422, 42203)


def test_a_setting_that_would_not_be_obeyed_is_refused(http: httpx.Client, subject: str) -> None:
    body = {"compatibility": "FULL", "alias": "other"}
    assert "alias" in refused(http.put(f"/config/{subject}", json=body), 422, 422)


def test_a_read_only_subject_takes_no_schema(http: httpx.Client, subject: str) -> None:
    register(http, subject, record(A))
    assert http.put(f"/mode/{subject}", json={"mode": "READONLY"}).json() == {"mode": "READONLY"}
    assert http.get(f"/mode/{subject}").json() == {"mode": "READONLY"}
    refused(post(http, subject, record(A, B_DEFAULT)), 422, 42205)
    refused(http.delete(f"/subjects/{subject}"), 422, 42205)
    assert http.get(f"/subjects/{subject}/versions").json() == [1]
    assert http.delete(f"/mode/{subject}").json() == {"mode": "READONLY"}
    assert register(http, subject, record(A, B_DEFAULT))
    refused(http.put(f"/mode/{subject}", json={"mode": "NAPPING"}), 422, 42204)
    assert http.get("/mode").json() == {"mode": "READWRITE"}


def test_import_takes_ids_and_versions_as_given(start_registry: Callable[..., RegistryThread]) -> None:
    with httpx.Client(base_url=start_registry().url, headers=JSON, timeout=30) as http:
        refused(post(http, "s", record(A), id=700, version=3), 422, 42205)
        assert http.put("/mode/s", json={"mode": "IMPORT"}).status_code == 200
        assert register(http, "s", record(A), id=700, version=3) == 700
        assert register(http, "s", record(A), id=700, version=3) == 700
        assert http.get("/subjects/s/versions").json() == [3]
        refused(post(http, "s", record(B), id=700, version=4), 422, 42205)
        refused(post(http, "s", record(B)), 422, 42205)
        http.put("/mode/s", json={"mode": "READWRITE"})
        refused(http.put("/mode/s", json={"mode": "IMPORT"}), 422, 42205)
        assert http.put("/mode/s?force=true", json={"mode": "IMPORT"}).status_code == 200
        assert register(http, "t", record(B)) == 701


def test_references_are_resolved_kept_and_guarded(http: httpx.Client, subject: str) -> None:
    base = unique_name("base")
    register(http, base, json.dumps({"type": "enum", "name": "x.Colour", "symbols": ["RED"]}))
    user = record({"name": "c", "type": "x.Colour"}, name="Car")
    refused(post(http, subject, user), 422, 42201)
    reference = {"name": "x.Colour", "subject": base, "version": 1}
    number = register(http, subject, user, references=[reference])
    assert http.get(f"/schemas/ids/{number}").json()["references"] == [reference]
    assert '"x.Colour"' in http.get(f"/schemas/ids/{number}").json()["schema"]
    assert http.get(f"/subjects/{base}/versions/1/referencedby").json() == [number]
    refused(http.delete(f"/subjects/{base}"), 422, 42206)
    refused(http.delete(f"/subjects/{base}/versions/1"), 422, 42206)
    missing = {"name": "x", "subject": unique_name("missing"), "version": 1}
    refused(post(http, subject, STRING, references=[missing]), 422, 42201)
    http.delete(f"/subjects/{subject}")
    assert http.delete(f"/subjects/{base}").json() == [1]


def test_a_schema_is_compared_with_what_its_references_say(http: httpx.Client, subject: str) -> None:
    base = unique_name("base")
    register(http, base, json.dumps({"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}))
    http.put(f"/config/{base}", json={"compatibility": "NONE"})
    register(http, base, json.dumps({"type": "enum", "name": "Colour", "symbols": ["RED"]}))
    car = record({"name": "c", "type": "Colour"}, name="Car")
    register(http, subject, car, references=[{"name": "Colour", "subject": base, "version": 1}])
    worse = post(http, subject, car, references=[{"name": "Colour", "subject": base, "version": 2}])
    message = refused(worse, 409, 409)
    assert "BLUE" in message
    assert "'c'" in message


def test_a_data_contract_is_kept_returned_and_stays_in_force(http: httpx.Client, subject: str) -> None:
    metadata = {"properties": {"owner": "税务局", "level": "base"}, "tags": {"**.a": ["PII"]}, "sensitive": ["s"]}
    rules = {
        "domainRules": [
            {
                "name": "uscc",
                "kind": "CONDITION",
                "type": "CEL",
                "mode": "WRITE",
                "expr": "size(message.a) == 18",
                "onFailure": "ERROR",
                "tags": ["x"],
                "params": {"k": "v"},
            }
        ],
        "migrationRules": [{"name": "up", "kind": "TRANSFORM", "mode": "UPGRADE", "type": "JSONATA", "expr": "$"}],
    }
    number = register(http, subject, record(A), metadata=metadata, ruleSet=rules)
    for path in (f"/schemas/ids/{number}", f"/subjects/{subject}/versions/latest"):
        assert http.get(path).json()["metadata"] == metadata
        assert http.get(path).json()["ruleSet"] == rules
    # A client that knows nothing of contracts finds its schema, and registers it again without a change.
    assert http.post(f"/subjects/{subject}", json={"schema": record(A)}).json()["id"] == number
    assert register(http, subject, record(A)) == number
    second = register(http, subject, record(A, B_DEFAULT))
    assert http.get(f"/schemas/ids/{second}").json()["ruleSet"] == rules
    third = register(http, subject, record(A, B_DEFAULT), metadata={"properties": {"owner": "另一个"}})
    assert third not in (number, second)
    assert http.get(f"/schemas/ids/{third}").json()["ruleSet"] == rules
    found = http.get(f"/subjects/{subject}/metadata", params={"key": "level", "value": "base"}).json()
    assert found["version"] == 2
    refused(http.get(f"/subjects/{subject}/metadata", params={"key": "no", "value": "x"}), 404, 40403)


def test_an_empty_contract_takes_the_contract_away(http: httpx.Client, subject: str) -> None:
    rules = {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "disabled": False, "tags": []}]}
    first = register(http, subject, record(A), ruleSet=rules, metadata={"properties": {}, "sensitive": []})
    assert http.get(f"/schemas/ids/{first}").json()["ruleSet"] == {
        "domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE"}]
    }
    assert register(http, subject, record(A), ruleSet=rules) == first
    second = register(http, subject, record(A), ruleSet={"domainRules": []})
    assert second != first
    assert http.get(f"/schemas/ids/{second}").json()["ruleSet"] == {}
    assert http.post(f"/subjects/{subject}", json={"schema": record(A), "ruleSet": {}}).json()["id"] == second


@pytest.mark.parametrize(
    "rules",
    [
        {"domainRules": [{"kind": "CONDITION"}]},
        {"domainRules": [{"name": "a"}, {"name": "a"}]},
        {"domainRules": [{"name": "a", "mode": "UPGRADE"}]},
        {"domainRules": [{"name": "a", "kind": "WISH"}]},
        {"domainRules": 3},
        {"unknownRules": []},
        [],
    ],
)
def test_a_rule_set_of_the_wrong_shape_is_42210(http: httpx.Client, subject: str, rules: object) -> None:
    refused(post(http, subject, STRING, ruleSet=rules), 422, 42210)


@pytest.mark.parametrize("kind", ["JSON", "PROTOBUF", "XML", 7])
def test_other_schema_languages_are_refused_by_name(http: httpx.Client, subject: str, kind: object) -> None:
    message = refused(post(http, subject, "{}", schemaType=kind), 422, 42201)
    assert str(kind) in message
    assert "AVRO" in message
    assert http.get("/schemas/types").json() == ["AVRO"]


def test_contexts_are_refused_by_name(http: httpx.Client) -> None:
    assert "context" in refused(post(http, ":.other:s", STRING), 422, 42208)
    assert http.get("/contexts").json() == ["."]


def test_normalizing_gives_one_id_to_one_meaning(http: httpx.Client, subject: str) -> None:
    one = json.dumps({"type": "fixed", "name": "F", "size": 2, "b": 1, "a": 2, "aliases": ["Y", "X"]})
    two = json.dumps({"type": "fixed", "name": "F", "size": 2, "a": 2, "b": 1, "aliases": ["X", "Y"]})
    number = http.post(f"/subjects/{subject}/versions?normalize=true", json={"schema": one}).json()["id"]
    assert http.post(f"/subjects/{subject}/versions?normalize=true", json={"schema": two}).json()["id"] == number
    assert http.post(f"/subjects/{subject}?normalize=true", json={"schema": one}).json()["id"] == number
    refused(http.post(f"/subjects/{subject}", json={"schema": one}), 404, 40403)


def test_lists_are_paged(http: httpx.Client) -> None:
    prefix = unique_name("page")
    names = [f"{prefix}-{at}" for at in range(5)]
    for name in names:
        register(http, name, STRING)
    assert http.get("/subjects", params={"subjectPrefix": prefix}).json() == names
    assert http.get("/subjects", params={"subjectPrefix": prefix, "offset": 1, "limit": 2}).json() == names[1:3]
    refused(http.get("/subjects", params={"limit": "many"}), 422, 422)


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.schemaregistry.v1+json",
        "application/vnd.schemaregistry+json",
        "application/json; charset=utf-8",
    ],
)
def test_the_protocols_content_types_are_taken(http: httpx.Client, subject: str, kind: str) -> None:
    body = json.dumps({"schema": STRING})
    response = http.post(f"/subjects/{subject}/versions", content=body, headers={"content-type": kind})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


def test_the_compatibility_group_limits_what_is_compared(http: httpx.Client, subject: str) -> None:
    http.put(f"/config/{subject}", json={"compatibility": "BACKWARD", "compatibilityGroup": "major"})
    register(http, subject, record(A), metadata={"properties": {"major": "1"}})
    assert register(http, subject, record(A, B), metadata={"properties": {"major": "2"}})
    refused(post(http, subject, record(A, B, {"name": "c", "type": "int"})), 409, 409)
