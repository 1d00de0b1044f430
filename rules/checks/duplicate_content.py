"""The same content is reported once: no other record of the dataset says the same in every field."""

from __future__ import annotations

from typing import ClassVar, Self

from rules.checks.base import StatefulCheck, told_record
from rules.errors import ParameterError
from rules.lookup import field_of
from rules.state.definitions import Index, Question
from schemas.catalog import Catalog, Dataset, DatasetField
from schemas.types import TYPES


class DuplicateContent(StatefulCheck):
    """``but``: fields in which records may differ and are the same all the same. Empty is equal to empty.

    ``without``: only records that lack one of these fields are looked at. Where all are there the content is the same
    only if the number is, and that is said by uniqueness.
    """

    types: ClassVar[frozenset[str]] = frozenset(TYPES)
    sees_blank: ClassVar[bool] = True

    but: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """Ask for the record that has said it first."""
        left_out = {field_of("but", name, dataset).name for name in self.but}
        keys = tuple(one.name for one in dataset.business_fields if one.name not in left_out)
        if field.name not in keys:
            raise ParameterError("field", f"{field.name}, the rule's field, is not compared")
        where = " || ".join(f"{field_of('without', name, dataset).name} == null" for name in self.without)
        return self.asking(Question(Index(dataset.code, keys, where=where, blanks=True), "first", keys), dataset)

    def told(self, found: tuple[str, ...]) -> str:
        """The other record."""
        return told_record(found)
