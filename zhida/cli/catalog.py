"""信息资源目录：数据集、字段、扩展与采集。The catalog: datasets, fields, extensions, assignments."""

from __future__ import annotations

import csv
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhida.cli._catalog_publish import publish
from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import dataset_or_usage_error, load_settings
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from schemas.catalog import Catalog
    from schemas.release import Release
    from zhida.settings import Settings

app = typer.Typer()
app.command()(publish)

_Code = Annotated[str, typer.Argument(help="数据集编码或名称。Its code or title.")]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")]
_Folder = Annotated[
    Path | None, typer.Option("--folder", help="目录文件夹，缺省为设置中的。Catalog folder instead of the settings'.")
]
_Rules = Annotated[
    Path | None, typer.Option("--rules", help="规则文件夹，缺省为设置中的。Rule folder instead of the settings'.")
]
_Day = Annotated[
    str | None, typer.Option("--day", help="按哪一天的采集目录，缺省为今天。Assignments in force on this day.")
]


@app.command("list")
def list_datasets(folder: _Folder = None, json: _Json = False) -> None:
    """列出全部数据集。List all datasets.

    例 Example: zhida catalog list
    """
    catalog = _catalog(folder)
    if json:
        for dataset in catalog:
            print_json(dataset.model_dump(include={"code", "zh", "en", "category", "sharing", "update_cycle"}))
        return
    shown = table("编码 code", "名称 title", "类别 category", ">字段 fields", "主题 topic")
    for dataset in catalog:
        shown.add_row(
            dataset.code, dataset.zh, dataset.category, str(len(dataset.business_fields)), dataset.report_topic
        )
    console().print(shown)


@app.command()
def show(code: _Code, folder: _Folder = None, day: _Day = None, json: _Json = False) -> None:
    """显示一个数据集：报送时限、共享属性、字段。Show one dataset: deadline, sharing, fields.

    例 Example: zhida catalog show administrative_penalty
    """
    from zhida.cli._catalog_views import print_dataset

    release = _release(folder)
    dataset = dataset_or_usage_error(release.catalog, code)
    on = _day(day)
    if json:
        units = len(release.assignments.units_for(dataset.code, on))
        print_json(dataset.model_dump(mode="json", by_alias=True) | {"units": units})
        return
    print_dataset(dataset, release, on)


@app.command()
def tree(folder: _Folder = None, day: _Day = None, json: _Json = False) -> None:
    """按类别显示三级目录：基础、扩展、采集。The three levels by category: base, extended, assigned units.

    例 Example: zhida catalog tree
    """
    from zhida.cli._catalog_views import catalog_tree, tree_rows

    release = _release(folder)
    if json:
        for row in tree_rows(release, _categories(folder), _day(day)):
            print_json(row)
        return
    console().print(catalog_tree(release, _categories(folder), _day(day)))


