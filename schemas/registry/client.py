"""A client for any registry that speaks the Confluent REST protocol (ours, Confluent's, Karapace's, Apicurio's).

It keeps two kinds of failure apart that govern must never confuse: *the registry says that there is no such schema*
(:class:`UnknownSchema`) and *nobody could be asked* (:class:`RegistryUnavailable`).
"""

from __future__ import annotations

import random
import re
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
import orjson

from schemas.connection import RegistryConnection

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_CACHED_SCHEMAS = 10_000
_Kept = TypeVar("_Kept")
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
#: Registries without data contracts say "Unrecognized field: ruleSet".
_UNKNOWN_RULE_SET = re.compile(r"(?i:unrecogni[sz]ed|unknown)\W+(?:field|property)\W+ruleSet\b")


class RegistryClientError(Exception):
    """Something is wrong between us and the registry; the message says what."""


class UnknownSchema(RegistryClientError):  # noqa: N818 - what is unknown, not what went wrong
    """The registry answered that it has no schema with this id."""


class UnknownSubject(RegistryClientError):  # noqa: N818
    """The registry answered that it has no such subject or version."""


class InvalidSchema(RegistryClientError):  # noqa: N818
    """The registry answered that this is not a valid schema."""


class ContractsUnsupported(RegistryClientError):  # noqa: N818
    """The registry answered that it does not know rule sets; the schema alone it might take."""


class IncompatibleSchema(RegistryClientError):  # noqa: N818
    """The registry answered that the schema breaks the subject's compatibility level."""


class RegistryUnavailable(RegistryClientError):  # noqa: N818
    """No answer could be had: nothing is known about the schema, so try again later and keep the record."""


class RegistryRefused(RegistryUnavailable):
    """The registry does not let us in: wrong credentials, or a read-only role that tried to write."""


class UnknownPath(RegistryUnavailable):
    """A 404 without the protocol's code, from a registry that lacks the resource, a proxy, or behind a wrong URL."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One version of a subject; ``schema`` is the parsed JSON."""

    subject: str
    version: int
    id: int
    schema: Any
    metadata: dict[str, Any] | None = None
    rule_set: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Whether a schema may follow a subject's versions, and if not, why. True in a condition when it may."""

    compatible: bool
    messages: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.compatible


