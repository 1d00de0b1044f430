"""Everything that is wrong with a catalog folder, and what most likely is not meant: each with file and line.

:func:`lint` goes over datasets, extensions, regions, units and assignments and never stops at the first fault: what can
be read of a broken file is still looked at. ``Catalog.load`` refuses what would break the pipeline; lint says all of
that and what would confuse those who report. Rules are looked at where they can be imported (``zhida.catalog_lint``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.assignments import AssignmentError, Assignments
from schemas.catalog import Catalog, Dataset
from schemas.documents import Problem
from schemas.extensions import EXTENSIONS, read_extensions
from schemas.lint.crossing import between_datasets
from schemas.lint.dataset_checks import dataset_problems
from schemas.lint.drafts import Draft, read_draft
from schemas.lint.extension_checks import extension_problems
from schemas.lint.files import stray_files
from schemas.lint.tables import read_categories, read_regions, read_units
from schemas.units import Regions, Units


@dataclass
class Findings:
    """What lint found, and what it could read: enough for others to go on with."""

    problems: list[Problem] = field(default_factory=list)
    #: Codes of datasets whose own file or an extension cannot be used; what is missing because of that is no news.
    broken: set[str] = field(default_factory=set)
    drafts: dict[str, Draft] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=lambda: Catalog({}))
    regions: Regions = field(default_factory=lambda: Regions([]))
    units: Units = field(default_factory=lambda: Units([]))


def lint(folder: Path) -> Findings:
    """Look at the whole catalog *folder*."""
    found = Findings()
    problems = found.problems
    problems += stray_files(folder)
    found.regions = read_regions(folder, problems)
    found.units = read_units(folder, found.regions, problems)
    categories = read_categories(folder, problems)
    for path in sorted((folder / "datasets").glob("*.yaml")):
        draft = read_draft(path, problems)
        if draft is None:
            found.broken.add(path.stem)
            continue
        found.drafts[path.stem] = draft
        problems += dataset_problems(draft, found.regions, categories)
    problems += between_datasets(list(found.drafts.values()))
    found.broken |= {code for code, draft in found.drafts.items() if draft.dataset is None}
    datasets = {draft.dataset.code: draft.dataset for draft in found.drafts.values() if draft.dataset is not None}
    found.catalog = Catalog(_extended(folder, datasets, found))
    problems += _assignment_problems(folder, found)
    found.problems = sorted(set(problems))
    return found


def _extended(folder: Path, datasets: dict[str, Dataset], found: Findings) -> dict[str, Dataset]:
    """The datasets with their extensions; a file that extends a broken dataset is not blamed for it."""
    problems: list[Problem] = []
    merged = read_extensions(folder, datasets, problems, found.regions)
    blamed = [problem for problem in problems if Path(problem.file).stem not in found.broken]
    found.problems += blamed
    found.broken |= {Path(problem.file).stem for problem in blamed}
    for path in sorted((folder / EXTENSIONS).glob("*/*.yaml")):
        found.problems += extension_problems(path, merged.get(path.stem))
    return merged


def _assignment_problems(folder: Path, found: Findings) -> Iterator[Problem]:
    place = folder / "assignments"
    try:
        assignments = Assignments.load(found.catalog, found.units, found.regions, place)
    except AssignmentError as error:
        for problem in error.problems:
            missing = problem.en.startswith("no dataset") and Path(problem.file).stem in found.broken
            if not missing:  # why it is missing has been told
                yield problem
        return
    for dataset in found.catalog:
        file = str(place / f"{dataset.code}.yaml")
        if dataset.code not in assignments.datasets:
            draft = found.drafts[dataset.code]
            yield Problem(
                draft.document.file,
                1,
                f"没有单位报送 {dataset.code}：缺少 assignments/{dataset.code}.yaml",
                f"nobody may report {dataset.code}: there is no assignments/{dataset.code}.yaml",
                "warning",
            )
        elif dataset.region:
            outside = {
                one.unit
                for one in assignments.of_dataset(dataset.code)
                if dataset.region not in found.regions.path(found.units[one.unit].region)
            }
            if outside:
                few = "、".join(sorted(outside)[:3])
                zh = f"数据集属于地区 {dataset.region}，却安排了该地区以外的 {len(outside)} 个单位：{few}"
                en = (
                    f"the dataset is of region {dataset.region}; {len(outside)} units outside of it are assigned: {few}"
                )
                yield Problem(file, 1, zh, en)


__all__ = ["Findings", "lint"]
