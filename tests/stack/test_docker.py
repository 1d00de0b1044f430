"""Image and compose file, as far as they can be checked without containers."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from zhida.roles import role_names
from zhida.settings import Settings, all_variables

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
ENGINES = {"kafka", "redis", "clickhouse"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def roles(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if name not in ENGINES}


def test_the_compose_file_passes_yamllint() -> None:
    rules = "{extends: default, rules: {line-length: {max: 120}}}"
    problems = list(linter.run((DOCKER / "compose.yaml").read_text(encoding="utf-8"), YamlLintConfig(rules)))
    assert problems == []


def test_every_role_is_a_service_of_its_own(compose: dict[str, Any]) -> None:
    assert {name: service["command"] for name, service in roles(compose).items()} == {
        name: ["worker", "run", name] for name in role_names()
    }


def test_every_setting_in_the_compose_file_exists(compose: dict[str, Any]) -> None:
    for service in roles(compose).values():
        assert set(service["environment"]) <= set(all_variables())


def test_the_settings_of_each_role_are_valid_and_complete(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith("ZHIDA_"):
            monkeypatch.delenv(name)
    for secret in compose["secrets"]:
        (tmp_path / secret).write_text("ab" * 32)
    for service in roles(compose).values():
        for name, value in service["environment"].items():
            monkeypatch.setenv(name, str(value).replace("/run/secrets", str(tmp_path)))
        settings = Settings.load(data_dir=tmp_path)
        assert settings.redis().url == f"redis://:{'ab' * 32}@redis:6379/0"
        assert settings.clickhouse().password == settings.registry().password == settings.api_token() == "ab" * 32
        assert settings.kafka().bootstrap == "kafka:9092"
        assert len(settings.pii_key()) == 32


def test_only_the_api_is_published_and_only_on_the_loopback_interface(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8088:8088"]}
    assert compose["networks"]["inside"] == {"internal": True}


def test_roles_run_without_privileges_on_a_read_only_file_system(compose: dict[str, Any]) -> None:
    for service in roles(compose).values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        # What a role keeps goes to a volume, or to memory where it keeps nothing.
        places = [*service["tmpfs"], *(volume.split(":")[1] for volume in service.get("volumes", []))]
        assert "/var/lib/zhida" in places


def test_the_broker_of_the_compose_file_takes_messages_of_the_size_that_settings_promise(
    compose: dict[str, Any],
) -> None:
    size = str(Settings.model_fields["max_message_bytes"].default)
    environment = compose["services"]["kafka"]["environment"]
    assert environment["KAFKA_MESSAGE_MAX_BYTES"] == environment["KAFKA_REPLICA_FETCH_MAX_BYTES"] == size
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_no_secret_is_written_in_the_compose_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|TOKEN|KEY", name)
            assert not secret or (name.endswith("_FILE") and value.startswith("/run/secrets/")), name
    assert "secrets/" in (DOCKER / ".gitignore").read_text()


def test_the_image_runs_as_an_ordinary_user_and_installs_what_is_locked() -> None:
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert any("--require-hashes -r requirements/runtime.lock" in line for line in lines)
    assert all(re.search(r":\d", line) for line in lines if line.startswith("FROM ")), "a base image without a version"
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists() or source == "README.md", source
                assert f"!{source}" in ignored, f"{source} is not in the build context"


def test_secrets_are_made_once_and_kept(tmp_path: Path, compose: dict[str, Any]) -> None:
    script = shutil.copy(DOCKER / "make-secrets", tmp_path)
    subprocess.run(["sh", script], check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(compose["secrets"])
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in made.values())
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    subprocess.run(["sh", script], check=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
