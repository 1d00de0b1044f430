"""What a record says must not be contradicted by one of another dataset."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field

from rules.checks.base import StatefulCheck, told_record
from rules.expr import Expression
from rules.lookup import comparable, dataset_of, field_of
from rules.state.definitions import Index, Question
from schemas.catalog import Catalog, Dataset, DatasetField
from schemas.types import TYPES


class Conflict(StatefulCheck):
    """``dataset``, ``match`` (own field: its field there), ``where``: an expression over the other dataset's records.

    Which records of its own dataset may be contradicted, the rule's ``when`` says. With ``loose`` width, kind of
    bracket and spaces make no difference to the match.
    """

    types: ClassVar[frozenset[str]] = frozenset(TYPES)

    dataset: str
    match: dict[str, str] = Field(min_length=1)
    where: str = ""
    loose: bool = False

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """Ask for a record that matches; raises ExpressionError (a ValueError) for a ``where`` that cannot be meant."""
        about = dataset_of("dataset", self.dataset, catalog)
        for own, other in self.match.items():
            comparable("match", field_of("match", own, dataset), other, about)
        if self.where:
            Expression.compile(self.where, about, key="where")
        index = Index(about.code, tuple(self.match.values()), where=self.where, loose=self.loose)
        return self.asking(Question(index, "clear", tuple(self.match)), about)

    def told(self, found: tuple[str, ...]) -> str:
        """The record that contradicts."""
        return told_record(found)
