"""Datasets and fields that a rule names: found in the catalog, or a ValueError that suggests what was meant."""

from __future__ import annotations

from rules.errors import ParameterError, suggest
from schemas.catalog import Catalog, Dataset, DatasetField


def known_field(name: str, dataset: Dataset) -> DatasetField:
    """The field of that name; raises ValueError with a suggestion."""
    try:
        return dataset.by_name[name]
    except KeyError:
        raise ValueError(f"{dataset.code} has no field {name!r}{suggest(name, dataset.by_name)}") from None


def field_of(key: str, name: str, dataset: Dataset) -> DatasetField:
    """The field that the rule names under *key*; raises ParameterError with a suggestion."""
    try:
        return known_field(name, dataset)
    except ValueError as error:
        raise ParameterError(key, str(error)) from None


def dataset_of(key: str, code: str, catalog: Catalog) -> Dataset:
    """The dataset that the rule names under *key*; raises ParameterError with a suggestion."""
    if code not in catalog:
        known = suggest(code, [dataset.code for dataset in catalog])
        raise ParameterError(key, f"the catalog has no dataset {code!r}{known}")
    return catalog[code]


def comparable(key: str, own: DatasetField, name: str, dataset: Dataset) -> DatasetField:
    """The field of another dataset that *own* is compared with; raises ParameterError unless they are of one type."""
    other = field_of(key, name, dataset)
    if other.type == own.type:
        return other
    alike = [field.name for field in dataset.business_fields if field.type == own.type]
    raise ParameterError(
        key,
        f"{own.name} is of type {own.type} and {dataset.code}.{name} of type {other.type}{suggest(name, alike)}",
    )
