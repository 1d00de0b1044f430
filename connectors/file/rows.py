"""What travels between the rooms of the file reporter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one cell, or with the row (``column`` is "" then). ``value`` may be shown: it is masked."""

    column: str
    value: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it: field name → cell (text from CSV, any JSON value from JSON lines)."""

    line: int
    cells: Mapping[str, Any]
    #: The cells in the file's order, for the errors file; JSON lines have one, the line itself.
    original: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not sent, with every reason."""

    line: int
    problems: tuple[Problem, ...]
    original: tuple[str, ...]


def shown(text: str) -> str:
    """*text* short and on one line, fit for a terminal."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: _SHOWN + 1])
    return clean if len(text) <= _SHOWN else clean[:_SHOWN] + "…"
