"""What the field names must be there: an accepted record of another dataset holds it."""

from __future__ import annotations

from typing import Self

from rules.checks.base import StatefulCheck
from rules.lookup import comparable, dataset_of
from rules.state.definitions import Index, Question
from schemas.catalog import Catalog, Dataset, DatasetField


class Reference(StatefulCheck):
    """``dataset`` and ``key``, its field. A record that comes before the one it refers to is judged again after it."""

    dataset: str
    key: str

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """Ask who holds the value in the other dataset."""
        about = dataset_of("dataset", self.dataset, catalog)
        comparable("key", field, self.key, about)
        return self.asking(Question(Index(about.code, (self.key,)), "known", (field.name,)), about)