class RegistryClient:
    """Asks and registers; safe to share between threads.

    Schemas by id never change and are kept for good (the newest 10,000); the subjects of an id may grow and are asked
    again after *subjects_ttl* seconds; that an id is unknown is remembered for *unknown_ttl* seconds, so that a flood
    of forged ids does not become a flood of requests. Requests that fail for want of a connection, or with a status
    that passes, are tried *attempts* times with growing pauses (about 3 s in all with the default).
    """

    def __init__(
        self,
        connection: RegistryConnection,
        *,
        attempts: int = 6,
        timeout: float = 10.0,
        subjects_ttl: float = 30.0,
        unknown_ttl: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"accept": f"{CONTENT_TYPE}, application/json", "content-type": CONTENT_TYPE}
        if connection.token:
            headers["authorization"] = f"Bearer {connection.token}"
        # Redirects are not followed: they would carry the credentials to where nobody has sent them.
        self._http = httpx.Client(
            base_url=connection.url.rstrip("/"),
            auth=(connection.username, connection.password) if connection.username else None,
            headers=headers,
            timeout=timeout,
            verify=_trust(connection),
            # Proxies from the environment would make the same settings mean different things on different machines.
            trust_env=False,
        )
        self._url = connection.url
        self._attempts = attempts
        self._subjects_ttl = subjects_ttl
        self._unknown_ttl = unknown_ttl
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._schemas: OrderedDict[int, Any] = OrderedDict()
        self._subjects: OrderedDict[int, tuple[float, frozenset[str]]] = OrderedDict()
        self._unknown: OrderedDict[int, float] = OrderedDict()

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def register(
        self,
        subject: str,
        schema: dict[str, Any] | list[Any] | str,
        *,
        normalize: bool = False,
        metadata: dict[str, Any] | None = None,
        rule_set: dict[str, Any] | None = None,
    ) -> int:
        """Register *schema* (parsed, or its JSON text) under *subject* and return its id; again is no change.

        Raises InvalidSchema, IncompatibleSchema, ContractsUnsupported where rule sets are unknown, or
        RegistryUnavailable when nobody answered.
        """
        body: dict[str, Any] = {"schema": _text(schema)}
        if metadata is not None:
            body["metadata"] = metadata
        if rule_set is not None:
            body["ruleSet"] = rule_set
        path = f"/subjects/{_quoted(subject)}/versions"
        answer = self._ask("POST", path, body, params={"normalize": "true"} if normalize else None)
        return int(answer["id"])

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The parsed schema with this id.

        Raises UnknownSchema when the registry has none, RegistryUnavailable when nobody could be asked.
        """
        with self._lock:
            if schema_id in self._schemas:
                self._schemas.move_to_end(schema_id)
                return cast("dict[str, Any]", self._schemas[schema_id])
            self._raise_if_known_unknown(schema_id)
        answer = self._ask_about_id(schema_id, f"/schemas/ids/{schema_id}")
        parsed = _parsed(answer["schema"])
        with self._lock:
            _remember(self._schemas, schema_id, parsed)
        return cast("dict[str, Any]", parsed)

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        """The subjects under which this id is registered and not deleted; raises as :meth:`schema` does."""
        with self._lock:
            known = self._subjects.get(schema_id)
            if known is not None and self._clock() - known[0] < self._subjects_ttl:
                return known[1]
            self._raise_if_known_unknown(schema_id)
        try:
            # Not /subjects, which says the same: Karapace has only this one.
            answer = self._ask_about_id(schema_id, f"/schemas/ids/{schema_id}/versions")
        except RegistryUnavailable:
            if known is None:
                raise
            # An old answer keeps good records flowing while the registry is away.
            return known[1]
        subjects = frozenset(item["subject"] for item in answer)
        with self._lock:
            _remember(self._subjects, schema_id, (self._clock(), subjects))
        return subjects

    def latest(self, subject: str) -> RegisteredSchema:
        """The newest version of *subject*; raises UnknownSubject."""
        return _registered(self._ask("GET", f"/subjects/{_quoted(subject)}/versions/latest"))

    def look_up(
        self, subject: str, schema: dict[str, Any] | list[Any] | str, *, rule_set: dict[str, Any] | None = None
    ) -> RegisteredSchema | None:
        """The version of *subject* that is *schema*, with *rule_set* where one is given; None when there is none.

        Raises ContractsUnsupported where rule sets are unknown. A registry that ignores them answers without.
        """
        body: dict[str, Any] = {"schema": _text(schema)}
        if rule_set is not None:
            body["ruleSet"] = rule_set
        try:
            answer = self._ask("POST", f"/subjects/{_quoted(subject)}", body)
        except (UnknownSubject, UnknownSchema):
            return None
        return _registered(answer)

    def compatible(self, subject: str, schema: dict[str, Any] | list[Any] | str) -> Compatibility:
        """Whether *schema* could be registered under *subject* now; a new subject takes anything."""
        path = f"/compatibility/subjects/{_quoted(subject)}/versions"
        body, params = {"schema": _text(schema)}, {"verbose": "true"}
        try:
            try:
                answer = self._ask("POST", path, body, params=params)
            except UnknownPath:
                # Karapace compares with every version where the level says so, whichever one is named.
                answer = self._ask("POST", f"{path}/latest", body, params=params)
        except UnknownSubject:
            return Compatibility(compatible=True)
        return Compatibility(answer["is_compatible"], tuple(answer.get("messages") or ()))

    def subjects(self, prefix: str = "") -> tuple[str, ...]:
        """All subjects that are not deleted, whose names start with *prefix*."""
        params = {"subjectPrefix": prefix} if prefix else None
        # Not every registry knows the parameter.
        return tuple(name for name in self._ask("GET", "/subjects", params=params) if name.startswith(prefix))

    def set_compatibility(self, level: str, subject: str | None = None) -> None:
        """Set the compatibility level of *subject*, or the global one."""
        path = f"/config/{_quoted(subject)}" if subject else "/config"
        self._ask("PUT", path, {"compatibility": level})

    def _raise_if_known_unknown(self, schema_id: int) -> None:
        since = self._unknown.get(schema_id)
        if since is not None and self._clock() - since < self._unknown_ttl:
            raise UnknownSchema(f"schema id {schema_id} is not registered at {self._url}")

    def _ask_about_id(self, schema_id: int, path: str) -> Any:
        try:
            return self._ask("GET", path)
        except UnknownSchema:
            with self._lock:
                _remember(self._unknown, schema_id, self._clock())
            raise

    def _ask(self, method: str, path: str, body: Any = None, *, params: dict[str, str] | None = None) -> Any:
        content = orjson.dumps(body) if body is not None else None
        trouble = ""
        for attempt in range(self._attempts):
            if attempt:
                # Full jitter on half of the pause: workers that lost the registry together do not return together.
                pause = min(0.1 * 2 ** (attempt - 1), 2.0)
                self._sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - not a secret
            try:
                response = self._http.request(method, path, content=content, params=params)
            except (httpx.TransportError, OSError) as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            if response.status_code in _TRY_AGAIN:
                trouble = f"HTTP {response.status_code}"
                continue
            return _answer(response, path)
        raise RegistryUnavailable(f"the schema registry at {self._url} does not answer ({trouble})")


def _answer(response: httpx.Response, path: str) -> Any:
    """The parsed body of a good answer; a bad one becomes the exception that says what it means."""
    try:
        parsed = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise RegistryUnavailable(f"{path}: HTTP {response.status_code} with a body that is not JSON") from error
    if response.is_success:
        return parsed
    code = parsed.get("error_code", response.status_code) if isinstance(parsed, dict) else response.status_code
    message = f"{path}: {parsed.get('message', '') if isinstance(parsed, dict) else ''} ({code})"
    if response.status_code in (400, 422) and _UNKNOWN_RULE_SET.search(message):
        raise ContractsUnsupported(message)
    raise _exception_for(response.status_code, code)(message)


def _trust(connection: RegistryConnection) -> ssl.SSLContext | bool:
    """What ``verify`` is to httpx. Loading the system's authorities takes 30 ms, for nothing when there is no TLS."""
    if not connection.url.startswith("https:"):
        return False
    if connection.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(connection.ca_file))
    except ssl.SSLError as error:
        raise RegistryClientError(f"{connection.ca_file} holds no certificate authority: {error.reason}") from error


