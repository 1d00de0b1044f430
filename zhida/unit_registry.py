"""The registry of units as its file is kept: rows of a list are checked against it, and the file is written whole.

Contacts are for the credit centre's eyes: nothing here logs a cell, and messages never repeat a telephone or a key.
"""

from __future__ import annotations

import csv
import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

from connectors.file.header import Names
from connectors.file.rows import Problem, Refusal, Row, shown
from connectors.file.values import CellError, to_value
from rules.identifiers import uscc_is_valid
from schemas.catalog import DatasetField
from schemas.documents import FaultError, nearest
from schemas.unit_keys import is_principal, public_key_text
from schemas.units import Regions, Unit, Units

UNITS_FILE = Path("data") / "units.csv"
#: What stands in a cell to empty a field; a blank cell leaves it as it is.
EMPTY = "-"
_COLUMNS = (
    ("code", "统一社会信用代码", "Unified social credit code", 18),
    ("name", "单位名称", "Name", 100),
    ("region", "行政区划代码", "Region code (GB/T 2260)", 6),
    ("level", "级别", "Level: province, city or county", 16),
    ("line", "条线", "Department line", 30),
    ("contact_name", "联系人", "Contact", 50),
    ("contact_phone", "联系电话", "Telephone", 40),
    ("principal", "Kafka 主体", "Kafka principal", 200),
    ("public_key", "公钥", "Ed25519 public key, PEM or base64", 1000),
)
COLUMNS: Mapping[str, DatasetField] = {
    name: DatasetField(name=name, zh=zh, en=en, type="string", length=length) for name, zh, en, length in _COLUMNS
}
#: Further names that columns have in real lists.
_ALIASES = {
    "单位编码": "code",
    "单位代码": "code",
    "信用代码": "code",
    "名称": "name",
    "机构名称": "name",
    "部门名称": "name",
    "区划代码": "region",
    "行政区划": "region",
    "层级": "level",
    "部门条线": "line",
    "联系人姓名": "contact_name",
    "电话": "contact_phone",
    "联系方式": "contact_phone",
    "手机号": "contact_phone",
    "主体": "principal",
}
_LEVELS = {
    "province": "province",
    "省": "province",
    "省级": "province",
    "city": "city",
    "市": "city",
    "市级": "city",
    "设区市": "city",
    "county": "county",
    "县": "county",
    "县级": "county",
    "区县": "county",
    "县区": "county",
}
_PHONE = re.compile(r"\+?[0-9][0-9 ()/、,;转-]{4,39}")
_REQUIRED = ("name", "region", "line")
_CLEARABLE = frozenset({"contact_name", "contact_phone", "public_key"})
#: Never repeated in a message.
_UNSAID = frozenset({"contact_phone", "public_key"})


#: Column, value, and what is wrong with it in Chinese and in English.
_Fault = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _UnitFields:
    fields: tuple[DatasetField, ...]


def unit_names() -> Names:
    """Every name by which the columns of a list of units are known."""
    return Names(_UnitFields(tuple(COLUMNS.values())), _ALIASES)


@dataclass(slots=True)
class Plan:
    """What a list of units would change. Nothing may be written while something is ``refused``."""

    added: list[Unit] = field(default_factory=list)
    #: Before and after.
    changed: list[tuple[Unit, Unit]] = field(default_factory=list)
    unchanged: int = 0
    refused: list[Refusal] = field(default_factory=list)

    def applied_to(self, units: Units) -> Units:
        """*units* with the changes, in order."""
        merged = {unit.code: unit for unit in units}
        merged |= {unit.code: unit for unit in (*self.added, *(after for _, after in self.changed))}
        return Units(sorted(merged.values(), key=in_order))


def plan_changes(
    rows: Iterable[Row | Refusal], units: Units, regions: Regions, *, new_lines: bool = False, update: bool = True
) -> Plan:
    """What the *rows* of a list add and change; every row that cannot be taken is refused with all its reasons.

    A column that the list does not have, and a blank cell, leave what is registered. *new_lines* lets units be of lines
    of departments that no unit is of yet; without *update* a unit that is registered is refused.
    """
    reader = _RowReader(units, regions, new_lines)
    plan = Plan()
    found: dict[str, _Found] = {}
    for row in rows:
        if isinstance(row, Refusal):
            plan.refused.append(row)
            continue
        unit, faults = reader.read(row)
        if unit.code in found:
            line = found[unit.code].row.line
            faults.append(("code", unit.code, f"与第 {line} 行是同一单位", f"the same unit as in line {line}"))
        if unit.code in found or not unit.code:
            plan.refused.append(_refusal(row, faults))
            continue
        if unit.code in units and not update:
            zh, en = "该单位已登记，修改请用 zhida unit import", "already registered: change it with zhida unit import"
            faults.append(("code", unit.code, zh, en))
        found[unit.code] = _Found(row, unit, faults)
    _find_shared(found, units)
    for row, unit, faults in found.values():
        if faults:
            plan.refused.append(_refusal(row, faults))
        elif unit.code not in units:
            plan.added.append(unit)
        elif unit != units[unit.code]:
            plan.changed.append((units[unit.code], unit))
        else:
            plan.unchanged += 1
    plan.refused.sort(key=lambda refusal: refusal.line)
    return plan


class _Found(NamedTuple):
    """A row, its unit, and what is wrong with it."""

    row: Row
    unit: Unit
    faults: list[_Fault]


