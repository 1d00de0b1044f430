"""The life of a rule: whether it is evaluated, whether it bites, and when.

Out of its period a rule is taken back from what it found, after the fact: both ways of judging ask the same function,
and only for what is broken, so that rules without a period cost nothing.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.catalog import Dataset

#: ``draft`` and ``retired`` rules are not evaluated; ``shadow`` ones are, and counted, and change no verdict.
Status = Literal["draft", "shadow", "active", "retired"]
_EPOCH = date(1970, 1, 1)


class Effective(BaseModel):
    """The days, both included, on which a rule bites: by the day of judgement, or by the date in the record."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="until")
    by: Literal["event", "arrival"] = "arrival"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.first is None and self.last is None:
            raise ValueError("give from, until or both")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"until {self.last} lies before from {self.first}")
        return self

    def resolve(self, dataset: Dataset) -> Self:
        """The period, verified for *dataset*; raises ValueError."""
        field = dataset.by_name[dataset.event_date]
        if self.by == "event" and field.type != "date":
            raise ValueError(f"by: event needs an event date; {field.name} of {dataset.code} is of type {field.type}")
        return self

    def holds(self, event: int | None, today: date) -> bool:
        """Whether the rule bites; *event* in days since 1970-01-01, where it is not known the day of judgement counts.

        Days instead of a date, because a column can hold days for which Python has no date.
        """
        day = event if self.by == "event" and event is not None else days(today)
        return (self.first is None or day >= days(self.first)) and (self.last is None or day <= days(self.last))


def days(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH) // timedelta(days=1)
