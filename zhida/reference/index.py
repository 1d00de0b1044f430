"""The index page, as Markdown: every dataset by category."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from schemas.catalog import Catalog, Dataset
from schemas.release import Release
from zhida.reference import words
from zhida.reference.page import code, soft, table, text


def index_page(release: Release, categories: tuple[str, ...], day: date) -> str:
    """Datasets by category with what is asked most; *day* for the assignments in force."""
    count = len(release.catalog)
    parts = ["# 信息资源目录 Catalog", "", f"{count} 个数据集，按国家目录的类别排列。{count} datasets by category.", ""]
    for category, datasets in by_category(release.catalog, categories):
        parts += [f"## {text(category)}", ""]
        titles = ("数据集", "编码", "级别", "字段", "更新周期", "报送时限", "共享属性", "报送单位")
        parts += table(titles, (_row(dataset, release, day) for dataset in datasets))
    return "\n".join(parts)


def by_category(catalog: Catalog, categories: tuple[str, ...]) -> Iterator[tuple[str, list[Dataset]]]:
    """Categories that have datasets, in official order, the others last; their datasets by code."""
    found: dict[str, list[Dataset]] = {}
    for dataset in sorted(catalog, key=lambda dataset: (dataset.level, dataset.code)):
        found.setdefault(dataset.category, []).append(dataset)
    for category in [*categories, *sorted(found.keys() - set(categories))]:
        if category in found:
            yield category, found[category]


def _row(dataset: Dataset, release: Release, day: date) -> tuple[str, ...]:
    added = len(dataset.business_fields) - len(dataset.base_fields)
    due = f"{dataset.deadline_workdays} 个工作日" if dataset.deadline_workdays is not None else "不设"
    return (
        f"[{text(dataset.zh)}]({dataset.code}.md)<br>{soft(dataset.en)}",
        code(dataset.code),
        words.LEVELS[dataset.level],
        f"{len(dataset.base_fields)}" + (f" + {added}" if added else ""),
        words.CYCLES[dataset.update_cycle],
        due,
        words.SHARING[dataset.sharing],
        f"{len(release.assignments.units_for(dataset.code, day)):,}",
    )
