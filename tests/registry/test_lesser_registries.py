"""Registries that can do less than ours: what the platform asks of them must be had all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson
import pytest
from registry_support import JSON, A, B, RegistryThread, record

from schemas.connection import RegistryConnection
from schemas.registry.client import ContractsUnsupported, RegistryClient
from zhida.contracts import look_up_contract, register_contract
from zhida.stack.testing import unique_name

RULES = {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true"}]}
#: What FastAPI says where there is no such resource.
NO_SUCH_PATH = (404, b'{"detail":"Not Found"}')
#: What Confluent's registry says before version 7.4.
UNRECOGNIZED = (422, b'{"error_code":422,"message":"Unrecognized field: ruleSet"}')


class Lesser(BaseHTTPRequestHandler):
    """Passes on to our registry what a lesser one understands. ``rule_sets`` are ``ignored`` or ``refused``."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, content = self._asked(body)
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def _asked(self, body: bytes) -> tuple[int, bytes]:
        path = self.path.partition("?")[0]
        if path.endswith("/subjects") and path != "/subjects":
            return NO_SUCH_PATH
        if path.startswith("/compatibility/") and path.endswith("/versions"):
            return NO_SUCH_PATH
        if body and "ruleSet" in (asked := orjson.loads(body)):
            if self.server.rule_sets == "refused":  # type: ignore[attr-defined]
                return UNRECOGNIZED
            del asked["ruleSet"]
            body = orjson.dumps(asked)
        # It knows no prefixes.
        url = self.server.url + (path if path == "/subjects" else self.path)  # type: ignore[attr-defined]
        answer = httpx.request(self.command, url, content=body or None, headers=JSON)
        return answer.status_code, answer.content

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(params=["ignored", "refused"])
def lesser(request: pytest.FixtureRequest, registry: RegistryThread) -> Iterator[RegistryClient]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lesser)
    server.url, server.rule_sets = registry.url, request.param  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with RegistryClient(RegistryConnection(f"http://127.0.0.1:{server.server_port}"), attempts=1) as client:
        yield client
    server.shutdown()
    server.server_close()


def test_a_schema_whose_contract_is_not_kept_is_registered_and_found_and_the_loss_is_known(
    lesser: RegistryClient, subject: str
) -> None:
    schema = {"type": "record", "name": "R", "fields": [A]}
    assert look_up_contract(lesser, subject, schema, RULES)[0] is None
    number = register_contract(lesser, subject, schema, RULES)
    assert register_contract(lesser, subject, schema, RULES) == number
    found, kept = look_up_contract(lesser, subject, schema, RULES)
    assert found is not None
    assert (found.id, found.rule_set, kept) == (number, None, False)
    assert look_up_contract(lesser, subject, schema, None) == (found, True)


def test_a_contract_that_is_kept_is_found_with_its_schema(client: RegistryClient, subject: str) -> None:
    schema = {"type": "record", "name": "R", "fields": [A]}
    register_contract(client, subject, schema, RULES)
    found, kept = look_up_contract(client, subject, schema, RULES)
    assert found is not None
    assert (found.rule_set, kept) == (RULES, True)
    others = {"domainRules": [RULES["domainRules"][0] | {"expr": "false"}]}
    assert look_up_contract(client, subject, schema, others) == (None, True)


@pytest.mark.parametrize("lesser", ["refused"], indirect=True)
def test_that_rule_sets_are_unknown_is_not_taken_for_a_wrong_schema(lesser: RegistryClient, subject: str) -> None:
    with pytest.raises(ContractsUnsupported):
        lesser.register(subject, record(A), rule_set=RULES)


def test_compatibility_subjects_of_an_id_and_a_prefix_are_had_where_the_usual_way_is_missing(
    lesser: RegistryClient,
) -> None:
    first, second = unique_name("one"), unique_name("two")
    assert lesser.compatible(first, record(A))
    number = lesser.register(first, record(A, name=first.replace(".", "_")))
    assert lesser.register(second, record(A, name=first.replace(".", "_"))) == number
    assert lesser.subjects_of(number) == {first, second}
    answer = lesser.compatible(first, record(A, B, name=first.replace(".", "_")))
    assert not answer
    assert "'b'" in str(answer.messages)
    assert lesser.subjects(first) == (first,)
