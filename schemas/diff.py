"""What changes between two catalogs, and whether records, stores and units can follow without being touched.

Compatible is what running units need not notice: records written with the one catalog are read with the other, in both
directions and by the registry's own check; columns keep their types; a record stays the record that it was. The rest is
told with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from schemas.catalog import Catalog, Dataset, DatasetField
from schemas.extensions import incompatible
from schemas.protect import UNMASKED

Kind = Literal["added", "removed", "changed"]
#: Of a dataset; the fields are compared one by one.
_NOT_PROPERTIES = frozenset({"business_fields", "example"})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field; ``properties`` has what changed as (before, after)."""

    name: str
    zh: str
    region: str
    kind: Kind
    properties: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class DatasetChange:
    """One dataset. ``reasons`` say in Chinese and in English why the change is not compatible; none when it is."""

    code: str
    zh: str
    kind: Kind
    properties: Mapping[str, tuple[Any, Any]]
    fields: tuple[FieldChange, ...]
    reasons: tuple[tuple[str, str], ...]

    @property
    def compatible(self) -> bool:
        """True where nobody needs to do anything."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"compatible": self.compatible}


def compare(old: Catalog, new: Catalog) -> list[DatasetChange]:
    """Every dataset that differs, in order of code."""
    changes = []
    before, after = ({dataset.code: dataset for dataset in catalog} for catalog in (old, new))
    for code in sorted(before.keys() | after.keys()):
        if code not in before:
            changes.append(DatasetChange(code, after[code].zh, "added", {}, (), ()))
        elif code not in after:
            reason = ("数据集被删除：单位的报送无人接收", "the dataset is removed: nobody takes what units report")
            changes.append(DatasetChange(code, before[code].zh, "removed", {}, (), (reason,)))
        elif (change := _compared(before[code], after[code])) is not None:
            changes.append(change)
    return changes


def _compared(old: Dataset, new: Dataset) -> DatasetChange | None:
    names = [name for name in Dataset.model_fields if name not in _NOT_PROPERTIES]
    properties = _differences(old, new, names)
    if _texts(old.example) != _texts(new.example):
        properties["example"] = ("…", "…")
    fields = tuple(_fields(old, new))
    if not properties and not fields:
        return None
    return DatasetChange(new.code, new.zh, "changed", properties, fields, tuple(_reasons(old, new, properties, fields)))


def _fields(old: Dataset, new: Dataset) -> Iterator[FieldChange]:
    before, after = ({field.name: field for field in dataset.business_fields} for dataset in (old, new))
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in before:
            yield FieldChange(name, after[name].zh, after[name].region, "added", {})
        elif name not in after:
            yield FieldChange(name, before[name].zh, before[name].region, "removed", {})
        elif before[name] != after[name]:
            found = _differences(before[name], after[name], DatasetField.model_fields)
            yield FieldChange(name, after[name].zh, after[name].region, "changed", found)


def _differences(old: Any, new: Any, names: Any) -> dict[str, tuple[Any, Any]]:
    found = {}
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found[name] = (_plain(before), _plain(after))
    return found


def _texts(example: Mapping[str, Any]) -> dict[str, Any]:
    """An example as it is announced: dates are text there."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in example.items()}


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value


def _reasons(
    old: Dataset, new: Dataset, properties: Mapping[str, Any], fields: tuple[FieldChange, ...]
) -> Iterator[tuple[str, str]]:
    if "key" in properties:
        zh = "记录的关键字段变了：没有记录编号的文件重报时会成为新记录"
        yield zh, "the key changed: files without record ids become new records when they are sent again"
    if "subject" in properties:
        zh = "主体的识别方式变了：已入库的记录仍记在原主体名下"
        yield zh, "the subject is told by other fields: stored records stay with the subject that they had"
    for change in fields:
        yield from _field_reasons(change, new)
    if not any("type" in change.properties for change in fields):
        yield from ((f"不兼容：{reason}", reason) for reason in incompatible(old, new))


def _field_reasons(change: FieldChange, new: Dataset) -> Iterator[tuple[str, str]]:
    name, changed = change.name, change.properties
    if change.kind == "removed":
        yield (
            f"字段 {name} 被删除：单位今后填报的内容会丢失",
            f"field {name} is removed: what units go on to report in it is dropped",
        )
    elif change.kind == "added" and new.by_name[name].required:
        yield (
            f"新增的字段 {name} 为必填：各单位须先改造",
            f"the added field {name} is required: units must change first",
        )
    if "type" in changed:
        before, after = changed["type"]
        zh = f"字段 {name} 的类型由 {before} 改为 {after}：类型不能就地更改，请另立字段"
        yield zh, f"field {name} changes from {before} to {after}: a type cannot change, name a new field"
    before, after = changed.get("pii", ("none", "none"))
    if (before in UNMASKED) != (after in UNMASKED):
        zh = f"字段 {name} 的个人信息类别变了：已入库的内容不会重新遮盖"
        yield zh, f"the pii class of {name} changes: what is stored is not masked again"
    if changed.get("required") == (False, True):
        yield (
            f"字段 {name} 改为必填：空着的记录将被退回",
            f"{name} becomes required: records without it will be rejected",
        )
    before, after = changed.get("length", (None, None))
    if after is not None and (before is None or after < before):
        zh = f"字段 {name} 的长度缩短为 {after}：更长的内容将被退回"
        yield zh, f"{name} becomes shorter ({after}): what is longer will be rejected"
    before, after = changed.get("enumeration", ((), ()))
    lost = [value for value in before if value not in after]
    if after and (lost or not before):
        listed = "、".join(lost) or "目录以外的值"
        yield (
            f"字段 {name} 不再接受：{listed}",
            f"{name} takes no longer: {listed if lost else 'values beyond its list'}",
        )
