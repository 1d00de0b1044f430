"""查找报送单位。Reporting units."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import load_units
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from schemas.units import Regions, Unit

app = typer.Typer()


@app.command("list")
def list_units(
    find: Annotated[str, typer.Option("--find", help="名称或编码中包含的文字。Text in name or code.")] = "",
    region: Annotated[str, typer.Option(help="行政区划代码，含下级。Region code, with those below.")] = "",
    line: Annotated[str, typer.Option(help="条线，如 市场监管。Department line.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="最多列出多少个。At most so many.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="每个单位一行 JSON。One JSON object a line.")] = False,
) -> None:
    """列出报送单位。List reporting units.

    例 Example: zhida unit list --region 320100 --line 市场监管
    """
    regions = _regions()
    below = region.rstrip("0") if region else ""
    # 320000 → "32", 320100 → "3201"; an odd number of digits would cut a code in two.
    below += "0" * (len(below) % 2)
    found = [
        unit
        for unit in load_units()
        if unit.region.startswith(below) and line in unit.line and (find in unit.name or find.upper() in unit.code)
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
    json: Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")] = False,
) -> None:
    """显示一个报送单位及其反馈主题。Show one unit and its feedback topic.

    例 Example: zhida unit show 11320100010564360Y
    """
    from schemas.topics import feedback_topic

    units = load_units()
    if code not in units:
        raise UserError(
            f"没有编码为 {code} 的报送单位",
            f"no reporting unit {code}",
            "zhida unit list --find <名称>",
            ExitCode.NOT_FOUND,
        )
    described = {**_described(units[code], _regions()), "feedback_topic": feedback_topic(code)}
    if json:
        print_json(described)
        return
    shown = table("", "")
    for name, value in described.items():
        shown.add_row(name, value)
    console().print(shown)


def _regions() -> Regions:
    from schemas.units import Regions

    return Regions.load()


def _described(unit: Unit, regions: Regions) -> dict[str, str]:
    names = [regions[code].name for code in (unit.city, unit.region) if code in regions]
    return {**asdict(unit), "region_name": "".join(dict.fromkeys(names))}
