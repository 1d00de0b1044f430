"""Our own client: what it remembers, what it tries again, and that it never takes silence for an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from registry_support import B_DEFAULT, A, B, RegistryThread, record

from schemas.catalog import Catalog
from schemas.connection import RegistryConnection
from schemas.registry.client import (
    IncompatibleSchema,
    InvalidSchema,
    RegistryClient,
    RegistryUnavailable,
    UnknownSchema,
    UnknownSubject,
)
from zhida.stack.testing import unique_name


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def client_of(url: str, clock: Clock, **options: float) -> RegistryClient:
    return RegistryClient(RegistryConnection(url), clock=clock, sleep=clock.sleep, **options)  # type: ignore[arg-type]


def test_the_catalogs_schemas_come_back_as_they_were(client: RegistryClient) -> None:
    for dataset in Catalog.load():
        subject = unique_name(dataset.subject_name)
        number = client.register(subject, dataset.avro_schema)
        assert client.schema(number) == dataset.avro_schema
        assert subject in client.subjects_of(number)
        latest = client.latest(subject)
        assert (latest.id, latest.version, latest.schema) == (number, 1, dataset.avro_schema)
        assert client.compatible(subject, dataset.avro_schema)


def test_each_refusal_has_its_own_exception(client: RegistryClient, subject: str) -> None:
    with pytest.raises(UnknownSchema):
        client.schema(2**31 - 1)
    with pytest.raises(UnknownSchema):
        client.subjects_of(2**31 - 1)
    with pytest.raises(UnknownSubject):
        client.latest(subject)
    assert client.compatible(subject, record(A))
    client.register(subject, record(A))
    answer = client.compatible(subject, record(A, B))
    assert not answer
    assert "'b'" in answer.messages[0]
    with pytest.raises(IncompatibleSchema, match="'b'"):
        client.register(subject, record(A, B))
    with pytest.raises(InvalidSchema):
        client.register(subject, "{")
    client.set_compatibility("NONE", subject)
    assert client.register(subject, record(B))
    assert subject in client.subjects(subject)


def test_a_data_contract_goes_up_and_comes_back(client: RegistryClient, subject: str) -> None:
    rules = {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true"}]}
    client.register(subject, record(A), metadata={"properties": {"k": "v"}}, rule_set=rules)
    latest = client.latest(subject)
    assert latest.metadata == {"properties": {"k": "v"}}
    assert latest.rule_set == rules


def test_silence_is_unavailable_never_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clock = Clock()
    with client_of(f"http://127.0.0.1:{port}", clock) as client:
        with pytest.raises(RegistryUnavailable):
            client.schema(1)
        with pytest.raises(RegistryUnavailable):
            client.register("s", "string")
    assert clock.now > 2, "the client tried again, with pauses"


def test_what_was_learnt_outlives_the_registry(start_registry: Callable[..., RegistryThread]) -> None:
    clock = Clock()
    registry = start_registry()
    client = client_of(registry.url, clock, subjects_ttl=30)
    number = client.register("s", record(A))
    schema, subjects = client.schema(number), client.subjects_of(number)
    registry.stop()
    clock.now += 3600
    assert client.schema(number) is schema
    assert client.subjects_of(number) == subjects
    with pytest.raises(RegistryUnavailable):
        client.schema(number + 1)


def test_new_subjects_of_an_id_and_new_ids_are_seen_in_time(registry: RegistryThread, client: RegistryClient) -> None:
    clock = Clock()
    with client_of(registry.url, clock, subjects_ttl=30, unknown_ttl=1) as worker:
        name = unique_name("R").replace(".", "")
        one, two = unique_name("one"), unique_name("two")
        number = client.register(one, record(A, name=name))
        assert worker.subjects_of(number) == {one}
        with pytest.raises(UnknownSchema):
            worker.schema(number + 1)
        client.register(two, record(A, name=name))
        later = client.register(two, record(A, B_DEFAULT, name=name))
        assert later == number + 1
        assert worker.subjects_of(number) == {one}
        with pytest.raises(UnknownSchema):
            worker.schema(later)
        clock.now += 31
        assert worker.subjects_of(number) == {one, two}
        assert worker.schema(later)


class Flaky(BaseHTTPRequestHandler):
    """Answers what the test has put in ``answers``, one after the other."""

    answers: list[tuple[int, bytes]]
    asked: int

    def do_GET(self) -> None:
        server = self.server
        status, body = server.answers[min(server.asked, len(server.answers) - 1)]  # type: ignore[attr-defined]
        server.asked += 1  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def flaky() -> Iterator[Callable[..., ThreadingHTTPServer]]:
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: tuple[int, bytes]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
        server.answers, server.asked = list(answers), 0  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


GOOD = (200, b'{"schema": "\\"string\\""}')


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_a_failure_that_passes_is_tried_again(flaky: Callable[..., ThreadingHTTPServer], status: int) -> None:
    server = flaky((status, b"{}"), (status, b"not json"), GOOD)
    clock = Clock()
    with client_of(f"http://127.0.0.1:{server.server_port}", clock) as client:
        assert client.schema(1) == "string"
    assert server.asked == 3  # type: ignore[attr-defined]
    assert clock.now > 0


@pytest.mark.parametrize(
    "answer",
    [
        (404, b"<html>no such page</html>"),
        (404, b'{"message": "no route"}'),
        (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
        (200, b"<html>log in</html>"),
        (200, b""),
        (302, b"{}"),
        (401, b'{"error_code": 401}'),
        (403, b"[]"),
    ],
)
def test_an_answer_that_is_not_the_registrys_is_unavailable(
    flaky: Callable[..., ThreadingHTTPServer], answer: tuple[int, bytes]
) -> None:
    server = flaky(answer)
    with (
        client_of(f"http://127.0.0.1:{server.server_port}", Clock()) as client,
        pytest.raises(RegistryUnavailable),
    ):
        client.schema(1)


def test_threads_share_one_client(client: RegistryClient, subject: str) -> None:
    number = client.register(subject, record(A))
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(50):
                assert client.schema(number)["name"] == "R"
                assert subject in client.subjects_of(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
