"""The unit must have an assignment for the dataset that is in force today (``JudgeContext.assigned``).

A unit that is not registered at all is the business of ``known_unit``: it is told that alone.
"""

from __future__ import annotations

from typing import ClassVar

from rules.checks.base import Check, JudgeContext, RowNames, Screen
from schemas.catalog import DatasetField


class AssignedUnit(Check):
    """No parameters. A withdrawal must come from an assigned unit too."""

    sees_blank: ClassVar[bool] = True
    checks_deleted: ClassVar[bool] = True

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Not assigned, registered or not; asked once for each unit in the batch."""
        assigned = context.assigned
        return lambda strings: strings.where(lambda unit: unit not in assigned)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Registered, but not assigned."""
        unit = names.local(field.name)
        return f"{unit} not in assigned and {unit} in units"
