"""A number is given to one record: no other one of the dataset has held it since before."""

from __future__ import annotations

from typing import ClassVar, Self

from rules.checks.base import StatefulCheck, told_record
from rules.lookup import field_of
from rules.state.definitions import Index, Question
from schemas.catalog import Catalog, Dataset, DatasetField
from schemas.types import TYPES


class Uniqueness(StatefulCheck):
    """``together_with``: other fields that belong to the number, as the authority that gave it.

    Width, kind of bracket and spaces make no difference, unless the number is ``exact``: one that other rules hold to
    its digits. A record without one of the fields is not looked at.
    """

    types: ClassVar[frozenset[str]] = frozenset(TYPES) - {"boolean"}

    together_with: tuple[str, ...] = ()
    exact: bool = False

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """Ask for the record that has held the number first."""
        keys = (field.name, *(field_of("together_with", name, dataset).name for name in self.together_with))
        return self.asking(Question(Index(dataset.code, keys, loose=not self.exact), "first", keys), dataset)

    def told(self, found: tuple[str, ...]) -> str:
        """The other record."""
        return told_record(found)
