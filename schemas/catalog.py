"""The catalog 信息资源目录: one YAML file a dataset, read into plain immutable data.

From each file come the Avro schema, the ClickHouse table and the topics. The envelope (who reports, which record, which
version, deleted or not) is the same for every dataset and is not written in the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.types import TYPES

DATASETS_DIR = Path(__file__).parent / "datasets"
NAMESPACE = "cn.zhida"

#: What a field tells about a natural person; all but ``none`` and ``name`` are stored masked (``schemas.protect``).
PiiClass = Literal["none", "id_number", "phone", "name", "address", "account"]
#: 公示, 授权查询, 政务共享: each is narrower than the one before it.
Sharing = Literal["public", "authorised", "government"]
UpdateCycle = Literal["realtime", "daily", "weekly", "monthly", "quarterly", "half_yearly", "yearly"]


class CatalogError(Exception):
    """A catalog file is wrong; the message names the file and the place in it."""


class DatasetField(BaseModel):
    """One field of a dataset: its official code is its name everywhere (Avro, ClickHouse, JSON)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    zh: str
    en: str
    type: str
    length: int | None = None
    required: bool = False
    enumeration: tuple[str, ...] = ()
    pii: PiiClass = "none"
    #: Where it is narrower than that of the dataset; null: as the dataset.
    sharing: Sharing | None = None
    note: str = ""
    #: Whose field it is: "" of the base item, else the GB/T 2260 code of the province or city that added it.
    region: str = ""

    @model_validator(mode="after")
    def _known_type(self) -> DatasetField:
        if self.type not in TYPES:
            raise ValueError(f"field {self.name}: unknown type {self.type!r}; known: {', '.join(TYPES)}")
        return self


#: The envelope, first in every record: identity is (dataset, unit, record_id), order is version.
ENVELOPE: tuple[DatasetField, ...] = (
    DatasetField(name="unit", zh="来源单位编码", en="Reporting unit", type="string", required=True, length=18),
    DatasetField(
        name="record_id",
        zh="记录编号",
        en="Record id, the unit's own",
        type="string",
        required=True,
        length=64,
    ),
    DatasetField(
        name="version", zh="版本", en="Version: a higher one replaces a lower one", type="long", required=True
    ),
    DatasetField(name="deleted", zh="是否删除", en="True withdraws the record", type="boolean", required=True),
)
ENVELOPE_NAMES: frozenset[str] = frozenset(field.name for field in ENVELOPE)


