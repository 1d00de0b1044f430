"""``zhida registry serve`` as a process of its own, and a certificate for it."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from schemas.connection import KafkaConnection
from schemas.registry.server import RegistryTls


@dataclass
class RegistryProcess:
    """``zhida registry serve`` as a process that a test may kill."""

    process: subprocess.Popen[str]
    url: str
    log: list[str] = field(default_factory=list)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0


def start_registry_process(kafka: KafkaConnection, folder: Path, topic: str, *options: str) -> RegistryProcess:
    """Start it on *topic* and a free port, in *folder*; returns when it answers. Whoever calls this kills it."""
    command = [sys.executable, "-m", "zhida", "registry", "serve", "--port", "0", "--topic", topic, *options]
    # Without a stack of its own in this folder, the command is told where the broker is.
    environment = os.environ | {"ZHIDA_KAFKA_BOOTSTRAP": kafka.bootstrap, "ZHIDA_DATA_DIR": str(folder / "var")}
    process = subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        found = re.search(r"schema registry: (https?://\S+)", line)
        if found:
            threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True).start()
            return RegistryProcess(process, found[1], lines)
    raise AssertionError(f"the registry did not start:\n{''.join(lines)}")


def self_signed(folder: Path) -> RegistryTls:
    """A certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return RegistryTls(cert_file, key_file)
