"""Rules as plain immutable data: what a rule file says, after validation against the catalog."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from rules.checks import kinds
from rules.checks.base import Check, JudgeContext
from rules.conditions import Condition, ConditionExpression
from rules.errors import suggest
from rules.lifecycle import Effective, Status
from rules.lookup import known_field
from rules.state.definitions import Distribution, Question
from schemas.catalog import Catalog, Dataset
from schemas.verdict import Severity

#: GB/T 36344-2018.
Dimension = Literal["completeness", "conformity", "accuracy", "consistency", "timeliness"]
Record = dict[str, Any]
#: Stands in messages for what the state has found.
FOUND = "{found}"


class Rule(BaseModel):
    """One rule: under which conditions (``when``, or ``condition``) which check (``check``) is made on which field."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: str
    kind: str
    field: str
    dimension: Dimension
    severity: Severity
    zh: str = Field(min_length=4)
    en: str = Field(min_length=4)
    basis: str = ""
    status: Status = "active"
    #: Who answers for the rule.
    owner: str = ""
    effective: Effective | None = None
    when: dict[str, Condition] = {}
    #: What ``when`` says in a file where it is an expression.
    condition: ConditionExpression | None = None
    check: SerializeAsAny[Check]
    passes: tuple[Record, ...] = Field(default=(), alias="pass")
    fails: tuple[Record, ...] = Field(default=(), alias="fail")

    @model_validator(mode="before")
    @classmethod
    def _parameters_beside_the_rest(cls, raw: Any) -> Any:
        """In a file the parameters of the check stand beside the rule's own keys; gather them under ``check``."""
        if not isinstance(raw, dict) or "check" in raw:
            return raw
        kind = raw.get("kind")
        if not isinstance(kind, str) or kind not in kinds():
            raise ValueError(f"unknown kind {kind!r}{suggest(str(kind), kinds())}")
        check = kinds()[kind]
        own = {info.alias or name for name, info in cls.model_fields.items()} - {"check", "condition"}
        parameter_names = {info.alias or name for name, info in check.model_fields.items()}
        for name in raw:
            if name not in own and name not in parameter_names:
                known = suggest(str(name), own | parameter_names)
                raise ValueError(f"unknown key {name!r} in a rule of kind {kind}{known}")
        parameters = {name: value for name, value in raw.items() if name not in own}
        rest = {name: value for name, value in raw.items() if name in own}
        if isinstance(rest.get("when"), str):
            rest["condition"] = ConditionExpression(text=rest.pop("when"))
        return {**rest, "check": check.model_validate(parameters)}

    @property
    def reads(self) -> frozenset[str]:
        """Every field that the rule looks at."""
        condition = () if self.condition is None else self.condition.fields
        return frozenset({self.field, *self.check.other_fields(), *self.when, *condition})

    @property
    def asks(self) -> Question | Distribution | None:
        """What the state has to be asked before the rule can be judged; None when the record alone decides."""
        return self.check.asks()

    def resolve(self, dataset: Dataset, catalog: Catalog) -> Self:
        """The rule verified against and completed from the catalog; raises ValueError with a reason."""
        prefix = f"{dataset.code}.{self.field}.{self.kind}"
        if self.id != prefix and not self.id.startswith(f"{prefix}."):
            raise ValueError(f"id {self.id!r} must be {prefix!r}, or that and a word of its own after a dot")
        field = known_field(self.field, dataset)
        if field.type not in self.check.types:
            types = ", ".join(sorted(self.check.types))
            raise ValueError(f"{self.kind} is for fields of type {types}; {self.field} is of type {field.type}")
        when = {name: condition.resolve(known_field(name, dataset)) for name, condition in self.when.items()}
        condition = None if self.condition is None else self.condition.resolve(dataset)
        check = self.check.resolve(field, dataset).connect(field, dataset, catalog)
        if self.severity == "reject" and check.asks() is not None:
            raise ValueError(f"{self.kind} looks at other records, which may change: its severity must be suspect")
        if self.effective is not None:
            self.effective.resolve(dataset)
        zh, en = _completed(self.zh, self.en, dataset)
        return self.model_copy(update={"check": check, "when": when, "condition": condition, "zh": zh, "en": en})

    def in_force(self) -> Self:
        """The rule as if it were active, whenever: as its examples are judged."""
        if self.status == "active" and self.effective is None:
            return self
        return self.model_copy(update={"status": "active", "effective": None})

    def undecided(self, context: JudgeContext) -> str:
        """What the rule cannot decide on the context's day, so that no record breaks it; "" when there is nothing."""
        condition = "" if self.condition is None else self.condition.expression.undecided(context.today)
        return condition or self.check.undecided(context)

    def meaning(self) -> dict[str, Any]:
        """Everything that can change a verdict or what is said about it: examples are left out.

        So are later keys where they are not used: a rule that was there before them means what it meant.
        """
        unset = {name for name in ("condition", "effective", "owner") if not getattr(self, name)}
        if self.status == "active":
            unset.add("status")
        said = self.model_dump(mode="json", exclude={"passes", "fails", *unset})
        # What is asked may depend on the catalog (all fields but some).
        return said if self.asks is None else {**said, "asks": self.asks.name}


class RuleFile(BaseModel):
    """``rules/library/<dataset>.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    rules: tuple[Rule, ...]


class ExampleContext(BaseModel):
    """The day and the units for which the examples in the rule files are written.

    ``units`` are registered, and those in ``assigned`` report every dataset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    today: date
    units: frozenset[str]
    assigned: frozenset[str] = frozenset()

    def context(self) -> JudgeContext:
        """The same as a judging context."""
        return JudgeContext(today=self.today, units=self.units, assigned=self.assigned)


class LibraryFile(BaseModel):
    """``rules/library/_library.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    examples: ExampleContext


def _completed(zh: str, en: str, dataset: Dataset) -> tuple[str, str]:
    """The messages with what the catalog knows: ``{dataset}`` is its title, ``{contact}`` who answers for it."""
    contact = " ".join(filter(None, (dataset.owner, dataset.contact)))
    zh = zh.replace("{dataset}", dataset.zh).replace("{contact}", contact or "省信用办（省级公共信用工作主管部门）")
    en = en.replace("{dataset}", dataset.en).replace("{contact}", contact or "the credit office of the province")
    return zh, en


def said(message: str) -> str:
    """What a validator said, without what pydantic puts in front."""
    return message.removeprefix("Value error, ")
