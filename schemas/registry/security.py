"""Who may ask the registry, and who may change it: basic and bearer credentials, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

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
