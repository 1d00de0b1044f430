"""What every engine of the stack is given, and what it hands back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zhida.settings import Settings
from zhida.stack.children import Plan
from zhida.stack.errors import MissingProgram
from zhida.stack.ports import Ports

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """Where and how an engine is to be prepared. ``folder`` is the engine family's data folder."""

    settings: Settings
    folder: Path
    ports: Ports
    report: Report
    brokers: int = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """The children that make up one engine, and the settings by which it is reached."""

    plans: tuple[Plan, ...]
    settings: dict[str, Any] = field(repr=False)


#: Writes configuration, chooses ports; called again when a port was snatched before the child could listen on it.
Engine = Callable[[Setup], Prepared]


def find_program(name: str, install: str, purpose: str) -> str:
    """The path of a program; raises MissingProgram with the command that installs it."""
    path = shutil.which(name)
    if path is None:
        raise MissingProgram(f"{purpose} needs {name}, which is not on PATH; install it (Debian): {install}")
    return path


def write_private(path: Path, text: str) -> None:
    """Write a configuration file that may hold a password: mode 0600 from its first moment."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
