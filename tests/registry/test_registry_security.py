"""Credentials, roles and TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from registry_process import self_signed
from registry_support import JSON, STRING, RegistryThread, refused

from schemas.connection import KafkaConnection, RegistryConnection
from schemas.registry import security
from schemas.registry.client import RegistryClient, RegistryRefused, UnknownSchema
from schemas.registry.security import AuthFileError, Gate, RegistryAuth, RegistryToken, RegistryUser, load_auth
from schemas.registry.server import RegistryTls, create_registry

WRITER = ("writer", "w:ith a colon and 汉字")
READER = ("reader", "reads only")
TOKEN = "a-token-of-the-gateway"
READ_TOKEN = "a-token-that-only-reads"
AUTH = RegistryAuth(
    users=(RegistryUser(*WRITER, role="writer"), RegistryUser(*READER)),
    tokens=(RegistryToken("gateway", TOKEN, role="writer"), RegistryToken("page", READ_TOKEN)),
)


@pytest.fixture
def guarded(start_registry: Callable[..., RegistryThread]) -> RegistryThread:
    return start_registry(auth=AUTH)


def basic(user: tuple[str, str]) -> httpx.BasicAuth:
    return httpx.BasicAuth(user[0].encode(), user[1].encode())


def test_nobody_comes_in_without_credentials_and_readers_change_nothing(guarded: RegistryThread) -> None:
    body = {"schema": STRING}
    with httpx.Client(base_url=guarded.url, headers=JSON) as http:
        for path in ("/", "/subjects", "/schemas/ids/1", "/config", "/nothing"):
            response = http.get(path)
            refused(response, 401, 40101)
            assert "Basic" in response.headers["www-authenticate"]
        for header in (
            "Basic",
            "Basic !!!",
            "Basic d3JpdGVy",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Token {TOKEN}",
            "x" * 9000,
        ):
            refused(http.get("/subjects", headers={"authorization": header}), 401, 40101)
        refused(http.get("/subjects", auth=basic((WRITER[0], READER[1]))), 401, 40101)
        for allowed in ({"auth": basic(WRITER)}, {"headers": {"authorization": f"bearer  {TOKEN}"}}):
            answer = http.post("/subjects/s/versions", json=body, **allowed)  # type: ignore[arg-type]
            assert answer.status_code == 200, answer.text
        for reader in ({"auth": basic(READER)}, {"headers": {"authorization": f"Bearer {READ_TOKEN}"}}):
            keywords: dict[str, Any] = dict(reader)
            assert http.get("/schemas/ids/1", **keywords).status_code == 200
            assert http.post("/subjects/s", json=body, **keywords).status_code == 200
            assert http.post("/compatibility/subjects/s/versions", json=body, **keywords).status_code == 200
            refused(http.post("/subjects/s/versions", json=body, **keywords), 403, 40301)
            refused(http.delete("/subjects/s", **keywords), 403, 40301)
            refused(http.delete("/subjects/s/versions/1", **keywords), 403, 40301)
            for path in ("/config", "/config/s", "/mode", "/mode/s"):
                refused(http.put(path, json={"compatibility": "NONE", "mode": "READONLY"}, **keywords), 403, 40301)
                refused(http.delete(path, **keywords), 403, 40301)


def test_our_client_says_refused_and_not_unknown(guarded: RegistryThread) -> None:
    with RegistryClient(RegistryConnection(guarded.url, *WRITER)) as client:
        assert client.register("s", "string") == 1
        with pytest.raises(UnknownSchema):
            client.schema(99)
    with RegistryClient(RegistryConnection(guarded.url, *READER)) as client:
        assert client.schema(1) == "string"
        with pytest.raises(RegistryRefused):
            client.register("t", "string")
    with RegistryClient(RegistryConnection(guarded.url)) as client, pytest.raises(RegistryRefused):
        client.schema(1)


def test_our_client_shows_its_token_and_tells_it_to_nobody(guarded: RegistryThread) -> None:
    connection = RegistryConnection(guarded.url, token=TOKEN)
    assert TOKEN not in repr(connection)
    with RegistryClient(connection) as client:
        assert client.register("s", "string") == 1
    with RegistryClient(RegistryConnection(guarded.url, token=TOKEN + "x")) as client:
        with pytest.raises(RegistryRefused) as refused_to:
            client.schema(1)
        assert TOKEN not in str(refused_to.value)


def test_confluents_client_logs_in_with_basic_and_with_bearer(guarded: RegistryThread) -> None:
    with SchemaRegistryClient({"url": guarded.url, "basic.auth.user.info": ":".join(READER)}) as client:
        assert client.get_subjects() == []
    bearer = {
        "url": guarded.url,
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": TOKEN,
        "bearer.auth.logical.cluster": "lsrc-1",
        "bearer.auth.identity.pool.id": "pool-1",
    }
    with SchemaRegistryClient(bearer) as client:
        assert client.register_schema("s", Schema(STRING, "AVRO")) == 1


def test_every_secret_is_compared_whoever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    original = security.hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return original(one, other)

    monkeypatch.setattr(security.hmac, "compare_digest", counting)
    gate = Gate(AUTH)
    assert gate.role(f"Bearer {TOKEN}".encode()) == "writer"
    assert len(compared) == 4
    assert all(len(digest) == 32 for digest in compared)


def test_an_open_registry_listens_on_loopback_only() -> None:
    kafka = KafkaConnection("127.0.0.1:1")
    for host in ("0.0.0.0", "::", "192.0.2.1", "registry.example"):
        with pytest.raises(ValueError, match="needs credentials"):
            create_registry(kafka, host=host)
        create_registry(kafka, host=host, auth=AUTH)
        create_registry(kafka, host=host, allow_anonymous=True)
    for host in ("127.0.0.1", "localhost", "::1"):
        create_registry(kafka, host=host)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    shown = repr(AUTH)
    assert TOKEN not in shown
    assert READER[1] not in shown
    path = tmp_path / "users.yaml"
    path.write_text("users: [{username: a, password: very-secret, role: king}]")
    path.chmod(0o600)
    with pytest.raises(AuthFileError) as wrong:
        load_auth(path)
    assert "very-secret" not in str(wrong.value)


GOOD = """
users:
  - {username: writer, password: one, role: writer}
  - {username: reader, password: two}
