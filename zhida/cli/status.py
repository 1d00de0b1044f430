"""平台各部分是否在运行，以及各数据集的积压。What is running, and how far each dataset is processed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import load_settings
from zhida.errors import ExitCode
from zhida.logging import configure

if TYPE_CHECKING:
    from zhida.cli._status import DatasetStatus, PartStatus
    from zhida.cli._status_catalog import CatalogStatus


def command(
    json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。One JSON object.")] = False,
) -> None:
    """显示各部分的状态、生效的目录和各数据集的进度。Show what answers, the catalog in force, and lag by dataset.

    例 Example: zhida status --json

    退出码 Exit codes: 0 全部可达 everything answers; 3 有部分不可达 something does not.
    """
    from zhida.cli._status import datasets, parts
    from zhida.cli._status_catalog import catalog_status

    configure(json=False, level="error")
    settings = load_settings()
    found = parts(settings)
    broker = next(part for part in found if part.name == "kafka")
    catalog = catalog_status(settings) if broker.ok else None
    progress = datasets(settings.kafka(), catalog.catalog) if catalog else []
    if json:
        print_json(_as_json(found, progress, catalog))
    else:
        _show(found, progress, catalog)
    if not all(part.ok for part in found):
        raise typer.Exit(ExitCode.UNREACHABLE)


def _as_json(found: list[PartStatus], progress: list[DatasetStatus], catalog: CatalogStatus | None) -> dict[str, Any]:
    rows = [
        {"dataset": row.code, "received": row.received, "governed": row.governed, "lag": row.lag} for row in progress
    ]
    total = {name: sum(row[name] for row in rows) for name in ("received", "governed", "lag")}  # type: ignore[misc]
    answers = {part.name: {"ok": part.ok, "address": part.address, "detail": part.detail} for part in found}
    in_force = catalog.as_json() if catalog else None
    return {"parts": answers, "catalog": in_force, "datasets": rows, "total": total}


def _show(found: list[PartStatus], progress: list[DatasetStatus], catalog: CatalogStatus | None) -> None:
    out = console()
    shown = table("部分 part", "地址 address", "状态 state", "说明 detail")
    for part in found:
        state, colour = ("正常 ok", "green") if part.ok else ("不可达 down", "red")
        shown.add_row(part.name, part.address, state, part.detail, style=colour)
    out.print(shown)
    if catalog is not None:
        for line, style in catalog.lines():
            out.print(line, style=style, soft_wrap=True)
    if not progress:
        return
    sums = table("数据集 dataset", ">收到 received", ">已治理 governed", ">积压 lag")
    for row in progress:
        sums.add_row(f"{row.zh} {row.code}", f"{row.received:,}", f"{row.governed:,}", f"{row.lag:,}")
    received, governed = sum(row.received for row in progress), sum(row.governed for row in progress)
    sums.add_section()
    sums.add_row("合计 total", f"{received:,}", f"{governed:,}", f"{sum(row.lag for row in progress):,}")
    out.print(sums)
