"""样例省：生成、查看与报送样例数据。A sample province with known right answers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from zhida.cli._console import console, print_json, table, verdict_text
from zhida.cli._wiring import load_settings, load_units, today_in_china
from zhida.errors import ExitCode, UserError

app = typer.Typer()
_FOLDER_HELP = "样例所在的文件夹。Folder of the sample."
_TRAITS = {
    "report": "首次报送 first report",
    "correction": "更正 correction",
    "moved": "更正主体 about another subject now",
    "late": "迟到的旧版本 older version, late",
    "deleted": "撤回 withdrawal",
    "duplicate": "重复 sent again",
    "unreadable": "无法解析 unreadable",
}


@app.command()
def generate(
    out: Annotated[Path, typer.Option("--out", "-o", help="写入的文件夹。Folder to write to.")],
    records: Annotated[int, typer.Option("--records", "-n", min=1, help="消息数。Messages.")] = 100_000,
    seed: Annotated[int, typer.Option(help="随机种子；相同则数据相同。The same seed, the same data.")] = 1,
    faults: Annotated[str, typer.Option(help="各类错误的比例，如 rejected=0.1,deletes=0.05。Shares of faults.")] = "",
    today: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="以此为今天。The day to take for today.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")] = False,
) -> None:
    """生成样例数据及其标准答案。Make sample messages and their right answers.

    例 Example: zhida sample generate --records 10000 --seed 7 --out 样例 --faults rejected=0.1,suspect=0.05
    """
    from schemas.assignments import Assignments
    from schemas.catalog import Catalog
    from schemas.units import Regions
    from zhida.sample.files import made_with, shares_from_text, write_sample
    from zhida.sample.generate import generate as make

    shares = shares_from_text(faults)
    catalog, units, regions = Catalog.load(), load_units(), Regions.load()
    assignments = Assignments.load(catalog, units, regions)
    day = today.date() if today else today_in_china()
    try:
        messages = make(seed, records, catalog, units, regions, assignments, day, shares)
    except ValueError as error:
        raise UserError(f"比例过大：{error}", str(error), "--faults …", ExitCode.USAGE) from error
    summary = write_sample(out, messages, catalog, load_settings().pii_key(), made_with(seed, records, day, shares))
    _print(summary, json)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help=_FOLDER_HELP)],
    rules: Annotated[bool, typer.Option("--rules", help="列出每条规则。Every rule.")] = False,
    json: Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")] = False,
) -> None:
    """显示样例的构成。What a sample is made of.

    例 Example: zhida sample show 样例
    """
    from zhida.sample.files import read_summary

    _print(read_summary(folder), json, rules)


@app.command()
def send(
    folder: Annotated[Path, typer.Argument(help=_FOLDER_HELP)],
    rate: Annotated[float | None, typer.Option(min=0.1, help="每秒条数，缺省为全速。Messages a second.")] = None,
    json: Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")] = False,
) -> None:
    """把生成好的样例报送到平台。Send a generated sample to the platform.

    每条消息的位置写入文件夹中的 placements.parquet。Where each message went is written to placements.parquet.

    例 Example: zhida sample send 样例 --rate 2000
    """
    from schemas.catalog import Catalog
    from schemas.registry.client import RegistryClient
    from zhida.sample.files import read_messages
    from zhida.sample.report import SampleReporter

    settings = load_settings()
    catalog = Catalog.load()
    registry = RegistryClient(settings.registry())
    ids = {dataset.code: registry.register(dataset.subject_name, dataset.avro_schema) for dataset in catalog}
    limit = settings.max_message_bytes
    placements = SampleReporter(settings.kafka(), catalog, ids, rate=rate, max_bytes=limit).run(read_messages(folder))
    placements.write_parquet(folder / "placements.parquet")
    if json:
        print_json({"sent": placements.height})
    else:
        console().print(f"已报送 {placements.height} 条。Sent {placements.height} messages.")


def _print(summary: dict[str, Any], as_json: bool, rules: bool = False) -> None:
    if as_json:
        print_json(summary)
        return
    from schemas.catalog import Catalog

    catalog = Catalog.load()
    out = console()
    made = summary["made_with"]
    out.print(
        f"{summary['messages']} 条消息，{summary['units']} 个单位，{summary['subjects']} 个主体；"
        f"种子 seed {made['seed']}，日期 today {made['today']}"
    )
    verdicts = ("accepted", "suspect", "rejected", "quarantined")
    by_dataset = table(
        "数据集 Dataset", *(f">{verdict_text(verdict)[0]}" for verdict in verdicts), ">最终在库 In store"
    )
    for dataset, counts in summary["datasets"].items():
        numbers = [str(counts.get(verdict, 0)) for verdict in verdicts]
        label = catalog[dataset].zh if dataset in catalog else dataset
        by_dataset.add_row(label, *numbers, str(summary["standing"][dataset]))
    out.print(by_dataset)
    traits = table("消息 Message", ">条数 Count")
    for trait, count in summary["traits"].items():
        traits.add_row(_TRAITS.get(trait, trait), str(count))
    out.print(traits)
    faults = table("错误 Fault", ">条数 Count")
    for name, count in summary["rules" if rules else "kinds"].items():
        faults.add_row(name, str(count))
    out.print(faults)
