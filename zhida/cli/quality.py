"""质量指标：完整率、及时率、合规率、上报率。Quality indicators."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zhida.cli._api import ask
from zhida.cli._console import console, print_json, table

app = typer.Typer()
#: The store may read a long history; it gives up after a minute.
_SECONDS = 90.0
_TITLES = {
    "unit": "单位 unit",
    "dataset": "数据集 dataset",
    "city": "设区市 city",
    "county": "县区 county",
    "day": "日期 day",
}


@app.command()
def show(
    by: Annotated[str, typer.Option(help="分组：unit、dataset、city、county、day。Group by one of these.")] = "city",
    dataset: Annotated[str, typer.Option(help="只看一个数据集（编码）。One dataset only, by code.")] = "",
    city: Annotated[
        str, typer.Option(help="只看一个市或县区及其下级（地区编码）。One city or county only, by code.")
    ] = "",
    own: Annotated[
        bool, typer.Option("--own", help="只看该地区本级单位，不含下级。Only its own units, none below.")
    ] = False,
    first: Annotated[str, typer.Option("--from", help="起始日期，含当日。First day.")] = "",
    last: Annotated[str, typer.Option("--to", help="截止日期，含当日；默认今天。Last day; today.")] = "",
    json: Annotated[bool, typer.Option("--json", help="输出接口返回的 JSON。The answer as JSON.")] = False,
) -> None:
    """显示质量指标，默认最近七天，按设区市。The indicators, by default of seven days, by city.

    例 Example: zhida quality show --by unit --dataset administrative_penalty --from 2026-01-01 --to 2026-01-31
    """
    asked = {"by": by, "dataset": dataset, "city": city, "own": "true" if own else "", "from": first, "to": last}
    answer = ask("GET", "/v1/quality", query={name: value for name, value in asked.items() if value}, timeout=_SECONDS)
    if json:
        print_json(answer)
    else:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    out = console()
    out.print(f"{answer['from']} 至 to {answer['to']}")
    shown = table(
        _TITLES[answer["by"]],
        ">完整率 complete",
        ">及时率 timely",
        ">合规率 compliant",
        ">上报率 reporting",
        ">记录 records",
        ">通过 accepted",
        ">退回 rejected",
        ">隔离 quarantined",
        ">应报 due",
        ">已报 reported",
    )
    for row in answer["rows"]:
        shown.add_row(_title(row), *_cells(row))
    shown.add_section()
    shown.add_row("合计 total", *_cells(answer["total"]))
    out.print(shown)


def _title(row: dict[str, Any]) -> str:
    if not row["key"]:
        return "来源不明 unknown"
    return row["key"] if row["name"] == row["key"] else f"{row['name']} {row['key']}"


def _cells(row: dict[str, Any]) -> list[str]:
    rates = [row[name] for name in ("completeness", "timeliness", "compliance", "reporting_rate")]
    counts = [row[name] for name in ("records", "accepted", "rejected", "quarantined", "due", "reported")]
    return ["—" if rate is None else _percent(rate) for rate in rates] + [f"{count:,}" for count in counts]


def _percent(rate: float) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{int(rate * 10_000 + 1e-6) / 100:.2f} %"
