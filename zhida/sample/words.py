"""Reads the vocabulary of the sample province (``words.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

WORDS_FILE = Path(__file__).with_name("words.yaml")


@dataclass(frozen=True, slots=True)
class Industry:
    """A word in a company's name, and the business scope that goes with it."""

    word: str
    scope: str


@dataclass(frozen=True, slots=True)
class Licence:
    """What one department line licenses."""

    decision: str
    kind: str
    certificate: str
    prefix: str
    content: str


@dataclass(frozen=True, slots=True)
class Offence:
    """What one department line penalises."""

    offence: str
    facts: str
    basis: str


@dataclass(frozen=True, slots=True)
class Words:
    """Everything that names and texts are put together from."""

    surnames: str
    given_names: str
    brands: str
    roads: tuple[str, ...]
    industries: tuple[Industry, ...]
    company_forms: tuple[str, ...]
    shops: tuple[str, ...]
    licences: dict[str, tuple[Licence, ...]]
    penalties: dict[str, tuple[Offence, ...]]

    @classmethod
    def load(cls, path: Path = WORDS_FILE) -> Words:
        """Read the file; raises KeyError or TypeError where a part is missing or of the wrong shape."""
        raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return cls(
            surnames=raw["surnames"],
            given_names=raw["given_names"],
            brands=raw["brands"],
            roads=tuple(raw["roads"]),
            industries=tuple(Industry(**item) for item in raw["industries"]),
            company_forms=tuple(raw["company_forms"]),
            shops=tuple(raw["shops"]),
            licences={line: tuple(Licence(*item) for item in items) for line, items in raw["licences"].items()},
            penalties={line: tuple(Offence(*item) for item in items) for line, items in raw["penalties"].items()},
        )
