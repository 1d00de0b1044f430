"""Who may ask the registry, and who may change it: basic and bearer credentials, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from schemas.registry.errors import RegistryError

Role = Literal["reader", "writer"]


@dataclass(frozen=True, slots=True)
class RegistryUser:
    """A name and a password for basic authentication."""

    username: str
    password: str = field(repr=False)
    role: Role = "reader"


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """A token for bearer authentication; ``name`` is for people."""

    name: str
    token: str = field(repr=False)
    role: Role = "reader"


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """Everyone who may come in. Without users and tokens nobody may: deny is the default."""

    users: tuple[RegistryUser, ...] = ()
    tokens: tuple[RegistryToken, ...] = ()

    def __post_init__(self) -> None:
        if any(not user.username or ":" in user.username or not user.password for user in self.users):
            raise ValueError("a registry user needs a name without a colon, and a password")
        if any(len(token.token) < 16 for token in self.tokens):
            raise ValueError("a registry token needs at least 16 characters")


class AuthFileError(Exception):
    """The file of users and tokens is wrong; the message names the file and what is wrong, never a secret."""


def load_auth(path: Path) -> RegistryAuth:
    """Users and tokens from a YAML file that only its owner may read.

    ``users`` is a list of username, password and role, ``tokens`` one of name, token and role; a role is ``reader`` or
    ``writer``. Raises AuthFileError, and FileNotFoundError or PermissionError as the system does.
    """
    if path.stat().st_mode & 0o077:
        raise AuthFileError(f"{path} may be read by others than its owner: chmod 600 {path}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        # The parser's own message quotes the file, secrets included.
        raise AuthFileError(f"{path}: not YAML") from None
    if not isinstance(raw, dict) or raw.keys() - {"users", "tokens"}:
        raise AuthFileError(f"{path}: expected users and tokens")
    try:
        return RegistryAuth(
            users=tuple(RegistryUser(**_entry(item, "username", "password")) for item in raw.get("users") or ()),
            tokens=tuple(RegistryToken(**_entry(item, "name", "token")) for item in raw.get("tokens") or ()),
        )
    except ValueError as error:
        raise AuthFileError(f"{path}: {error}") from None


def _entry(raw: Any, *required: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or raw.keys() - {*required, "role"}:
        raise ValueError(f"an entry has {', '.join(required)} and role")
    if any(not isinstance(raw.get(name), str) for name in required):
        raise ValueError(f"an entry needs {' and '.join(required)} as text")
    if raw.get("role", "reader") not in ("reader", "writer"):
        raise ValueError("a role is reader or writer")
    return raw


class Gate:
    """Decides on each request from its ``Authorization`` header."""

    def __init__(self, auth: RegistryAuth) -> None:
        basic = (
            (b"basic " + base64.b64encode(f"{user.username}:{user.password}".encode()), user.role)
            for user in auth.users
        )
        bearer = ((b"bearer " + token.token.encode(), token.role) for token in auth.tokens)
        self._known: list[tuple[bytes, Role]] = [(_digest(secret), role) for secret, role in _chain(basic, bearer)]

    def role(self, authorization: bytes | None) -> Role:
        """The role of who sent this header; RegistryError 40101 for nobody known."""
        found: Role | None = None
        given = _digest(_normal(authorization or b""))
        # Every secret is compared, by digest: the time tells neither which one nearly matched nor how long it is.
        for secret, role in self._known:
            if hmac.compare_digest(secret, given):
                found = role
        if found is None:
            raise RegistryError(401, 40101, "Unauthorized")
        return found


def require_writer(role: Role) -> None:
    """Raise RegistryError 40301 for a role that may only read."""
    if role != "writer":
        raise RegistryError(403, 40301, "User is denied operation Write: the role is read-only")


def _chain(*parts: Iterable[tuple[bytes, Role]]) -> Iterable[tuple[bytes, Role]]:
    for part in parts:
        yield from part


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _normal(header: bytes) -> bytes:
    """The header with its scheme in lower case and basic credentials in their one canonical encoding."""
    scheme, _, rest = header.strip().partition(b" ")
    scheme, rest = scheme.lower(), rest.strip()
    if scheme == b"basic":
        try:
            rest = base64.b64encode(base64.b64decode(rest, validate=True))
        except binascii.Error:
            rest = b""
    return scheme + b" " + rest
