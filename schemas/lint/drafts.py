"""A dataset file as far as it can be read: whole where it is sound, else its sound fields and plain keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.catalog import NO_REGION_HERE, Dataset, DatasetField, code_must_be
from schemas.documents import Document, DocumentError, Location, Problem, has_bom


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read; ``dataset`` is None where the file cannot be used."""

    code: str
    document: Document
    dataset: Dataset | None
    #: Position in the file and field, of those that are sound by themselves.
    fields: tuple[tuple[int, DatasetField], ...]

    def text(self, *keys: str) -> str:
        """The text under a key, or "" where there is none."""
        found: Any = self.document.data
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, str) else ""

    def names(self, key: str) -> list[str]:
        """The texts of the list under a key."""
        found = self.document.data.get(key)
        return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []

    def say(self, location: Location, zh: str, en: str) -> Problem:
        """An error."""
        return self.document.problem(location, zh, en)

    def warn(self, location: Location, zh: str, en: str) -> Problem:
        """A warning."""
        return self.document.problem(location, zh, en, "warning")


def read_draft(path: Path, problems: list[Problem]) -> Draft | None:
    """The draft of a file; what is wrong with its form is added to *problems*. None where nothing can be read."""
    document = open_document(path, problems)
    if document is None:
        return None
    if not isinstance(document.data, dict):
        problems.append(document.problem((), "文件应由键值对组成", "the file must consist of keys and values"))
        return None
    dataset = None
    try:
        dataset = Dataset.model_validate(document.data)
    except ValidationError as error:
        problems += document.faults(error, Dataset)
    fields = sound_fields(document.data.get("fields"))
    problems += [
        document.problem(("fields", index, "region"), *NO_REGION_HERE) for index, field in fields if field.region
    ]
    code = document.data.get("code")
    if isinstance(code, str) and code != path.stem:
        problems.append(document.problem(("code",), *code_must_be(path.stem, code)))
        dataset = None
    return Draft(path.stem, document, dataset, tuple(fields))


def open_document(path: Path, problems: list[Problem]) -> Document | None:
    """The document of a file; adds to *problems* why it cannot be read, or that it begins with a byte order mark."""
    if has_bom(path.read_bytes()):
        zh, en = (
            "文件以字节序标记（BOM）开头，请存为“UTF-8”而非“UTF-8 with BOM”",
            "the file begins with a byte order mark",
        )
        problems.append(Problem(str(path), 1, zh, f"{en}: save it as UTF-8 without BOM", "warning"))
    try:
        return Document.read(path)
    except DocumentError as error:
        problems += error.problems
        return None


def sound_fields(raw: Any) -> list[tuple[int, DatasetField]]:
    """Position and field of every entry that is a field."""
    found = []
    for index, item in enumerate(raw if isinstance(raw, Sequence) and not isinstance(raw, str) else ()):
        try:
            found.append((index, DatasetField.model_validate(item)))
        except ValidationError:
            continue  # the file as a whole has told it
    return found
