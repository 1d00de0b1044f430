"""What can be wrong with an extension file beyond what keeps it from being merged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.catalog import Dataset
from schemas.documents import Problem
from schemas.lint.drafts import open_document, sound_fields
from schemas.lint.field_checks import field_problems
from schemas.lint.sameness import same_names


def extension_problems(path: Path, dataset: Dataset | None) -> Iterator[Problem]:
    """Fields of the extension in *path*; *dataset* is the merged one, None where it cannot be used."""
    marks: list[Problem] = []
    document = open_document(path, marks)
    if document is None or not isinstance(document.data, dict):
        return  # told when it was to be merged
    yield from marks
    if not document.data.get("basis"):
        zh, en = "没有写明依据（basis）", "no basis: which regulation asks for these fields is not said"
        yield document.problem(("dataset",), zh, en, "warning")
    fields = sound_fields(document.data.get("fields"))
    for index, field in fields:
        yield from field_problems(document, ("fields", index), field, dataset.sharing if dataset else "public")
    region = path.parent.name
    others = [field for field in dataset.fields if field.region != region] if dataset else []
    yield from same_names(document, fields, others)