@app.command()
def template(
    code: _Code,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="写入此文件。Write here.")] = None,
    region: Annotated[
        str,
        typer.Option(help="单位所在地区编码，含该市的扩展字段。Region of the unit: with the fields its city added."),
    ] = "",
) -> None:
    """输出一个数据集的空白 CSV 表头（Excel 可直接打开）。An empty CSV with the header of a dataset.

    例 Example: zhida catalog template administrative_penalty -o 处罚.csv
    """
    release = _release(None)
    dataset = dataset_or_usage_error(release.catalog, code)
    if region and region not in release.regions:
        raise UserError(f"没有地区 {region}", f"no region {region!r}", "zhida unit list", ExitCode.USAGE)
    # Fields of the whole province are everyone's; those of a city its own units' only.
    path = {"", *release.regions.path(region), *(known.code for known in release.regions if known.level == "province")}
    titles = ["记录编号", *(field.zh for field in dataset.business_fields if field.region in path)]
    if output is None:
        csv.writer(sys.stdout, lineterminator="\n").writerow(titles)
        return
    with output.open("x", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerow(titles)


@app.command()
def lint(
    folder: _Folder = None,
    rules: _Rules = None,
    strict: Annotated[bool, typer.Option("--strict", help="提醒也算不通过。Warnings fail too.")] = False,
    json: _Json = False,
) -> None:
    """检查目录、扩展、采集、单位、地区与规则是否一致。Find every inconsistency of the catalog, with file and line.

    例 Example: zhida catalog lint --strict
    """
    from zhida.catalog_lint import lint_catalog
    from zhida.cli._catalog_views import print_problems

    settings = _settings(folder, rules)
    place = _place(settings)
    problems = lint_catalog(place, _rules_place(settings))
    if json:
        for problem in problems:
            print_json(problem.as_json())
    else:
        print_problems(problems)
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if errors or (strict and warnings):
        raise UserError(
            f"目录有 {errors} 处错误、{warnings} 处提醒",
            f"{errors} errors and {warnings} warnings in the catalog",
            "改正后重试；docs/catalog.md 说明各项 correct them; docs/catalog.md explains every key",
        )
    if not json:
        console().print(f"目录没有错误，{warnings} 处提醒 no errors, {warnings} warnings：{place}", soft_wrap=True)


@app.command()
def diff(
    old: Annotated[
        Path | None, typer.Argument(help="旧目录文件夹；不写则为当前生效的。Old folder; default: what is in force.")
    ] = None,
    new: Annotated[
        Path | None, typer.Argument(help="新目录文件夹；不写则为设置中的。New folder; default: the settings'.")
    ] = None,
    json: _Json = False,
) -> None:
    """比较两个目录，或目录文件与当前生效的目录。Compare two catalogs, or the files with what is in force.

    有不兼容的更改时退出码为 1。Ends with 1 where a change is not compatible.

    例 Example: zhida catalog diff 目录-旧 目录-新
    """
    from schemas.diff import compare
    from zhida.cli._catalog_views import print_changes

    before = _catalog(old) if old is not None else _in_force()
    changes = compare(before, _catalog(new))
    if json:
        for change in changes:
            print_json(change.as_json())
    else:
        print_changes(changes)
    broken = sum(not change.compatible for change in changes)
    if broken:
        raise UserError(
            f"{len(changes)} 个数据集有更改，其中 {broken} 个不兼容",
            f"{len(changes)} datasets differ, {broken} of them are not compatible",
            "增加字段或另立字段，不要删改 add fields or name new ones instead of removing or changing them",
        )
    if not json:
        console().print(f"{len(changes)} 个数据集有更改，全部兼容 {len(changes)} datasets differ, all compatible")


@app.command()
def docs(
    output: Annotated[Path, typer.Argument(help="写入此文件夹。Folder to write to.")],
    folder: _Folder = None,
    rules: _Rules = None,
    format: Annotated[str, typer.Option("--format", help="md、html 或 both。")] = "both",
    day: _Day = None,
) -> None:
    """生成每个数据集的说明页（Markdown 与网页）。Write a reference page of each dataset, Markdown and HTML.

    例 Example: zhida catalog docs 目录说明
    """
    from rules.errors import RuleError
    from rules.ruleset import RuleSet
    from zhida.reference import Source, write_reference

    formats = {"md": {"md"}, "html": {"html"}, "both": {"md", "html"}}.get(format)
    if formats is None:
        raise UserError(f"没有格式 {format}", f"no format {format!r}", "--format md|html|both", ExitCode.USAGE)
    release = _release(folder)
    try:
        rule_set = RuleSet.load(release.catalog, _rules_place(_settings(folder, rules)))
    except RuleError as error:
        raise UserError(f"规则库不能使用：\n{error}", "the rule library cannot be used", "zhida rules lint") from error
    source = Source(release, rule_set, _categories(folder), _day(day))
    written = write_reference(source, output, frozenset(formats))
    first = next((path for path in written if path.suffix == ".html"), written[0])
    console().print(
        f"写了 {len(written)} 个文件，从 {first} 看起 {len(written)} files, begin with {first}", soft_wrap=True
    )


def _settings(folder: Path | None, rules: Path | None = None) -> Settings:
    """The settings, with the folders that the command line names instead of theirs."""
    settings = load_settings()
    named = {"catalog_dir": folder, "rules_dir": rules}
    for path in filter(None, named.values()):
        if not path.is_dir():
            raise UserError(f"没有目录 {path}", f"no such folder: {path}", "", ExitCode.NOT_FOUND)
    return settings.model_copy(update={name: path for name, path in named.items() if path is not None})


def _place(settings: Settings) -> Path:
    from schemas.catalog import CATALOG_DIR

    return settings.catalog_dir or CATALOG_DIR


def _rules_place(settings: Settings) -> Path:
    from rules.ruleset import LIBRARY_DIR

    return settings.rules_dir or LIBRARY_DIR


def _catalog(folder: Path | None) -> Catalog:
    from schemas.catalog import Catalog

    return Catalog.load(_place(_settings(folder)))


def _release(folder: Path | None) -> Release:
    from zhida.source import FilesError, load_release

    try:
        return load_release(_settings(folder))
    except FilesError as error:
        raise UserError(
            f"目录不能使用：\n{error}", "the catalog cannot be used", "zhida catalog lint", ExitCode.USAGE
        ) from error


def _categories(folder: Path | None) -> tuple[str, ...]:
    from schemas.documents import Problem
    from schemas.lint.tables import read_categories

    problems: list[Problem] = []  # lint tells them; here the order of the categories is all that is asked
    return read_categories(_place(_settings(folder)), problems)


def _in_force() -> Catalog:
    from schemas.announcements import AnnouncementError
    from zhida.in_force import read_known

    try:
        found = read_known(load_settings().kafka(), timeout=10).in_force()
    except AnnouncementError as error:
        raise UserError(
            f"读不到当前生效的目录：{error}",
            f"what is in force cannot be read: {error}",
            "启动平台，或写明旧目录的文件夹 start the platform, or name the old catalog's folder",
            ExitCode.UNREACHABLE,
        ) from error
    if found is None:
        raise UserError(
            "还没有发布过目录", "no catalog has been published yet", "zhida catalog publish", ExitCode.NOT_FOUND
        )
    return found.release.catalog


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else date.today()
    except ValueError as error:
        raise UserError(f"不是日期：{text}", f"not a date: {text!r}", "--day 2026-01-31", ExitCode.USAGE) from error
