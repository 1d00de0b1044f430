"""The documentation is true: its commands run, its links lead somewhere, and both READMEs say the same."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from doc_commands import PAGES, ROOT, DocCommand, needing

import zhida.cli
from zhida.cli._root import discover, load
from zhida.stack.testing import free_port


@dataclass
class Reader:
    """Runs commands as a reader would who stands in a checkout: one folder for all, so that pages can build on it."""

    folder: Path
    environment: dict[str, str]

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", text], cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=120
        )


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZHIDA_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ZHIDA_DATA_DIR": str(folder / "var"),
    }
    return Reader(folder, environment)


@pytest.mark.parametrize("command", needing(""), ids=str)
def test_a_command_in_the_documentation_works_as_written(reader: Reader, command: DocCommand) -> None:
    done = reader.run(command.text)
    assert done.returncode in command.exit_codes, f"{command.text}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def platform_reader(reader: Reader) -> Iterator[Reader]:
    """The same reader while ``zhida up`` runs in another window."""
    reader.environment |= {
        "ZHIDA_API_PORT": str(free_port()),
        "ZHIDA_REGISTRY_PORT": str(free_port()),
    }
    log = reader.folder / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(["zhida", "up"], cwd=reader.folder, env=reader.environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 120
        while reader.run("zhida status").returncode != 0:
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield reader
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)


@pytest.mark.parametrize("command", needing("platform"), ids=str)
def test_a_command_in_the_documentation_works_while_the_platform_runs(
    platform_reader: Reader, command: DocCommand
) -> None:
    done = platform_reader.run(command.text)
    assert done.returncode in command.exit_codes, f"{command.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("command", needing("long"), ids=str)
def test_a_command_that_is_not_run_here_exists_with_its_options(command: DocCommand) -> None:
    words = shlex.split(command.text)
    if words[0] != "zhida":
        path = ROOT / words[0]
        if not words[0].startswith(".venv/"):
            assert path.is_file(), f"{words[0]} is missing"
            assert os.access(path, os.X_OK), f"{words[0]} is not executable"
        return
    modules = {found.name: found for found in discover(Path(zhida.cli.__file__).parent)}
    assert words[1] in modules, f"there is no command zhida {words[1]}"
    cli_command = load(modules[words[1]])
    if hasattr(cli_command, "commands"):
        assert words[2] in cli_command.commands, command.text
        cli_command = cli_command.commands[words[2]]
    known = {option for parameter in cli_command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_both_readmes_have_the_same_commands_and_the_same_links() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    for pattern in (r"^```(.*?)\n(.*?)^```", r"\]\((docs/[^)]+)\)"):
        found = [re.findall(pattern, text, re.MULTILINE | re.DOTALL) for text in (english, chinese)]
        if pattern.startswith("^"):
            found = [[block for block in blocks if block[0].startswith("sh")] for blocks in found]
        assert found[0] == found[1]


def test_every_exit_code_is_listed() -> None:
    from zhida.errors import ExitCode

    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == {int(code) for code in ExitCode}


def test_make_help_lists_every_target() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    listed = subprocess.run(["make", "help"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    assert {line.split()[0] for line in listed.splitlines()} == set(targets[1].split())