def _registered(answer: Any) -> RegisteredSchema:
    return RegisteredSchema(
        subject=answer["subject"],
        version=answer["version"],
        id=answer["id"],
        schema=_parsed(answer["schema"]),
        metadata=answer.get("metadata"),
        rule_set=answer.get("ruleSet"),
    )


def _exception_for(status: int, code: int) -> type[RegistryClientError]:
    if status in (401, 403):
        return RegistryRefused
    if code == 40403:
        return UnknownSchema
    if code in (40401, 40402):
        return UnknownSubject
    if status == 409:
        return IncompatibleSchema
    if status == 422:
        return InvalidSchema
    # A 404 without the protocol's code comes from a proxy or a wrong URL: that says nothing about the schema.
    return UnknownPath if status == 404 else RegistryUnavailable


def _remember(cache: OrderedDict[int, _Kept], key: int, value: _Kept) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > _CACHED_SCHEMAS:
        cache.popitem(last=False)


def _quoted(subject: str) -> str:
    return quote(subject, safe="")


def _text(schema: dict[str, Any] | list[Any] | str) -> str:
    return schema if isinstance(schema, str) else orjson.dumps(schema).decode()


def _parsed(text: str) -> Any:
    """A schema's JSON; some registries hand a primitive type back as its bare name."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
