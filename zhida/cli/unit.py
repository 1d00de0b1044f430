"""报送单位的登记与查找。Reporting units: look them up, register them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import dataset_or_usage_error, load_settings, today_in_china
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from connectors.file.csv_reader import CsvReader
    from connectors.file.rows import Refusal, Row
    from schemas.assignments import Assignments
    from schemas.units import Regions, Unit, Units
    from zhida.unit_registry import Plan

app = typer.Typer()

_SHOWN = 20
_Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="目录文件夹，缺省为设置 catalog_dir。Catalog folder; default: setting catalog_dir."),
]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="只检查，不写入。Check only, write nothing.")]
_NewLines = Annotated[
    bool, typer.Option("--new-lines", help="允许出现新的条线。Let there be new lines of departments.")
]


@app.command("list")
def list_units(
    find: Annotated[str, typer.Option("--find", help="名称或编码中包含的文字。Text in name or code.")] = "",
    region: Annotated[str, typer.Option(help="行政区划代码，含下级。Region code, with those below.")] = "",
    line: Annotated[str, typer.Option(help="条线，如 市场监管。Department line.")] = "",
    dataset: Annotated[str, typer.Option(help="只列应报送此数据集的单位。Units that are assigned this dataset.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="最多列出多少个。At most so many.")] = 50,
    folder: _Folder = None,
    json: Annotated[bool, typer.Option("--json", help="每个单位一行 JSON。One JSON object a line.")] = False,
) -> None:
    """列出报送单位。List reporting units.

    例 Example: zhida unit list --region 320100 --line 市场监管
    """
    place = _readable(folder)
    units, regions = _load(place)
    assigned = _assigned(place, units, regions, dataset) if dataset else units.codes
    found = [
        unit
        for unit in units
        if (not region or region in regions.path(unit.region))
        and line in unit.line
        and (find in unit.name or find.upper() in unit.code)
        and unit.code in assigned
    ]
    if json:
        for unit in found[:limit]:
            print_json(_described(unit, regions))
        return
    shown = table("编码 code", "名称 name", "区划 region", "条线 line")
    for unit in found[:limit]:
        shown.add_row(unit.code, unit.name, _described(unit, regions)["region_name"], unit.line)
    out = console()
    out.print(shown)
    out.print(f"共 {len(found):,} 个单位 units" + (f"，列出前 {limit} 个 shown" if len(found) > limit else ""))


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="单位编码（统一社会信用代码）。Its code.")],
    folder: _Folder = None,
    json: _Json = False,
) -> None:
    """显示一个报送单位、其反馈主题和应报送的数据集。Show one unit, its feedback topic and what it must report.

    例 Example: zhida unit show 11320100010564360Y
    """
    from schemas.topics import feedback_topic

    place = _readable(folder)
    units, regions = _load(place)
    if code not in units:
        raise UserError(
            f"没有编码为 {code} 的报送单位",
            f"no reporting unit {code}",
            "zhida unit list --find <名称>",
            ExitCode.NOT_FOUND,
        )
    unit = units[code]
    described: dict[str, str] = {**asdict(unit), **_described(unit, regions), "feedback_topic": feedback_topic(code)}
    terms: list[dict[str, Any]] = [
        {"dataset": one.dataset, "since": str(one.terms.since), "cycle": one.terms.cycle, "signing": one.terms.signing}
        for one in _assignments(place, units, regions).of_unit(code)
    ]
    if json:
        print_json({**described, "assignments": terms})
        return
    shown = table("", "")
    for name, value in described.items():
        shown.add_row(name, value)
    out = console()
    out.print(shown)
    listed = table("应报送 must report", "自 since", "周期 cycle", "签名 signing")
    for one in terms:
        listed.add_row(one["dataset"], one["since"], one["cycle"], "是 yes" if one["signing"] else "")
    out.print(listed)


@app.command()
def add(
    code: Annotated[str, typer.Argument(help="单位编码（统一社会信用代码）。Its code.")],
    name: Annotated[str, typer.Argument(help="单位名称。Its name.")],
    region: Annotated[str, typer.Option(help="行政区划代码。Region code (GB/T 2260).")],
    line: Annotated[str, typer.Option(help="条线，如 市场监管。Department line.")],
    contact_name: Annotated[str, typer.Option(help="联系人。Whom to call.")] = "",
    contact_phone: Annotated[str, typer.Option(help="联系电话。Telephone.")] = "",
    principal: Annotated[str, typer.Option(help="Kafka 主体，缺省 User:u-<编码>。Kafka principal.")] = "",
    public_key: Annotated[
        Path | None, typer.Option(help="Ed25519 公钥文件（PEM 或 base64）。File of its public key.")
    ] = None,
    folder: _Folder = None,
    new_lines: _NewLines = False,
    dry_run: _DryRun = False,
    json: _Json = False,
) -> None:
    """登记一个报送单位。Register a unit.

    例 Example: zhida unit add 12320100019999934L 南京市示例中心 --region 320100 --line 市场监管 --folder 目录
    """
    from connectors.file.rows import Row

    cells = {
        "code": code,
        "name": name,
        "region": region,
        "line": line,
        "contact_name": contact_name,
        "contact_phone": contact_phone,
        "principal": principal,
        "public_key": public_key.read_text(encoding="utf-8", errors="replace") if public_key else "",
    }
    _change(folder, [Row(1, cells, ())], new_lines=new_lines, dry_run=dry_run, json=json, update=False)


@app.command("import")
def import_units(
    path: Annotated[Path, typer.Argument(help="单位清单 CSV（UTF-8 或 GBK）。A list of units.")],
    folder: _Folder = None,
    new_lines: _NewLines = False,
    dry_run: _DryRun = False,
    json: _Json = False,
) -> None:
    """登记和更新清单中的全部单位；有一行不合格就全部不写入。Register and update all units of a list, or none.

    列 columns: 统一社会信用代码、单位名称、行政区划代码、条线，另可有 级别、联系人、联系电话、Kafka 主体、公钥。
    空白单元格保留原值，“-”清空。A blank cell keeps what is registered, "-" empties it.

    例 Example: zhida unit import 单位清单.csv --folder 目录 --dry-run
    """
    from connectors.file.source import examine, open_text

    with open_text(examine(path, "csv")) as opened:
        rows = _reader(opened.text)
        _change(folder, rows, new_lines=new_lines, dry_run=dry_run, json=json, update=True)


def _reader(text: TextIO) -> CsvReader:
    """The rows of a list; raises UserError where its header is not one of units."""
    from connectors.base import ConnectorError
    from connectors.file.csv_reader import CsvReader
    from zhida.unit_registry import COLUMNS, unit_names

    titles = "、".join(column.zh for column in COLUMNS.values())
    remedy = f"可用列名 columns: {titles}；不需要的列在列名前加 # put # in front of other columns"
    try:
        reader = CsvReader(text, unit_names())
    except ConnectorError as error:
        zh = error.message_zh.replace("目录中", "单位登记表中")
        raise UserError(zh, error.message_en.replace("the catalog", "the registry"), remedy) from error
    if all(column is None or column.name != "code" for column in reader.header.columns):
        raise UserError("清单中没有统一社会信用代码这一列", "the list has no column of unit codes", remedy)
    return reader


def _change(
    folder: Path | None, rows: Iterable[Row | Refusal], *, new_lines: bool, dry_run: bool, json: bool, update: bool
) -> None:
    """Check *rows* and write what they change, unless one of them is refused."""
    from zhida.unit_registry import UNITS_FILE, locked, plan_changes, write_units

    place = _writable(folder)
    with locked(place):
        units, regions = _load(place)
        plan = plan_changes(rows, units, regions, new_lines=new_lines, update=update)
        if plan.refused:
            _tell_refused(plan.refused, json)
        after = plan.applied_to(units)
        _keep_assignments(place, units, after, regions)
        written = not dry_run and bool(plan.added or plan.changed)
        if written:
            write_units(place / UNITS_FILE, after)
    _tell_changes(plan, written, dry_run, json)


def _keep_assignments(place: Path, before: Units, after: Units, regions: Regions) -> None:
    """Raise UserError where assignments that are fit for *before* are not for *after*."""
    from schemas.assignments import AssignmentError

    try:
        _assignments(place, after, regions)
    except AssignmentError as error:
        try:
            _assignments(place, before, regions)
        except AssignmentError as old:
            faults = set(error.problems) - set(old.problems)
        else:
            faults = set(error.problems)
        if faults:
            told = "\n".join(map(str, sorted(faults)))
            raise UserError(
                f"改动后采集目录不再成立：\n{told}",
                "the assignments would no longer hold",
                "先修改采集目录 change the assignments first",
            ) from error


def _tell_refused(refused: list[Refusal], json: bool) -> None:
    if json:
        for refusal in refused:
            print_json(
                {"event": "refused", "line": refusal.line, "problems": [asdict(one) for one in refusal.problems]}
            )
    else:
        shown = table(">行 line", "列 column", "值 value", "原因 reason", title="不能登记的行 Rows refused")
        for refusal in refused:
            for problem in refusal.problems:
                shown.add_row(str(refusal.line), problem.column, problem.value, f"{problem.zh}\n{problem.en}")
        console().print(shown)
    raise UserError(
        f"{len(refused)} 行有问题，什么都没有写入",
        f"{len(refused)} rows are refused; nothing was written",
        "改正后重新导入全部 correct them and import the whole list again",
    )


def _tell_changes(plan: Plan, written: bool, dry_run: bool, json: bool) -> None:
    """Which units and which of their fields; never the values of contacts and keys."""
    changed = [
        (after.code, sorted(name for name, value in asdict(after).items() if getattr(before, name) != value))
        for before, after in plan.changed
    ]
    if json:
        for unit in plan.added:
            print_json({"event": "added", "unit": unit.code})
        for code, names in changed:
            print_json({"event": "changed", "unit": code, "fields": names})
        counts = {"added": len(plan.added), "changed": len(changed), "unchanged": plan.unchanged}
        print_json({"event": "summary", **counts, "written": written})
        return
    out = console()
    for unit in plan.added[:_SHOWN]:
        out.print(f"新增 added    {unit.code} {unit.name}")
    for code, names in changed[:_SHOWN]:
        out.print(f"更改 changed  {code} {', '.join(names)}")
    if max(len(plan.added), len(changed)) > _SHOWN:
        out.print("… 加 --json 列出全部 --json lists all")
    out.print(
        f"新增 {len(plan.added)} 个，更改 {len(changed)} 个，未变 {plan.unchanged} 个 "
        f"({len(plan.added)} added, {len(changed)} changed, {plan.unchanged} unchanged)"
    )
    if written:
        out.print("已写入；执行 zhida catalog publish 后生效。Written; zhida catalog publish puts it in force.")
    elif dry_run:
        out.print("仅检查，没有写入。Checked only, nothing was written.")


def _readable(folder: Path | None) -> Path:
    from schemas.catalog import CATALOG_DIR
    from zhida.unit_registry import UNITS_FILE

    place = folder or load_settings().catalog_dir or CATALOG_DIR
    if not (place / UNITS_FILE).is_file():
        raise UserError(
            f"{place} 不是目录文件夹：没有 {UNITS_FILE}",
            f"{place} is no catalog folder: it has no {UNITS_FILE}",
            "--folder <目录文件夹>",
            ExitCode.NOT_FOUND,
        )
    return place


def _writable(folder: Path | None) -> Path:
    """The operator's own folder: the one that comes with Zhida is replaced with every update of Zhida."""
    from schemas.catalog import CATALOG_DIR

    if folder is None and load_settings().catalog_dir is None:
        raise UserError(
            "没有指定目录文件夹；随直达安装的目录不应改动，升级时会被替换",
            "no catalog folder: the one that comes with Zhida is replaced by every update",
            f"cp -r {CATALOG_DIR}/{{datasets,extensions,assignments,data}} <目录文件夹>，再设置 ZHIDA_CATALOG_DIR 或加 "
            "--folder: copy it, then set ZHIDA_CATALOG_DIR or add --folder",
            ExitCode.USAGE,
        )
    return _readable(folder)


