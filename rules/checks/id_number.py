"""An identity number 公民身份号码 with known region, real birth date and right check character (GB 11643-1999)."""

from __future__ import annotations

from functools import partial

from pydantic import field_validator

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.identifiers import ID_REGIONS, WIDTH, id_number_fails, id_number_is_valid
from schemas.catalog import DatasetField


class IdNumber(Check):
    """``regions``: the first two digits that exist (default: GB/T 2260 and the residence permits')."""

    regions: tuple[str, ...] = ID_REGIONS

    @field_validator("regions")
    @classmethod
    def _two_digits(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [region for region in regions if len(region) != 2 or not region.isascii() or not region.isdigit()]:
            raise ValueError(f"a region is two digits, not {wrong[0]!r}")
        return regions

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Not 18 bytes long, or not valid."""
        fails = partial(id_number_fails, today=context.today, regions=self.regions)
        return lambda column: column.failing(WIDTH, fails)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Not a valid number as of today."""
        regions = names.bind(frozenset(self.regions))
        return f"not {names.bind(id_number_is_valid)}({names.local(field.name)}, today, {regions})"
