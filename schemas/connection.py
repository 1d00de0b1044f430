"""How to reach Kafka, Redis, ClickHouse and the schema registry, and each client's own words for it.

Every room is handed one of these; none of them reads settings.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Bootstrap servers (``host:port,host:port``) with optional TLS and SASL."""

    bootstrap: str
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def uses_tls(self) -> bool:
        """True for SSL and SASL_SSL."""
        return self.security_protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        """True for SASL_PLAINTEXT and SASL_SSL."""
        return self.security_protocol.startswith("SASL")

    def ssl_context(self) -> ssl.SSLContext | None:
        """A client context that verifies the broker, or None without TLS."""
        if not self.uses_tls:
            return None
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def aiokafka(self) -> dict[str, Any]:
        """Keyword arguments for aiokafka clients."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    def confluent(self) -> dict[str, Any]:
        """Configuration for confluent-kafka clients."""
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.security_protocol,
        }
        if self.uses_sasl:
            options |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        files = {
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.cert_file,
            "ssl.key.location": self.key_file,
        }
        if self.uses_tls:
            options |= {name: str(path) for name, path in files.items() if path}
        return options


@dataclass(frozen=True, slots=True)
class RedisConnection:
    """A ``redis://`` or ``rediss://`` URL, and the certificate authority for the latter."""

    url: str = field(repr=False)
    ca_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments for ``redis.Redis.from_url`` beside the URL."""
        return {"ssl_ca_certs": str(self.ca_file)} if self.ca_file else {}


@dataclass(frozen=True, slots=True)
class ClickHouseConnection:
    """Either a folder for the embedded engine (chDB, one process a folder) or a server's HTTP address."""

    path: Path | None = None
    host: str = ""
    port: int = 8123
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = "zhida"
    secure: bool = False
    ca_file: Path | None = None

    @property
    def embedded(self) -> bool:
        """True when the engine runs in this process."""
        return self.path is not None


@dataclass(frozen=True, slots=True)
class RegistryConnection:
    """A Confluent-compatible schema registry, with basic authentication or a bearer token, or neither."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    token: str = field(default="", repr=False)