class SubjectSpec(BaseModel):
    """Which fields name the subject, in order of preference: the first that is not null counts.

    A dataset about natural persons has no ``uscc``; one of the three at least must be there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uscc: str | None = None
    registration_number: str | None = None
    id_number: str | None = None
    name: str

    @model_validator(mode="after")
    def _someone(self) -> SubjectSpec:
        if not any((self.uscc, self.registration_number, self.id_number)):
            raise ValueError("names nobody: one of uscc, registration_number, id_number must be given")
        return self


class Dataset(BaseModel):
    """One item of the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")
    zh: str
    en: str
    category: str
    level: Literal["base", "extended"] = "base"
    #: The line of departments 条线 whose units report it.
    department_line: str = ""
    #: The office that answers questions about it, and its telephone or e-mail: named in rejections.
    owner: str = ""
    contact: str = ""
    #: The regulation or standard that fixes the fields and their official codes.
    basis: str = ""
    sharing: Sharing = "public"
    update_cycle: UpdateCycle = "realtime"
    #: Working days after the event date within which a record is due; null: none is set.
    deadline_workdays: int | None = Field(default=None, ge=0, le=366)
    #: Months after the event date for which it is shown to the public; null: without end.
    publicity_months: int | None = Field(default=None, ge=1, le=1200)
    #: The date field that says when it happened; reporting deadline and publicity count from it.
    event_date: str
    #: The fields that name one record within its unit; a file without a column ``record_id`` derives it from them.
    key: tuple[str, ...] = ()
    subject: SubjectSpec
    business_fields: tuple[DatasetField, ...] = Field(alias="fields")
    #: A record that passes the rules, for the reference pages; fields that it leaves out are null.
    example: Mapping[str, Any] = Field(default_factory=dict)

    def __hash__(self) -> int:
        """By code, as the example is a mapping and has no hash."""
        return hash(self.code)

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        names = [field.name for field in self.fields]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"fields defined twice: {', '.join(sorted(doubled))}")
        spec = self.subject
        for name in (self.event_date, *self.key, spec.uscc, spec.registration_number, spec.id_number, spec.name):
            if name is not None and name not in names:
                raise ValueError(f"event_date, key or subject names the unknown field {name!r}")
        return self

    @cached_property
    def fields(self) -> tuple[DatasetField, ...]:
        """Envelope and business fields, in wire order."""
        return ENVELOPE + self.business_fields

    @cached_property
    def by_name(self) -> Mapping[str, DatasetField]:
        """Fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def avro_schema(self) -> dict[str, Any]:
        """The Avro schema of a record: the envelope is mandatory, every business field is nullable.

        Required business fields are nullable too: a missing one must come back as a reasoned rejection by the rules,
        not as an exception in the unit's serializer.
        """
        fields: list[dict[str, Any]] = []
        for field in self.fields:
            avro = TYPES[field.type].avro
            if field.name in ENVELOPE_NAMES:
                fields.append({"name": field.name, "type": avro, "doc": field.zh})
            else:
                fields.append({"name": field.name, "type": ["null", avro], "default": None, "doc": field.zh})
        return {"type": "record", "name": self.code, "namespace": NAMESPACE, "doc": self.zh, "fields": fields}

    @cached_property
    def polars_schema(self) -> pl.Schema:
        """Column names and data types of a decoded batch, in wire order."""
        return pl.Schema({field.name: TYPES[field.type].polars for field in self.fields})

    @property
    def report_topic(self) -> str:
        """The topic that units report to."""
        return f"zhida.report.{self.code}"

    @property
    def accepted_topic(self) -> str:
        """The topic of accepted records."""
        return f"zhida.accepted.{self.code}"

    @property
    def subject_name(self) -> str:
        """The schema registry subject of the report topic (TopicNameStrategy)."""
        return f"{self.report_topic}-value"


class Catalog:
    """All datasets in force, by code."""

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        self._datasets = dict(datasets)

    def __getitem__(self, code: str) -> Dataset:
        try:
            return self._datasets[code]
        except KeyError:
            raise CatalogError(f"no dataset {code!r}; the catalog has: {', '.join(sorted(self._datasets))}") from None

    def __contains__(self, code: str) -> bool:
        return code in self._datasets

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._datasets.values())

    def __len__(self) -> int:
        return len(self._datasets)

    @classmethod
    def load(cls, folder: Path = DATASETS_DIR) -> Catalog:
        """Read every ``*.yaml`` in *folder*; raise CatalogError with file and reason."""
        datasets: dict[str, Dataset] = {}
        for path in sorted(folder.glob("*.yaml")):
            dataset = read_dataset(path)
            if dataset.code in datasets:
                raise CatalogError(f"{path}: dataset {dataset.code} is defined twice")
            datasets[dataset.code] = dataset
        if not datasets:
            raise CatalogError(f"{folder}: no dataset files (*.yaml)")
        return cls(datasets)


def read_dataset(path: Path) -> Dataset:
    """Read one dataset file; raise CatalogError that names the file, the field and what is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        dataset = Dataset.model_validate(raw)
    except yaml.YAMLError as error:
        raise CatalogError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CatalogError(f"{path}: {reasons}") from error
    if dataset.code != path.stem:
        raise CatalogError(f"{path}: code {dataset.code!r} must equal the file's name")
    return dataset
