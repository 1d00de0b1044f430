"""The catalog 信息资源目录: one YAML file a dataset, read into plain immutable data.

From each file come the Avro schema, the ClickHouse table and the topics. The envelope (who reports, which record, which
version, deleted or not) is the same for every dataset and is not written in the files.

A catalog folder holds ``datasets/`` (base items, and extended ones that are datasets of their own), ``extensions/``
(fields that the province or a city adds to a dataset: ``schemas.extensions``), ``assignments/`` (who must report what)
and ``data/`` (regions and units).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.documents import Document, DocumentError, FaultError, Problem, nearest
from schemas.types import TYPES

#: The catalog that comes with Zhida.
CATALOG_DIR = Path(__file__).parent
NAMESPACE = "cn.zhida"
REGION_PATTERN = r"^([0-9]{6})?$"

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
    region: str = Field(default="", pattern=REGION_PATTERN)

    @model_validator(mode="after")
    def _known_type(self) -> DatasetField:
        if self.type not in TYPES:
            zh, en = nearest(self.type, TYPES)
            raise FaultError(f"未知的类型 {self.type!r}{zh}", f"unknown type {self.type!r}{en}", ("type",))
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
            raise FaultError(
                "没有写明由哪个字段识别主体：uscc、registration_number、id_number 至少写一个",
                "names nobody: one of uscc, registration_number, id_number must be given",
            )
        return self


#: A value of an example. YAML reads 2026-01-31 as a date; it is kept as the text that it was.
Example = Annotated[Any, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value)]


class Dataset(BaseModel):
    """One item of the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")
    zh: str
    en: str
    category: str
    level: Literal["base", "extended"] = "base"
    #: Whose item it is: "" of the whole province, else the GB/T 2260 code of the city that has it (``extended`` only).
    region: str = Field(default="", pattern=REGION_PATTERN)
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
    example: Mapping[str, Example] = Field(default_factory=dict)

    def __hash__(self) -> int:
        """By code, as the example is a mapping and has no hash."""
        return hash(self.code)

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        """What the pipeline rests on; ``schemas.lint`` says all of it, and more, with the line of each fault."""
        names = [field.name for field in self.fields]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            listed = ", ".join(sorted(doubled))
            raise FaultError(f"字段重复：{listed}", f"fields defined twice: {listed}", ("fields",))
        spec = self.subject
        named = [("event_date", self.event_date), *(("key", name) for name in self.key)]
        named += [
            ("subject", name) for name in (spec.uscc, spec.registration_number, spec.id_number, spec.name) if name
        ]
        for key, name in named:
            if name not in names:
                zh, en = nearest(name, names)
                raise FaultError(
                    f"{key} 中没有这个字段：{name!r}{zh}", f"{key} names the unknown field {name!r}{en}", (key,)
                )
        if self.region and self.level == "base":
            raise FaultError("基础目录的数据集不属于某一地区", "a base item belongs to no region", ("region",))
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
    def base_fields(self) -> tuple[DatasetField, ...]:
        """The business fields of the item itself, without those that the province or a city added."""
        return tuple(field for field in self.business_fields if not field.region)

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
    def load(cls, folder: Path = CATALOG_DIR) -> Catalog:
        """Read the datasets and extensions of a catalog folder; raises CatalogError with every fault, file and line."""
        from schemas.extensions import read_extensions  # it extends what is defined here

        problems: list[Problem] = []
        datasets = read_datasets(folder / "datasets", problems)
        datasets = read_extensions(folder, datasets, problems)
        if problems:
            raise CatalogError("\n".join(map(str, sorted(problems))))
        if not datasets:
            raise CatalogError(f"{folder / 'datasets'}: no dataset files (*.yaml)")
        return cls(datasets)


def read_datasets(folder: Path, problems: list[Problem]) -> dict[str, Dataset]:
    """The datasets of a folder by code; what is wrong with any of them is added to *problems*."""
    datasets: dict[str, Dataset] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            dataset = read_dataset(path)
        except DocumentError as error:
            problems.extend(error.problems)
        else:
            datasets[dataset.code] = dataset
    return datasets


def read_dataset(path: Path) -> Dataset:
    """Read one dataset file; raises DocumentError that names the file, the line and what is wrong."""
    document = Document.read(path)
    dataset = document.validate(Dataset)
    problems = [
        document.problem(("fields", index, "region"), *NO_REGION_HERE)
        for index, field in enumerate(dataset.business_fields)
        if field.region
    ]
    if dataset.code != path.stem:
        problems.append(document.problem(("code",), *code_must_be(path.stem, dataset.code)))
    if problems:
        raise DocumentError(problems)
    return dataset


NO_REGION_HERE = (
    "地区的字段写在 extensions/<地区编码>/ 中，不写在这里",
    "fields of a region stand in extensions/<region code>/, not here",
)


def code_must_be(stem: str, code: object) -> tuple[str, str]:
    """The sentence about a file whose name is not its dataset's code."""
    return f"编码 {code!r} 应与文件名 {stem!r} 相同", f"code {code!r} must equal the file's name {stem!r}"
