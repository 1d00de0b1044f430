"""A release: the catalog, the regions, the units and their assignments as they are in force together.

Files are where the catalog is written; a release is what the running platform goes by. It is immutable, numbered and
hashed, and announced as one compressed message on ``zhida.catalog``; the highest number is in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.assignments import AssignmentError, Assignments
from schemas.catalog import Catalog, Dataset
from schemas.numbered import Numbered, NumberedError, decode, digest_of
from schemas.units import Region, Regions, Unit, Units

RELEASES_TOPIC = "zhida.catalog"

_Row = TypeVar("_Row", Dataset, Region, Unit)


class ReleaseError(Exception):
    """A message is no release that this version can use; the message says why."""


@dataclass(frozen=True)
class Release:
    """What is in force together. ``rules`` is the number of the rule set without which it must not be used.

    Number 0 stands for files that have not been published.
    """

    catalog: Catalog
    regions: Regions
    units: Units
    assignments: Assignments
    number: int = 0
    published_at_ms: int = 0
    rules: int = 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hex: equal for equal files, whatever their release is numbered."""
        return digest_of(self._content)

    def published(self, number: int, published_at_ms: int, rules: int) -> Release:
        """The same content as release *number*."""
        made = replace(self, number=number, published_at_ms=published_at_ms, rules=rules)
        # The same objects: what was made of them once need not be made again.
        made.__dict__["_content"] = self._content
        return made

    def encode(self) -> tuple[bytes, bytes]:
        """Key and value of its announcement; raises NumberedError when it is too large for one."""
        document = Numbered(self.number, self.published_at_ms, self.rules, self._content)
        return document.key, document.encode()

    @cached_property
    def _content(self) -> dict[str, Any]:
        # What has its default is left out, so that a newer Zhida whose models can say more does not make another hash
        # of the same files, and an older one can read releases that do not use what it does not know.
        datasets = sorted(self.catalog, key=lambda dataset: dataset.code)
        return {
            "datasets": [one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for one in datasets],
            "regions": [_said(region) for region in sorted(self.regions, key=lambda region: region.code)],
            "units": [_said(unit) for unit in sorted(self.units, key=lambda unit: unit.code)],
            "assignments": self.assignments.to_data(),
        }

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Release:
        """The release in a message, whole or not at all; raises ReleaseError."""
        document = _opened(key, value)
        content = document.content
        catalog = _catalog(content)
        regions = Regions(_rows(Region, content, "regions"))
        units = Units(_rows(Unit, content, "units"))
        homeless = [unit.code for unit in units if unit.region not in regions]
        if homeless:
            raise ReleaseError(f"units of unknown regions: {', '.join(homeless[:5])}")
        try:
            assignments = Assignments.from_data(content.get("assignments"), catalog, units, regions)
        except AssignmentError as error:
            raise ReleaseError(str(error)) from None
        return cls(
            catalog=catalog,
            regions=regions,
            units=units,
            assignments=assignments,
            number=document.number,
            published_at_ms=document.published_at_ms,
            rules=document.needs,
        )


def catalog_of(key: bytes, value: bytes) -> Catalog:
    """The catalog alone of the release in a message, which takes a tenth of the time; raises ReleaseError."""
    return _catalog(_opened(key, value).content)


def _opened(key: bytes, value: bytes) -> Numbered:
    try:
        document = decode(key, value)
    except NumberedError as error:
        raise ReleaseError(str(error)) from None
    if not isinstance(document.content, dict):
        raise ReleaseError("the content is no object")
    return document


def _catalog(content: dict[str, Any]) -> Catalog:
    datasets = _rows(Dataset, content, "datasets")
    if not datasets:
        raise ReleaseError("there are no datasets")
    return Catalog(_by_code(datasets))


def _rows(kind: type[_Row], content: dict[str, Any], name: str) -> list[_Row]:
    try:
        return TypeAdapter(list[kind]).validate_python(content.get(name))  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ReleaseError(f"{name}.{place}: {first['msg']} (and {error.error_count() - 1} more)") from None


def _by_code(datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    found: dict[str, Dataset] = {}
    for dataset in datasets:
        if dataset.code in found:
            raise ReleaseError(f"dataset {dataset.code} is there twice")
        found[dataset.code] = dataset
    return found


def _said(row: Region | Unit) -> dict[str, str]:
    """A row without what has its default."""
    values = ((one, getattr(row, one.name)) for one in fields(row))
    return {one.name: value for one, value in values if value != one.default}
