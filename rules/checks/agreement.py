"""A name must be the one that another dataset has for the same code."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from rules.checks.base import RowNames, StatefulCheck
from rules.errors import ParameterError
from rules.lookup import comparable, dataset_of, field_of
from rules.names import among_names
from rules.state.definitions import Index, Question
from schemas.catalog import Catalog, Dataset, DatasetField


class Agreement(StatefulCheck):
    """``dataset``, ``key`` (own field: its field there) and ``with``, the field that holds the name there.

    Nothing is said where the other dataset does not have the key: that is a reference. Names are compared in their
    normal form (``rules/names.py``).
    """

    dataset: str
    key: dict[str, str] = Field(min_length=1)
    with_: str = Field(alias="with")

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """Ask for the names beside the key; raises ParameterError where these are about people."""
        about = dataset_of("dataset", self.dataset, catalog)
        for own, other in self.key.items():
            comparable("key", field_of("key", own, dataset), other, about)
        name = comparable("with", field, self.with_, about)
        if name.pii != "none":
            raise ParameterError("with", f"{about.code}.{name.name} is personal, and would be kept and told in clear")
        index = Index(about.code, tuple(self.key.values()), self.with_)
        return self.asking(Question(index, "agrees", tuple(self.key), field.name), about)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Names were found, and this is none of them."""
        found = names.local(self.asks().name)
        return f"{found} is not None and not {names.bind(among_names)}({names.local(field.name)}, {found})"
