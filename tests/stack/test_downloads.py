"""Downloads are used only when they are, byte for byte, what the lock files say."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from zhida.stack import downloads
from zhida.stack.errors import MissingProgram, StackError

ROOT = Path(__file__).parents[2]
JAR = b"jar"
WANTED = {"a.jar": hashlib.sha256(JAR).hexdigest()}


def test_the_lock_lists_kafka_and_a_logging_backend_with_a_hash_each() -> None:
    lines = (ROOT / "docker/kafka/jars.sha256").read_text().splitlines()
    names = {line.split()[1] for line in lines}
    assert {"kafka_2.13-4.1.1.jar", "kafka-server-4.1.1.jar", "log4j-slf4j-impl-2.24.3.jar"} <= names
    assert all(len(line.split()[0]) == 64 for line in lines)
    assert f"<version>{downloads.KAFKA_VERSION}</version>" in (ROOT / "docker/kafka/pom.xml").read_text()


def test_the_library_is_locked_by_version_and_hash() -> None:
    lock = json.loads((ROOT / "docker/clickhouse/libchdb.json").read_text())
    assert lock["integrity"].startswith("sha512-")
    assert lock["version"] == "26.7.3-stable.1"


def test_the_right_jars_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(JAR)
    downloads._check_jars(tmp_path, WANTED)


@pytest.mark.parametrize(
    "files", [{"a.jar": b"forged"}, {}, {"a.jar": JAR, "evil.jar": b"x"}], ids=["changed", "missing", "additional"]
)
def test_a_changed_missing_or_additional_jar_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StackError, match=r"jars\.sha256"):
        downloads._check_jars(tmp_path, WANTED)


def test_a_failed_download_leaves_nothing_that_a_later_start_would_trust(tmp_path: Path) -> None:
    def fail() -> None:
        with downloads._once(tmp_path, "thing") as folder:
            assert folder is not None
            (folder / "half").write_text("half")
            raise StackError("network gone")

    with pytest.raises(StackError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    with downloads._once(tmp_path, "thing") as folder:
        assert folder is not None
        (folder / "file").write_text("whole")
    with downloads._once(tmp_path, "thing") as folder:
        assert folder is None
    assert (tmp_path / "thing" / "file").read_text() == "whole"


def _fake_program(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_package_with_another_hash_is_refused_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_program(tmp_path / "bin", "npm", "echo forged > package.tgz", monkeypatch)
    with pytest.raises(StackError, match="its hash differs"):
        downloads.chdb_library(tmp_path / "cache", lambda _: None)
    assert not list((tmp_path / "cache").glob("**/*.tgz"))


def test_a_registry_that_cannot_be_reached_is_reported_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_program(tmp_path / "bin", "mvn", "echo 'Could not transfer artifact' >&2; exit 1", monkeypatch)
    with pytest.raises(StackError, match="Could not transfer artifact"):
        downloads.kafka_jars(tmp_path / "cache", lambda _: None)


@pytest.mark.parametrize(
    ("fetch", "command"),
    [(downloads.kafka_jars, "apt-get install maven"), (downloads.chdb_library, "apt-get install npm")],
)
def test_a_missing_client_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetch: object, command: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgram, match=command):
        fetch(tmp_path / "cache", lambda _: None)  # type: ignore[operator]
