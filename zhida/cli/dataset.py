"""信息资源目录中的数据集及其字段。The datasets of the catalog."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import dataset_or_usage_error

app = typer.Typer()

_Code = Annotated[str, typer.Argument(help="数据集编码或名称。Its code or title.")]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")]


@app.command("list")
def list_datasets(json: _Json = False) -> None:
    """列出全部数据集。List all datasets.

    例 Example: zhida dataset list
    """
    from schemas.catalog import Catalog

    catalog = Catalog.load()
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
def show(code: _Code, json: _Json = False) -> None:
    """列出一个数据集的字段：编码、中文名称、类型、是否必填。List the fields of one dataset.

    例 Example: zhida dataset show administrative_penalty
    """
    from schemas.catalog import Catalog

    dataset = dataset_or_usage_error(Catalog.load(), code)
    if json:
        print_json(dataset.model_dump(by_alias=True))
        return
    shown = table(
        "编码 code", "名称 label", "类型 type", "必填", "说明 note", title=f"{dataset.zh} {dataset.en} ({dataset.code})"
    )
    for field in dataset.fields:
        note = "、".join(field.enumeration) or field.note
        shown.add_row(field.name, field.zh, field.type, "是" if field.required else "", note)
    out = console()
    out.print(shown)
    keys = "、".join(dataset.by_name[name].zh for name in dataset.key)
    out.print(f"没有“记录编号”列时，由这些字段确定一条记录 Without record_id a record is told by: {keys}")


@app.command()
def template(
    code: _Code,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="写入此文件。Write here.")] = None,
) -> None:
    """输出一个数据集的空白 CSV 表头（Excel 可直接打开）。An empty CSV with the header of a dataset.

    例 Example: zhida dataset template administrative_penalty -o 处罚.csv
    """
    from schemas.catalog import Catalog

    dataset = dataset_or_usage_error(Catalog.load(), code)
    titles = ["记录编号", *(field.zh for field in dataset.business_fields)]
    if output is None:
        csv.writer(sys.stdout, lineterminator="\n").writerow(titles)
        return
    with output.open("x", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerow(titles)
