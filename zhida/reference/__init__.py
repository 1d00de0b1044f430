"""The catalog as a reference to read: a page a dataset and an index, in Markdown and as self-contained HTML.

Pages say what whoever prepares records needs to know: fields with codes and labels, when and by whom a record is due,
what is checked and what is said about it, and a record that passes. They are made from the catalog and the rules alone
and hold no date, so that the same files make the same pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rules.ruleset import RuleSet
from schemas.release import Release
from zhida.reference.html import html_page
from zhida.reference.index import index_page
from zhida.reference.page import dataset_page


@dataclass(frozen=True, slots=True)
class Source:
    """What the pages are made of: ``categories`` in their official order, ``day`` for assignments in force."""

    release: Release
    rule_set: RuleSet
    categories: tuple[str, ...]
    day: date


def write_reference(source: Source, folder: Path, formats: frozenset[str] = frozenset({"md", "html"})) -> list[Path]:
    """Write the pages into *folder*, over what is there of the same name; returns the files in order."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"index": index_page(source.release, source.categories, source.day)}
    for dataset in source.release.catalog:
        pages[dataset.code] = dataset_page(dataset, source.release, source.rule_set, source.day)
    written = []
    for name, text in pages.items():
        if "md" in formats:
            written.append(_write(folder / f"{name}.md", text))
        if "html" in formats:
            written.append(_write(folder / f"{name}.html", html_page(name, text, source.release, source.categories)))
    return written


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
