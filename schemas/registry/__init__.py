"""The Confluent-compatible schema registry: a client for any registry, and a server of our own.

The client (:mod:`schemas.registry.client`) is imported here; the server (:mod:`schemas.registry.server`) is not,
so that a worker that only asks a registry does not load a web framework.
"""

from __future__ import annotations

from schemas.registry.client import (
    Compatibility,
    IncompatibleSchema,
    InvalidSchema,
    RegisteredSchema,
    RegistryClient,
    RegistryClientError,
    RegistryRefused,
    RegistryUnavailable,
    UnknownSchema,
    UnknownSubject,
)

__all__ = [
    "Compatibility",
    "IncompatibleSchema",
    "InvalidSchema",
    "RegisteredSchema",
    "RegistryClient",
    "RegistryClientError",
    "RegistryRefused",
    "RegistryUnavailable",
    "UnknownSchema",
    "UnknownSubject",
]