def _find_shared(found: dict[str, _Found], units: Units) -> None:
    """Fault those whose principal or key another unit has once all rows are taken."""
    after = {unit.code: unit for unit in units} | {code: one.unit for code, one in found.items()}
    owners: dict[tuple[str, str], list[str]] = {}
    for code, unit in after.items():
        for column in ("principal", "public_key"):
            if value := getattr(unit, column):
                owners.setdefault((column, value), []).append(code)
    for (column, value), codes in owners.items():
        for code in codes if len(codes) > 1 else ():
            if code in found:
                other = next(one for one in codes if one != code)
                zh, en = f"与单位 {other} 相同，每个单位应各有一个", f"that of unit {other}: every unit has its own"
                found[code].faults.append((column, value, zh, en))


class _RowReader:
    """One row → a unit, completed from what is registered, and what is wrong with it."""

    def __init__(self, units: Units, regions: Regions, new_lines: bool) -> None:
        self._units = units
        self._regions = regions
        self._new_lines = new_lines

    def read(self, row: Row) -> tuple[Unit, list[_Fault]]:
        faults: list[_Fault] = []
        values: dict[str, str] = {}
        for name, cell in row.cells.items():
            try:
                value = to_value(COLUMNS[name], cell)
            except CellError as error:
                faults.append((name, str(cell), error.zh, error.en))
                continue
            if value is not None:
                values[name] = value
        code = values.get("code", "").upper()
        before = self._units.get(code)
        unit = _merged(before or Unit(code, "", "", "", ""), values)
        if "level" not in values and unit.region in self._regions:
            unit = replace(unit, level=self._regions[unit.region].level)
        unit = replace(unit, principal=unit.principal or f"User:u-{code}", level=_LEVELS.get(unit.level, unit.level))
        if unit.public_key:
            try:
                unit = replace(unit, public_key=public_key_text(unit.public_key))
            except FaultError as error:
                faults.append(("public_key", "", error.zh, error.en))
        unreadable = {fault[0] for fault in faults}
        return unit, faults + [fault for fault in self._faults(unit) if fault[0] not in unreadable]

    def _faults(self, unit: Unit) -> Iterator[_Fault]:
        if not unit.code:
            yield "code", "", "没有填写", "missing"
        elif not uscc_is_valid(unit.code):
            yield "code", unit.code, "校验不通过，请逐位核对 18 位代码", "fails its check digits"
        for name in _REQUIRED:
            if not getattr(unit, name):
                yield name, "", "没有填写", "missing"
        if len(unit.name) == 1:
            yield "name", unit.name, "请填写单位全称", "give the full name"
        for name, column in COLUMNS.items():
            value = getattr(unit, name)
            if name != "public_key" and (len(value) > (column.length or 0) or not value.isprintable()):
                zh = f"超过 {column.length} 个字，或含有不可见字符"
                yield name, value, zh, f"longer than {column.length} characters, or not printable"
        yield from self._place_faults(unit)
        if unit.contact_phone and not _PHONE.fullmatch(unit.contact_phone):
            yield "contact_phone", "", "不是电话号码", "not a telephone number"
        if not is_principal(unit.principal):
            zh, en = "应为 User: 加一个客户端名称，如 User:u-<代码>", "must be User: and the name of one client"
            yield "principal", unit.principal, zh, en

    def _place_faults(self, unit: Unit) -> Iterator[_Fault]:
        if unit.region:
            if unit.region not in self._regions:
                zh, en = nearest(unit.region, (region.code for region in self._regions))
                yield "region", unit.region, f"没有这个行政区划{zh}", f"no such region{en}"
            elif unit.level not in _LEVELS.values():
                zh, en = "应为 省级、市级 或 县级", "must be province, city or county"
                yield "level", unit.level, zh, en
            elif unit.level != self._regions[unit.region].level:
                region = self._regions[unit.region]
                zh, en = f"与行政区划不符：{region.name}", f"does not fit the region, which is a {region.level}"
                yield "level", unit.level, zh, en
        if unit.line and unit.line not in self._units.lines and not self._new_lines:
            zh, en = nearest(unit.line, self._units.lines)
            zh = f"没有单位属于这个条线{zh}；确为新条线请加 --new-lines"
            yield "line", unit.line, zh, f"no unit is of this line yet{en}; if it is new, add --new-lines"


def _merged(unit: Unit, values: Mapping[str, str]) -> Unit:
    given = {name: "" if name in _CLEARABLE and value == EMPTY else value for name, value in values.items()}
    given["code"] = unit.code
    return replace(unit, **given)


def _refusal(row: Row, faults: list[_Fault]) -> Refusal:
    problems = (
        Problem(f"{COLUMNS[name].zh} ({name})", "" if name in _UNSAID else shown(value), zh, en)
        for name, value, zh, en in faults
    )
    return Refusal(row.line, tuple(problems), row.original)


def in_order(unit: Unit) -> tuple[str, str]:
    """What the file is sorted by: the units of a region stand together."""
    return unit.region, unit.code


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While it is held no other command changes the units of the catalog *folder*; raises FileNotFoundError."""
    descriptor = os.open(folder / UNITS_FILE.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_units(path: Path, units: Units) -> None:
    """Replace *path* by a file of *units*, sorted: whoever reads it sees the old one or the new one whole."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [column.name for column in fields(Unit)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(unit) for unit in sorted(units, key=in_order))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
