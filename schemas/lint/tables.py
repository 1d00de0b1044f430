"""The tables of a catalog folder, ``data/*.csv``: regions, units and categories, row by row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from schemas.documents import DocumentError, FaultError, Problem, decode, nearest
from schemas.unit_keys import is_principal, public_key_text
from schemas.units import Region, Regions, Unit, Units

_LEVELS = ("province", "city", "county")
Rows = list[tuple[int, dict[str, str]]]


def read_regions(folder: Path, problems: list[Problem]) -> Regions:
    """The sound regions of ``data/regions.csv``."""
    path = folder / "data" / "regions.csv"
    rows = _rows(path, Region, problems)
    known = {row["code"]: row for _, row in reversed(rows)}
    for line, row in rows:
        problems += [Problem(str(path), line, zh, en) for zh, en in _region_faults(row, known)]
    problems += _doubled(path, rows, "code")
    provinces = [row for _, row in rows if row["level"] == "province"]
    if rows and len(provinces) != 1:
        zh = f"应有且只有一个省，现有 {len(provinces)} 个"
        problems.append(Problem(str(path), 1, zh, f"there must be one province, there are {len(provinces)}"))
    return Regions([Region(**row) for row in known.values()])


def _region_faults(row: dict[str, str], known: dict[str, dict[str, str]]) -> Iterator[tuple[str, str]]:
    code, level, parent = row["code"], row["level"], row["parent"]
    if not re.fullmatch(r"[0-9]{6}", code):
        yield f"地区编码应为 6 位数字：{code!r}", f"a region code has 6 digits: {code!r}"
    if not row["name"].strip():
        yield f"地区 {code} 没有名称", f"region {code} has no name"
    if level not in _LEVELS:
        yield f"级别应为 {'、'.join(_LEVELS)}：{level!r}", f"level must be one of {', '.join(_LEVELS)}: {level!r}"
        return
    if level == "province":
        if parent:
            yield "省没有上级地区", "a province has no parent"
        return
    above = _LEVELS[_LEVELS.index(level) - 1]
    if parent not in known:
        zh, en = nearest(parent, known)
        yield f"上级地区 {parent!r} 不存在{zh}", f"no region {parent!r} as parent{en}"
    elif known[parent]["level"] != above:
        yield f"上级地区 {parent} 的级别应为 {above}", f"the parent {parent} must be a {above}"


def read_units(folder: Path, regions: Regions, problems: list[Problem]) -> Units:
    """The sound units of ``data/units.csv``."""
    path = folder / "data" / "units.csv"
    rows = _rows(path, Unit, problems)
    problems += _doubled(path, rows, "code")
    problems += _doubled(path, rows, "name", "warning")
    for key in ("principal", "public_key"):
        problems += _doubled(path, [(line, row) for line, row in rows if row.get(key)], key)
    sound = []
    for line, row in rows:
        faults = list(_unit_faults(row, regions))
        problems += [Problem(str(path), line, zh, en) for zh, en in faults]
        if not faults:
            sound.append(Unit(**row))
    return Units(sound)


def _unit_faults(row: dict[str, str], regions: Regions) -> Iterator[tuple[str, str]]:
    code, region = row["code"], row["region"]
    if not re.fullmatch(r"[0-9A-HJ-NPQRTUWXY]{18}", code):
        yield f"单位编码应为 18 位统一社会信用代码：{code!r}", f"a unit's code is its USCC of 18 characters: {code!r}"
    for key, zh in (("name", "名称"), ("line", "条线")):
        if not row[key].strip():
            yield f"单位 {code} 没有{zh}", f"unit {code} has no {key}"
    if region not in regions:
        zh, en = nearest(region, (known.code for known in regions))
        yield f"没有地区 {region!r}{zh if len(zh) < 40 else ''}", f"no region {region!r}{en if len(en) < 40 else ''}"
    elif regions[region].level != row["level"]:
        name, level = regions[region].name, regions[region].level
        yield f"级别 {row['level']!r} 与地区不符：{name}是 {level}", f"level {row['level']!r}, but {name} is a {level}"
    if (principal := row.get("principal")) and not is_principal(principal):
        yield (
            f"Kafka 主体应为 User: 加一个客户端名称：{principal!r}",
            f"a principal is User: and one name: {principal!r}",
        )
    if text := row.get("public_key"):
        try:
            public_key_text(text)
        except FaultError as error:
            yield f"单位 {code} 的公钥：{error.zh}", f"public key of unit {code}: {error.en}"


def read_categories(folder: Path, problems: list[Problem]) -> tuple[str, ...]:
    """The categories of ``data/categories.csv`` in their official order."""
    path = folder / "data" / "categories.csv"
    rows = _rows(path, ("zh", "en"), problems)
    problems += _doubled(path, rows, "zh")
    return tuple(row["zh"] for _, row in rows)


def _rows(path: Path, columns: Any, problems: list[Problem]) -> Rows:
    """Line and values of every row that has all columns; *columns*: their names, or a dataclass that has them."""
    try:
        text = decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        problems.append(Problem(str(path), 1, "没有这个文件", "there is no such file"))
        return []
    except DocumentError as error:
        problems += error.problems
        return []
    required, known = _columns(columns)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    titles = reader.fieldnames or []
    wrong = [repr(name) for name in titles if name not in known]
    missing = [name for name in required if name not in titles]
    if wrong or missing:
        expected = ", ".join(known)
        zh = f"表头应为 {expected}；缺少：{'、'.join(missing) or '无'}；不认识：{'、'.join(wrong) or '无'}"
        en = f"the header must be {expected}; missing: {', '.join(missing) or '-'}; unknown: {', '.join(wrong) or '-'}"
        problems.append(Problem(str(path), 1, zh, en))
        return []
    rows: Rows = []
    for row in reader:
        if None in row or None in row.values():
            zh, en = f"应有 {len(titles)} 列", f"there must be {len(titles)} columns"
            problems.append(Problem(str(path), reader.line_num, zh, en))
        else:
            rows.append((reader.line_num, dict(row)))
    return rows


def _columns(columns: Any) -> tuple[Sequence[str], Sequence[str]]:
    if isinstance(columns, tuple):
        return columns, columns
    every = fields(columns)
    return [field.name for field in every if field.default is MISSING], [field.name for field in every]


def _doubled(path: Path, rows: Rows, key: str, severity: Any = "error") -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for line, row in rows:
        before = seen.setdefault(row[key], line)
        if before != line:
            zh, en = f"{key} {row[key]!r} 与第 {before} 行重复", f"{key} {row[key]!r} is in line {before} already"
            yield Problem(str(path), line, zh, en, severity)
