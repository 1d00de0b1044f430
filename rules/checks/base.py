"""The contract of a check kind: one class in one file of this folder; the file's name is the kind.

A check says what fails twice:

- :meth:`Check.screen` for a whole batch: a Polars expression, or a function of a column of strings. It is paid for
  every record, so it has to be cheap: it must be true for every row that fails, and may be true for some that pass.
  Null counts as false.
- :meth:`Check.row` for one record, exactly: the source of a Python expression that is true when the value fails. It
  judges single records, and those of a batch that the screen has picked.

Unless ``sees_blank`` is set a check is only asked about values that are there: null and blank strings pass before it is
asked (in :meth:`screen` a blank may count either way).

A :class:`StatefulCheck` looks at more than the record: it asks the state (``rules/state``), and the record carries the
answer, under the question's name, to its row test. It has no screen: records without an answer do not break it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, PrivateAttr

from rules.cel import Said
from rules.state.definitions import Distribution, Question
from rules.strings import Mask, StringColumn
from schemas.catalog import Catalog, Dataset, DatasetField

#: What stands for a batch: an expression over its frame, or a function of the rule's own column.
Screen = pl.Expr | Callable[[StringColumn], Mask]


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What a verdict depends on beside the record and the rules: the day, and the units that may report.

    ``units`` are all that are registered, ``assigned`` those whose assignment for the dataset is in force on the day:
    nobody, where it is not said.
    """

    today: date
    units: frozenset[str]
    assigned: frozenset[str] = frozenset()


@dataclass(slots=True)
class RowNames:
    """Names that row source may use: locals of the fields, ``today``, ``units``, ``assigned`` and constants bound
    here.

    Text from rule files gets into source through :meth:`bind` alone, never as source.
    """

    locals: dict[str, str]
    constants: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        """A name for *value* in the compiled function."""
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def local(self, field_name: str) -> str:
        """The local variable that holds the field's value."""
        return self.locals[field_name]


class Check(BaseModel):
    """Parameters of one kind of check, and how it is evaluated. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Catalog types of the fields that the check can be put on.
    types: ClassVar[frozenset[str]] = frozenset({"string"})
    #: True when null and blank are the check's own business.
    sees_blank: ClassVar[bool] = False
    #: True when a withdrawn record (``deleted``) is checked too.
    checks_deleted: ClassVar[bool] = False

    def resolve(self, field: DatasetField, dataset: Dataset) -> Self:
        """The check with its parameters completed and verified for *field*; raises ValueError with a reason."""
        return self

    def connect(self, field: DatasetField, dataset: Dataset, catalog: Catalog) -> Self:
        """The resolved check, verified against other datasets; raises ValueError with a reason."""
        return self

    def other_fields(self) -> tuple[str, ...]:
        """Fields beside the rule's own that the check reads."""
        return ()

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """True for every row of a batch that fails, and for few others."""
        raise NotImplementedError

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Source of an expression that is true when the value in ``names.local(field.name)`` fails."""
        raise NotImplementedError

    def asks(self) -> Question | Distribution | None:
        """What the state has to be asked, once the check is resolved; None when the record alone decides."""
        return None

    def told(self, found: tuple[str, ...]) -> str:
        """What was found, as it is said in messages."""
        return "、".join(dict.fromkeys(found))

    def undecided(self, context: JudgeContext) -> str:
        """What the check cannot decide on the context's day, for want of a calendar; "" when there is nothing."""
        return ""

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """The check as clients of the schema registry can make it themselves; None when CEL has no words for it.

        Unless ``sees_blank`` is set the value is there when it is asked for.
        """
        return None


class StatefulCheck(Check):
    """A check that asks about other records. Its rules are suspects: what other records say may change tomorrow.

    :meth:`connect` has to end with :meth:`asking`.
    """

    _asked: Question | Distribution | None = PrivateAttr(default=None)
    _about: Dataset | None = PrivateAttr(default=None)

    def asking(self, asked: Question | Distribution, about: Dataset) -> Self:
        """The check with what it asks, and the dataset whose records it asks about."""
        connected = self.model_copy()
        connected._asked, connected._about = asked, about
        return connected

    def asks(self) -> Question | Distribution:
        """What the state has to be asked, once the check is connected."""
        assert self._asked is not None
        return self._asked

    @property
    def about(self) -> Dataset:
        """The dataset whose records are asked about, once the check is connected."""
        assert self._about is not None
        return self._about

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """Nothing: what the state finds is the screen."""
        return pl.lit(False)

    def row(self, field: DatasetField, names: RowNames) -> str:
        """Something was found."""
        return f"{names.local(self.asks().name)} is not None"


def told_record(found: tuple[str, ...]) -> str:
    """The record that was found, as it is said in messages in either language: its unit and its record id."""
    unit, _, record_id = (found[0] if found else "").partition("|")
    return f"{unit} / {record_id}" if record_id else unit
