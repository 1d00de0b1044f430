"""Extended items 扩展目录 that add fields to a dataset: ``extensions/<region code>/<dataset>.yaml``.

The province's own code adds them for everyone, a city's for the units of that city. A record without them stays what it
was: each added field is nullable, and a dataset with them must be a fully compatible evolution of the one without, by
the same check that the schema registry makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.catalog import Dataset, DatasetField
from schemas.documents import Document, DocumentError, Problem, nearest
from schemas.units import Regions

EXTENSIONS = "extensions"
REGIONS_FILE = Path("data") / "regions.csv"


class Extension(BaseModel):
    """One extension file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    #: The regulation that asks for the fields.
    basis: str = ""
    added: tuple[DatasetField, ...] = Field(alias="fields", min_length=1)


@dataclass(frozen=True, slots=True)
class ExtensionFile:
    """An extension, its region, and the document that it was read from."""

    region: str
    extension: Extension
    document: Document


def read_extensions(
    folder: Path, datasets: Mapping[str, Dataset], problems: list[Problem], regions: Regions | None = None
) -> dict[str, Dataset]:
    """The *datasets* with the fields that the catalog *folder* adds to them, in order of region code.

    What is wrong with a file is added to *problems*, and the file is left out. *regions*: those of the folder, where
    they have been read already.
    """
    merged = dict(datasets)
    paths = sorted((folder / EXTENSIONS).glob("*/*.yaml"))
    if not paths:
        return merged
    regions = Regions.load(folder / REGIONS_FILE) if regions is None else regions
    for path in paths:
        try:
            file = _read(path, regions)
        except DocumentError as error:
            problems.extend(error.problems)
            continue
        found = list(_faults(file, merged))
        if not found:
            merged[file.extension.dataset] = _with_fields(merged[file.extension.dataset], file)
        problems.extend(found)
    return merged


def incompatible(old: Dataset, new: Dataset) -> list[str]:
    """Why records of one cannot be read as records of the other, by the registry's own check at level FULL."""
    from schemas.registry import avro  # only here: a catalog without extensions is read without it
    from schemas.registry.compatibility import check

    before, after = (avro.parse(json.dumps(dataset.avro_schema)) for dataset in (old, new))
    return check("FULL", after, [(1, before)])


def _read(path: Path, regions: Regions) -> ExtensionFile:
    region = path.parent.name
    document = Document.read(path)
    problems = list(_region_faults(region, regions, document))
    try:
        extension = document.validate(Extension)
    except DocumentError as error:
        raise DocumentError([*problems, *error.problems]) from error
    if extension.dataset != path.stem:
        zh = f"dataset 应为 {path.stem!r}，与文件名相同"
        problems.append(document.problem(("dataset",), zh, f"dataset must be {path.stem!r}, as the file's name says"))
    if problems:
        raise DocumentError(problems)
    return ExtensionFile(region, extension, document)


def _region_faults(region: str, regions: Regions, document: Document) -> Iterator[Problem]:
    if region not in regions:
        zh, en = nearest(region, (known.code for known in regions if known.level != "county"))
        yield document.problem((), f"没有地区 {region!r}{zh}", f"no region {region!r}{en}")
    elif regions[region].level == "county":
        name = regions[region].name
        yield document.problem(
            (), f"{name}是县区，扩展目录由省或设区市设立", f"{name} is a county; only the province and cities extend"
        )


def _faults(file: ExtensionFile, datasets: Mapping[str, Dataset]) -> Iterator[Problem]:
    """What keeps the fields from being added."""
    say, extension = file.document.problem, file.extension
    if extension.dataset not in datasets:
        zh, en = nearest(extension.dataset, datasets)
        yield say(("dataset",), f"没有数据集 {extension.dataset!r}{zh}", f"no dataset {extension.dataset!r}{en}")
        return
    base = datasets[extension.dataset]
    if base.region and base.region != file.region:
        yield say(("dataset",), f"数据集属于地区 {base.region}", f"the dataset is of region {base.region}")
    before = {field.name.lower(): field for field in base.fields}
    sound = True
    for index, field in enumerate(extension.added):
        place = ("fields", index, "name")
        other = before.setdefault(field.name.lower(), field)
        if other is not field:
            sound = False
            whose = f"地区 {other.region}" if other.region else "基础目录"
            en = f"region {other.region}" if other.region else "the base item"
            yield say(place, f"字段 {field.name} 已由{whose}定义", f"field {field.name} is already defined by {en}")
        if field.region:
            yield say(
                ("fields", index, "region"),
                "地区由文件夹决定，不要写在字段里",
                "the folder says the region; leave it out",
            )
        if field.required:
            yield say(
                ("fields", index, "required"),
                f"扩展字段 {field.name} 不能为必填：其他单位没有这个字段；请改用带条件的规则",
                f"an added field cannot be required ({field.name}), others have none: write a rule with a condition",
            )
    if sound:
        for reason in incompatible(base, _with_fields(base, file)):
            yield say(("fields",), f"与基础项不兼容：{reason}", f"not compatible with the base item: {reason}")


def _with_fields(base: Dataset, file: ExtensionFile) -> Dataset:
    added = tuple(field.model_copy(update={"region": file.region}) for field in file.extension.added)
    # A new object, not a copy: copies would keep the cached field list and schema of the base item.
    own = {name: getattr(base, name) for name in Dataset.model_fields if name != "business_fields"}
    return Dataset.model_validate({**own, "fields": (*base.business_fields, *added)})
