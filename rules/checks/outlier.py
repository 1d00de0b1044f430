"""A number far beyond what is usual in its dataset: likely one in another unit, or with a digit too many."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Self

from pydantic import Field

from rules.checks.base import StatefulCheck
from rules.state.definitions import Distribution
from schemas.catalog import Catalog, Dataset, DatasetField


class Outlier(StatefulCheck):
    """``times`` the ``quantile`` of the numbers of the last ``days`` days is still usual.

    Nothing is unusual before there were ``least`` numbers. Today's do not count.
    """

    types: ClassVar[frozenset[str]] = frozenset({"long", "decimal"})

    days: int = Field(default=90, ge=1, le=366)
    quantile: float = Field(default=0.99, gt=0, le=1)
    times: float = Field(default=10, ge=1)
    least: int = Field(default=1000, ge=1)

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """Ask for what is usual."""
        asked = Distribution(dataset.code, field.name, self.days, self.quantile, self.times, self.least)
        return self.asking(asked, dataset)

    def told(self, found: tuple[str, ...]) -> str:
        """The greatest number that is still usual, without an exponent."""
        return format(Decimal(found[0]), ",f") if found else ""
