"""Hostile input gets a 4xx with a code of the protocol; the process goes on and does not grow."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from registry_process import RegistryProcess
from registry_support import STRING, A, RegistryThread, post, record, refused, register

from zhida.stack.testing import unique_name


def nested_arrays(depth: int) -> str:
    return '{"type":"array","items":' * depth + '"int"' + "}" * depth


def field_with(kind: Any, **more: Any) -> str:
    return record({"name": "x", "type": kind} | more)


SCHEMAS = {
    "not JSON": "{",
    "a lone quote": '"',
    "a number": "7",
    "null": "null",
    "true": "true",
    "an object without a type": "{}",
    "a type that is an object": '{"type": {"type": "string"}}',
    "an unknown name": '"sTring"',
    "an undefined name": field_with("Nobody"),
    "100 nested arrays": nested_arrays(100),
    "10,000 nested arrays": nested_arrays(10_000),
    "100,000 brackets": "[" * 100_000,
    "100,000 brackets, closed": "[" * 100_000 + "]" * 100_000,
    "records 100 deep": None,
    "NaN": field_with("double", default=float("nan")),
    "infinity": field_with("double", default=float("inf")),
    "a number of 5,000 digits": '{"type":"fixed","name":"F","size":' + "9" * 5_000 + "}",
    "a fixed beyond 2^31": '{"type":"fixed","name":"F","size":2147483648}',
    "a fixed of negative size": '{"type":"fixed","name":"F","size":-1}',
    "a fixed of half a byte": '{"type":"fixed","name":"F","size":1.5}',
    "a fixed of true": '{"type":"fixed","name":"F","size":true}',
    "a fixed without a size": '{"type":"fixed","name":"F"}',
    "a record without a name": '{"type":"record","fields":[]}',
    "a record without fields": '{"type":"record","name":"R"}',
    "fields that are an object": '{"type":"record","name":"R","fields":{}}',
    "a field that is a string": '{"type":"record","name":"R","fields":["x"]}',
    "a field without a type": '{"type":"record","name":"R","fields":[{"name":"x"}]}',
    "a field without a name": '{"type":"record","name":"R","fields":[{"type":"int"}]}',
    "a field twice": record(A, A),
    "a field named with a space": record({"name": "a b", "type": "int"}),
    "a field named in Chinese": record({"name": "名称", "type": "int"}),
    "a name that starts with a digit": record(A, name="1R"),
    "a name with an empty part": record(A, name="a..R"),
    "a name that is a primitive": record(A, name="int"),
    "a name that is a list": '{"type":"record","name":["R"],"fields":[]}',
    "a namespace that is a number": '{"type":"record","name":"R","namespace":7,"fields":[]}',
    "a name defined twice": record(
        {"name": "x", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "y", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
    ),
    "a union in a union": '["int",["string"]]',
    "a union with a type twice": '["int","int"]',
    "an enum without symbols": '{"type":"enum","name":"E"}',
    "an enum with a symbol twice": '{"type":"enum","name":"E","symbols":["A","A"]}',
    "an enum with a number": '{"type":"enum","name":"E","symbols":[1]}',
    "an enum with a list as its default": '{"type":"enum","name":"E","symbols":["A"],"default":["A"]}',
    "an enum default that is no symbol": '{"type":"enum","name":"E","symbols":["A"],"default":"B"}',
    "an array of nothing": '{"type":"array"}',
    "a map of nothing": '{"type":"map"}',
    "aliases that are a string": '{"type":"fixed","name":"F","size":1,"aliases":"G"}',
    "an alias with a space": '{"type":"fixed","name":"F","size":1,"aliases":["a b"]}',
    "an order that is none": field_with("int", order="sideways"),
    "a default of another type": field_with("int", default="7"),
    "a default beyond an int": field_with("int", default=2**31),
    "a default beyond a long": field_with("long", default=2**63),
    "a default of true for an int": field_with("int", default=True),
    "a default that no branch takes": field_with(["null", "int"], default="x"),
    "a default that is no symbol": field_with({"type": "enum", "name": "E", "symbols": ["A"]}, default="B"),
    "a default of the wrong size": field_with({"type": "fixed", "name": "F", "size": 2}, default="x"),
    "a default that is not bytes": field_with("bytes", default="名"),
    "a default record without a field": field_with(json.loads(record(A, name="I")), default={}),
    "a default that never ends": field_with("R", default={}),
}
_deep: Any = "int"
for _at in range(100):
    _deep = json.loads(record({"name": "x", "type": _deep}, name=f"D{_at}"))
SCHEMAS["records 100 deep"] = json.dumps(_deep)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS.keys())
def test_a_schema_that_is_not_valid_is_42201(http: httpx.Client, subject: str, schema: str) -> None:
    message = refused(post(http, subject, schema), 422, 42201)
    assert len(message) < 1_000, "hostile input is not echoed at length"
    refused(http.get(f"/subjects/{subject}/versions"), 404, 40401)


def test_a_schema_of_10_mb_is_42209(http: httpx.Client, subject: str) -> None:
    refused(post(http, subject, json.dumps("x" * 10_000_000)), 422, 42209)
    refused(post(http, subject, record({**A, "doc": "x" * 1_500_000})), 422, 42209)


def test_a_schema_of_too_many_types_is_42209(http: httpx.Client, subject: str) -> None:
    fields = ",".join(f'{{"name":"f{at}","type":"int"}}' for at in range(30_000))
    refused(post(http, subject, '{"type":"record","name":"R","fields":[' + fields + "]}"), 422, 42209)
    branches = [json.loads(record(A, name=f"B{at}")) for at in range(600)]
    refused(post(http, subject, json.dumps(branches)), 422, 42209)


def test_defaults_that_fill_one_another_without_end_are_refused_in_time(http: httpx.Client, subject: str) -> None:
    other = {"type": "record", "name": "S", "fields": [{"name": "r", "type": ["R", "S"], "default": {}}]}
    endless = record({"name": "x", "type": ["R", other], "default": {}}, {"name": "y", "type": "R", "default": {}})
    assert post(http, subject, endless).json()["error_code"] in (42201, 42209)


def test_a_large_schema_within_the_limits_is_taken(http: httpx.Client, subject: str) -> None:
    fields = [
        {"name": f"f{at}", "type": ["null", "string"], "default": None, "doc": "字段" * 20} for at in range(2_000)
    ]
    number = register(http, subject, record(*fields))
    assert register(http, subject, record(*fields, A | {"default": ""})) != number


BODIES: dict[str, tuple[bytes, int, int]] = {
    "nothing": (b"", 400, 400),
    "half an object": (b'{"schema":', 400, 400),
    "bad UTF-8": (b'{"schema": "\xff\xfe"}', 400, 400),
    "a lone surrogate": (b'{"schema": "\\ud800"}', 400, 400),
    "a list": (b"[]", 422, 422),
    "a string": (b'"x"', 422, 422),
    "10,000 nested lists": (b"[" * 10_000, 400, 400),
    "an unknown field": (b'{"schema": "\\"string\\"", "colour": "red"}', 422, 422),
    "no schema": (b"{}", 422, 42201),
    "an empty schema": (b'{"schema": " "}', 422, 42201),
    "a schema that is an object": (b'{"schema": {"type": "string"}}', 422, 42201),
    "an id that is a word": (b'{"schema": "\\"string\\"", "id": "x"}', 422, 422),
    "an id that is huge": (b'{"schema": "\\"string\\"", "id": 99999999999999999999999}', 422, 422),
    "an id that is true": (b'{"schema": "\\"string\\"", "id": true}', 422, 422),
    "references that are an object": (b'{"schema": "\\"string\\"", "references": {}}', 422, 422),
    "a reference without a version": (
        b'{"schema": "\\"string\\"", "references": [{"name": "a", "subject": "b"}]}',
        422,
        422,
    ),
    "metadata that is a list": (b'{"schema": "\\"string\\"", "metadata": []}', 422, 422),
    "metadata of numbers": (b'{"schema": "\\"string\\"", "metadata": {"properties": {"a": 1}}}', 422, 422),
    "gzip": (gzip.compress(b'{"schema": "\\"string\\""}'), 400, 400),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_the_wrong_shape_is_refused(http: httpx.Client, subject: str, name: str) -> None:
    body, status, code = BODIES[name]
    refused(http.post(f"/subjects/{subject}/versions", content=body), status, code)
    refused(http.get(f"/subjects/{subject}/versions"), 404, 40401)


@pytest.mark.parametrize("kind", ["text/html", "application/xml", "multipart/form-data", "x"])
def test_another_content_type_is_415(http: httpx.Client, subject: str, kind: str) -> None:
    body = json.dumps({"schema": STRING})
    refused(http.post(f"/subjects/{subject}/versions", content=body, headers={"content-type": kind}), 415, 415)


@pytest.mark.parametrize("name", ["%00", "a%0Ab", "%7F", "__GLOBAL", "a" * 600, "%20%09", ":.ctx:s"])
def test_a_name_that_no_subject_may_have_is_42208(http: httpx.Client, name: str) -> None:
    refused(http.post(f"/subjects/{name}/versions", json={"schema": STRING}), 422, 42208)


def test_a_path_that_is_not_utf_8_is_400(http: httpx.Client) -> None:
    refused(http.get("/subjects/%ff%fe/versions"), 400, 400)


def test_references_in_a_circle_cannot_be_made_even_by_import(start_registry: Callable[..., RegistryThread]) -> None:
    with httpx.Client(base_url=start_registry().url, timeout=30) as http:
        http.put("/mode", json={"mode": "IMPORT"})
        me = {"name": "R", "subject": "s", "version": 1}
        refused(post(http, "s", record(A), id=1, version=1, references=[me]), 422, 42201)
        register(http, "s", record(A), id=1, version=1)
        refused(post(http, "s", record(A, name="S"), id=1, version=1, references=[me]), 422, 42205)
        refused(post(http, "t", STRING, references=[{**me, "version": 9}]), 422, 42201)
        many = [{**me, "name": str(at)} for at in range(300)]
        refused(post(http, "t", STRING, references=many), 422, 42209)


def test_a_reference_that_defines_a_name_again_is_refused(http: httpx.Client, subject: str) -> None:
    base = unique_name("base")
    register(http, base, record(A))
    reference = {"name": "R", "subject": base, "version": 1}
    refused(post(http, subject, record(A), references=[reference]), 422, 42201)


def raw(url: str, request: bytes, *, read: int = 65_536) -> bytes:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
        try:
            connection.sendall(request)
            return connection.recv(read)
        except ConnectionError:
            return b""


def test_what_is_not_http_is_refused_and_the_next_request_answered(registry: RegistryThread) -> None:
    for request in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET " + b"/" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 50_000 + b"\r\n",
        b"POST /subjects/a/versions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /subjects/a/versions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n{",
        b"POST /subjects/a/versions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
    ):
        answer = raw(registry.url, request)
        assert answer == b"" or answer.split(b" ")[1].startswith(b"4"), answer[:100]
    with httpx.Client(base_url=registry.url) as http:
        assert http.get("/").status_code == 200


def test_a_registry_under_fire_does_not_grow(start_process: Callable[[str], RegistryProcess]) -> None:
    process = start_process(unique_name("_schemas"))
    huge = json.dumps({"schema": json.dumps("x" * 2_800_000)})
    with httpx.Client(base_url=process.url, timeout=60) as http:

        def fire(rounds: int) -> None:
            for at in range(rounds):
                for schema in (nested_arrays(5_000), "[" * 5_000, field_with("Nobody"), record(A, A)):
                    assert post(http, f"s{at}", schema).status_code == 422
                assert http.post("/subjects/a/versions", content=huge).status_code == 422
                assert http.get(f"/schemas/ids/{10**9 + at}").status_code == 404
                assert http.post(f"/subjects/none{at}", json={"schema": STRING}).status_code == 404

        fire(20)
        before = process.resident_mib()
        fire(100)
        assert process.resident_mib() < before + 15
        assert http.get("/subjects").json() == []
