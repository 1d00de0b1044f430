"""Names and labels that are one for a person, for a spreadsheet or for a store that does not tell case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.catalog import DatasetField
from schemas.documents import Document, Problem
from schemas.names import normalise


def same_names(
    document: Document, fields: Sequence[tuple[int, DatasetField]], others: Sequence[DatasetField]
) -> Iterator[Problem]:
    """Fields of one file whose code or label is that of an earlier field or of one of the *others*."""
    names = {field.name.lower(): field for field in others}
    labels = {normalise(name): field for field in others for name in (field.name, field.zh)}
    english = {field.en.strip().lower(): field for field in others}
    for index, field in fields:
        place = ("fields", index)
        other = names.setdefault(field.name.lower(), field)
        if other is not field and not (other.name == field.name and other in others):
            zh = (
                f"字段 {field.name} 重复"
                if other.name == field.name
                else f"字段名 {field.name} 与 {other.name} 只有大小写不同"
            )
            en = "is there twice" if other.name == field.name else f"differs from {other.name} in case alone"
            yield document.problem((*place, "name"), zh, f"{field.name} {en}")
        for key, text in (("name", field.name), ("zh", field.zh)):
            other = labels.setdefault(normalise(text), field)
            if other is not field and other.name.lower() != field.name.lower():
                zh = f"{text} 与字段 {other.name}（{other.zh}）同名，文件的列将无法区分"
                en = f"{text} is the same as {other.name} ({other.zh}): columns of a file could not be told apart"
                yield document.problem((*place, key), zh, en)
        other = english.setdefault(field.en.strip().lower(), field)
        if other is not field and other.name.lower() != field.name.lower():
            yield document.problem(
                (*place, "en"),
                f"英文名称与字段 {other.name} 相同",
                f"en is the same as that of {other.name}",
                "warning",
            )
