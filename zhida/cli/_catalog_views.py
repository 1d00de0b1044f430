"""How catalogs are shown on the console: a dataset, the tree of levels, problems, differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from zhida.cli._console import console, table

if TYPE_CHECKING:
    from rich.tree import Tree

    from schemas.catalog import Dataset
    from schemas.diff import DatasetChange
    from schemas.documents import Problem
    from schemas.release import Release

_KINDS = {
    "added": ("新增", "added", "green"),
    "removed": ("删除", "removed", "red"),
    "changed": ("更改", "changed", "yellow"),
}


def print_dataset(dataset: Dataset, release: Release, day: date) -> None:
    """Facts and fields of one dataset."""
    from zhida.reference import words

    out = console()
    facts = table("", "", title=f"{dataset.zh} {dataset.en} ({dataset.code})")
    facts.show_header = False
    level = words.LEVELS[dataset.level] + (f"（{_region(release, dataset.region)}）" if dataset.region else "")
    facts.add_row("类别 category", f"{dataset.category}，{level}")
    facts.add_row("报送 reported by", f"{dataset.department_line}，{_units(release, dataset, day)}")
    facts.add_row("时限 deadline", f"{words.CYCLES[dataset.update_cycle]}更新，{words.deadline(dataset)}")
    facts.add_row("共享 sharing", f"{words.SHARING[dataset.sharing]}，公示期 {words.publicity(dataset)}")
    facts.add_row("答疑 questions to", " ".join(filter(None, (dataset.owner, dataset.contact))) or "—")
    facts.add_row("依据 basis", dataset.basis or "—")
    facts.add_row("主题 topic", dataset.report_topic)
    out.print(facts)
    shown = table("编码 code", "名称 label", "类型 type", "必填", "说明 note")
    for field in dataset.fields:
        notes = [f"{_region(release, field.region)}扩展"] if field.region else []
        notes += [f"个人信息（{words.PII[field.pii]}）"] if field.pii != "none" else []
        notes += filter(None, ("、".join(field.enumeration), field.note))
        required = "是" if field.required else ""
        shown.add_row(field.name, field.zh, words.type_of(field), required, "；".join(notes))
    out.print(shown)
    keys = "、".join(dataset.by_name[name].zh for name in dataset.key)
    out.print(f"没有“记录编号”列时，由这些字段确定一条记录 Without record_id a record is told by: {keys}")


def catalog_tree(release: Release, categories: tuple[str, ...], day: date) -> Tree:
    """The three levels: datasets by category, fields that were added to them, and how many units are assigned."""
    from rich.tree import Tree

    from zhida.reference import words
    from zhida.reference.index import by_category

    root = Tree(f"信息资源目录 catalog：{len(release.catalog)} 个数据集 datasets（字段 fields｜报送单位 units）")
    for category, datasets in by_category(release.catalog, categories):
        branch = root.add(category)
        for dataset in datasets:
            whose = f" {_region(release, dataset.region)}" if dataset.region else ""
            line = f"{dataset.zh} {dataset.code}｜{words.LEVELS[dataset.level][:2]}{whose}｜"
            units = len(release.assignments.units_for(dataset.code, day))
            leaf = branch.add(f"{line}{len(dataset.base_fields)} 个字段｜{units:,} 个单位")
            for region, names in added_fields(dataset).items():
                leaf.add(f"扩展 {_region(release, region)}：{'、'.join(names)}")
    return root


def tree_rows(release: Release, categories: tuple[str, ...], day: date) -> Iterator[dict[str, Any]]:
    """The same as data, one row a dataset."""
    from zhida.reference.index import by_category

    for category, datasets in by_category(release.catalog, categories):
        for dataset in datasets:
            yield {
                "category": category,
                "dataset": dataset.code,
                "zh": dataset.zh,
                "level": dataset.level,
                "region": dataset.region,
                "fields": len(dataset.base_fields),
                "added": added_fields(dataset),
                "units": len(release.assignments.units_for(dataset.code, day)),
            }


def added_fields(dataset: Dataset) -> dict[str, list[str]]:
    """Codes of the fields that the province and cities added, by region."""
    found: dict[str, list[str]] = {}
    for field in dataset.business_fields:
        if field.region:
            found.setdefault(field.region, []).append(field.name)
    return found


def print_problems(problems: Sequence[Problem]) -> None:
    """One line a problem: place, sentence in both languages."""
    out = console()
    for problem in problems:
        mark, colour = ("错误", "red") if problem.severity == "error" else ("提醒", "yellow")
        # Not wrapped: an editor opens what stands at the beginning of the line.
        out.print(f"{problem.file}:{problem.line}: {mark} {problem.zh}", style=colour, soft_wrap=True)
        out.print(f"    {problem.en}", soft_wrap=True)


def print_changes(changes: Sequence[DatasetChange]) -> None:
    """Each dataset that differs, its fields, and why a change is not compatible."""
    out = console()
    for change in changes:
        zh, en, colour = _KINDS[change.kind]
        verdict = "兼容 compatible" if change.compatible else "不兼容 not compatible"
        out.print(f"{zh} {en}：{change.zh} {change.code}，{verdict}", style=colour)
        for name, values in change.properties.items():
            out.print(f"  {name}：{_short(values[0])} → {_short(values[1])}", soft_wrap=True)
        for field in change.fields:
            zh, en, colour = _KINDS[field.kind]
            region = f"（{field.region}）" if field.region else ""
            out.print(f"  {zh} {en}：{field.name} {field.zh}{region}", style=colour)
            for name, values in field.properties.items():
                out.print(f"    {name}：{_short(values[0])} → {_short(values[1])}", soft_wrap=True)
        for zh, en in change.reasons:
            out.print(f"  ✗ {zh} {en}", style="red", soft_wrap=True)


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "、".join(map(str, value)) or "—"
    return "—" if value in (None, "") else str(value)


def _units(release: Release, dataset: Dataset, day: date) -> str:
    return f"{len(release.assignments.units_for(dataset.code, day)):,} 个单位 units"


def _region(release: Release, code: str) -> str:
    return release.regions[code].name if code in release.regions else code
