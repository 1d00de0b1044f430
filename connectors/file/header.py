"""Column names of a file → fields of the catalog.

A column may be named by its official code, by its Chinese label, or by both (``企业名称(QYMC)``); case, spaces,
full-width forms, brackets and the asterisk of a required column don't matter. Columns that start with ``#`` are notes
and are not sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors.base import ConnectorError
from schemas.catalog import Dataset, DatasetField
from schemas.names import normalise

NOTE_PREFIX = "#"


class Fields(Protocol):
    """What has fields: a dataset, or another kind of list."""

    @property
    def fields(self) -> tuple[DatasetField, ...]:
        """The fields that a file may have columns for."""
        ...


class Names:
    """Every name by which the fields of one dataset are known."""

    def __init__(self, dataset: Fields, aliases: Mapping[str, str] | None = None) -> None:
        """*aliases*: further names, each with the name of its field."""
        self._by_name: dict[str, DatasetField] = {}
        ambiguous: set[str] = set()
        for field in dataset.fields:
            for name in (field.name, field.zh, f"{field.zh}{field.name}", f"{field.name}{field.zh}"):
                key = normalise(name)
                if self._by_name.setdefault(key, field) is not field:
                    ambiguous.add(key)
        for key in ambiguous:
            del self._by_name[key]
        by_code = {field.name: field for field in dataset.fields}
        self._by_name |= {normalise(alias): by_code[name] for alias, name in (aliases or {}).items()}

    def find(self, name: str) -> DatasetField | None:
        """The field that *name* means, or None."""
        return self._by_name.get(normalise(name))

    def suggest(self, name: str) -> str:
        """The nearest field as ``企业名称 (QYMC)``, or "" where none is near."""
        key = normalise(name)
        near = difflib.get_close_matches(key, self._by_name, n=1, cutoff=0.5)
        contained = [other for other in self._by_name if len(key) > 1 and (key in other or other in key)]
        for match in [*near, *sorted(contained, key=len)]:
            field = self._by_name[match]
            return f"{field.zh} ({field.name})"
        return ""


@dataclass(frozen=True, slots=True)
class Header:
    """Which column holds which field: ``columns[i]`` is the field of column i, None for notes and unnamed columns."""

    titles: tuple[str, ...]
    columns: tuple[DatasetField | None, ...]


def match_header(titles: Sequence[str], names: Names) -> Header:
    """Match every title; raises ConnectorError that lists all unknown and doubled ones."""
    columns: list[DatasetField | None] = []
    unknown: list[str] = []
    seen: dict[str, str] = {}
    doubled: list[str] = []
    for title in titles:
        bare = title.strip()
        field = names.find(bare) if bare and not bare.startswith(NOTE_PREFIX) else None
        columns.append(field)
        if field is None:
            if bare and not bare.startswith(NOTE_PREFIX):
                unknown.append(bare)
        elif field.name in seen:
            doubled.append(f"{seen[field.name]} = {bare} ({field.name})")
        else:
            seen[field.name] = bare
    if unknown:
        hints = [(title, names.suggest(title)) for title in unknown]
        zh = "；".join(f"{title}" + (f"（是否为 {hint}）" if hint else "") for title, hint in hints)
        en = "; ".join(f"{title}" + (f" (did you mean {hint}?)" if hint else "") for title, hint in hints)
        raise ConnectorError(
            f"目录中没有这些列：{zh}",
            f"the catalog has no such columns: {en}",
            "改正列名，或在列名前加 # 使其不报送 correct the names, or put # in front of a column to leave it out",
        )
    if doubled:
        listed = "; ".join(doubled)
        raise ConnectorError(
            f"同一字段出现了两列：{listed}", f"two columns for one field: {listed}", "删去一列 drop one"
        )
    return Header(tuple(titles), tuple(columns))


def check_required(header: Header, dataset: Dataset) -> None:
    """Raise ConnectorError where a column is missing without which every row would be rejected."""
    present = {field.name for field in header.columns if field is not None}
    missing = [field for field in dataset.business_fields if field.required and field.name not in present]
    if "record_id" not in present:
        if not dataset.key:
            missing.insert(0, dataset.by_name["record_id"])
        missing += [dataset.by_name[name] for name in dataset.key if name not in present]
    if missing and not {"record_id", "deleted"} <= present:
        listed = "、".join(dict.fromkeys(f"{field.zh} ({field.name})" for field in missing))
        raise ConnectorError(
            f"缺少必填列：{listed}",
            f"required columns are missing: {listed}",
            "补上这些列；或加 --allow-missing 照样报送 add them, or send anyway with --allow-missing",
        )
