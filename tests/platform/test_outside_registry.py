"""The platform with a registry that is not its own: elsewhere, behind TLS and a password."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from publisher import MODEL, own_settings, publishing
from registry_process import RegistryProcess, self_signed, start_registry_process
from running import until

from schemas.registry.client import RegistryRefused
from sinks.read import HotCache
from streams.topic_admin import TopicAdmin
from zhida.cli._status import parts
from zhida.contracts import NOT_KEPT
from zhida.platform import start_platform
from zhida.settings import Settings
from zhida.stack import RunningStack
from zhida.stack.testing import chosen_stack, unique_name

pytestmark = pytest.mark.real
PASSWORD = "of-the-outside-registry"


@dataclass
class Outside:
    """A registry that is not the platform's, and how to get in."""

    process: RegistryProcess
    ca_file: Path

    def settings(self, folder: Path, password: str = PASSWORD) -> Settings:
        return own_settings(
            folder,
            registry_url=self.process.url,
            registry_username="platform",
            registry_password=password,
            registry_ca_file=self.ca_file,
        )


@pytest.fixture(scope="module")
def outside(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """On a broker of its own: nothing of it can be reached but its URL."""
    folder = tmp_path_factory.mktemp("outside")
    certificate = self_signed(folder)
    users = folder / "users.yaml"
    users.write_text(f"users: [{{username: platform, password: {PASSWORD}, role: writer}}]")
    users.chmod(0o600)
    options = ["--auth-file", users, "--tls-cert", certificate.cert_file, "--tls-key", certificate.key_file]
    process = start_registry_process(stack.settings.kafka(), folder, unique_name("_schemas"), *map(str, options))
    yield Outside(process, certificate.cert_file)
    process.kill()


def test_the_platform_works_with_a_registry_that_is_not_its_own(outside: Outside, tmp_path: Path) -> None:
    settings = outside.settings(tmp_path)
    with publishing(settings) as publisher:
        wire, registry = publisher.wire, publisher.registry
        assert "_schemas" not in TopicAdmin(wire.kafka, replication=1).names()
        (message,) = publisher.records(1)
        assert message.record is not None
        subject = message.record["TYSHXYDM"]
        sent = wire.send(wire.pairs([message]), dataset=MODEL, linger_ms=0)
        cache = HotCache.connect(publisher.settings.redis())
        until(lambda: bool(cache.many([subject])[0]), 15, "the record is stored")
        cache.close()
        assert sent[0].place in wire.accepted(wire.catalog[MODEL])
        assert all(part.ok for part in parts(publisher.settings)), parts(publisher.settings)
        rules = publisher.rules / f"{MODEL}.yaml"
        rules.write_text(rules.read_text("utf-8").replace("联系省信用中心登记", "请联系省信用中心"), "utf-8")
        publisher.raise_number()
        assert NOT_KEPT not in publisher.publish().notes
        assert "请联系省信用中心" in str(registry.latest(wire.catalog[MODEL].subject_name).rule_set)
    logs = [path.read_text("utf-8", "replace") for path in settings.data_dir.rglob("*.log")]
    assert len(logs) >= 3
    assert not any(PASSWORD in log for log in [*logs, *outside.process.log])


def test_a_platform_that_its_registry_does_not_let_in_does_not_start_and_leaves_nothing(
    outside: Outside, tmp_path: Path
) -> None:
    settings = outside.settings(tmp_path, password="another-one")
    with pytest.raises(RegistryRefused):
        start_platform(settings, real=chosen_stack() == "real")
    assert not (settings.data_dir / "stack.json").exists()