tokens:
  - {name: gateway, token: sixteen-letters-or-more}
"""


def test_the_file_of_users_is_read_when_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(GOOD)
    path.chmod(0o640)
    with pytest.raises(AuthFileError, match="chmod 600"):
        load_auth(path)
    path.chmod(0o600)
    auth = load_auth(path)
    assert [(user.username, user.role) for user in auth.users] == [("writer", "writer"), ("reader", "reader")]
    assert [(token.name, token.role) for token in auth.tokens] == [("gateway", "reader")]


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "users",
        "people: []",
        "users: [a]",
        "users: [{username: a}]",
        "users: [{username: a, password: 7}]",
        "users: [{username: 'a:b', password: x}]",
        "users: [{username: a, password: x, colour: red}]",
        "tokens: [{name: a, token: short}]",
    ],
)
def test_a_file_of_users_that_is_wrong_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(AuthFileError, match=r"users\.yaml"):
        load_auth(path)


def test_an_empty_list_of_users_lets_nobody_in(start_registry: Callable[..., RegistryThread]) -> None:
    with httpx.Client(base_url=start_registry(auth=RegistryAuth()).url) as http:
        refused(http.get("/subjects"), 401, 40101)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> RegistryTls:
    return self_signed(tmp_path_factory.mktemp("tls"))


def test_tls_is_spoken_and_the_certificate_checked(
    start_registry: Callable[..., RegistryThread], certificate: RegistryTls
) -> None:
    url = start_registry(tls=certificate, auth=AUTH).url
    assert url.startswith("https://127.0.0.1:")
    with RegistryClient(RegistryConnection(url, *WRITER, ca_file=certificate.cert_file)) as client:
        assert client.register("s", "string") == 1
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(url)
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https", "http"))


def test_a_client_certificate_can_be_demanded(
    start_registry: Callable[..., RegistryThread], certificate: RegistryTls
) -> None:
    mutual = RegistryTls(certificate.cert_file, certificate.key_file, client_ca_file=certificate.cert_file)
    url = start_registry(tls=mutual).url
    trust = ssl.create_default_context(cafile=str(certificate.cert_file))
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/subjects", verify=trust)
    trust.load_cert_chain(certificate.cert_file, certificate.key_file)
    assert httpx.get(f"{url}/subjects", verify=trust).json() == []