def _load(place: Path) -> tuple[Units, Regions]:
    from schemas.units import Regions, Units
    from zhida.unit_registry import UNITS_FILE

    try:
        return Units.load(place / UNITS_FILE), Regions.load(place / "data" / "regions.csv")
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{place / 'data'} 中的文件不能读取：{error}",
            f"the files in {place / 'data'} cannot be read",
            "zhida catalog lint",
        ) from error


def _assignments(place: Path, units: Units, regions: Regions) -> Assignments:
    from schemas.assignments import Assignments
    from schemas.catalog import Catalog

    return Assignments.load(Catalog.load(place), units, regions, place / "assignments")


def _assigned(place: Path, units: Units, regions: Regions, dataset: str) -> frozenset[str]:
    from schemas.catalog import Catalog

    code = dataset_or_usage_error(Catalog.load(place), dataset).code
    return _assignments(place, units, regions).units_for(code, today_in_china())


def _described(unit: Unit, regions: Regions) -> dict[str, Any]:
    """What a list says of a unit: whom to call is in ``show`` alone."""
    names = [regions[code].name for code in (unit.city, unit.region) if code in regions]
    listed = {name: getattr(unit, name) for name in ("code", "name", "region", "level", "line", "principal")}
    return {**listed, "region_name": "".join(dict.fromkeys(names))}
