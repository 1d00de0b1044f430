"""连接器：记录如何进来，反馈如何出去。How records come in and feedback goes out."""

from __future__ import annotations

from typing import Annotated

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import connector_wiring, load_settings
from zhida.errors import ExitCode, UserError

app = typer.Typer()


@app.command("list")
def list_connectors() -> None:
    """列出全部连接器及其选项。List all connectors and what can be set.

    例 Example: zhida connector list
    """
    from connectors.base import discover

    shown = table("连接器 connector", "方向", "选项 setting", "默认 default", "说明 description")
    for connector in discover().values():
        direction = {"in": "接入 in", "out": "送出 out"}[connector.direction]
        shown.add_row(connector.name, direction, "", "", f"{connector.zh}。{connector.en}")
        for name, field in connector.config.model_fields.items():
            default = "必填 required" if field.is_required() else str(field.default)
            shown.add_row("", "", name, default, field.description or "")
        shown.add_section()
    console().print(shown)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="连接器名称。Its name.")],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="选项=值，可重复。setting=value, repeatable.")
    ] = None,
) -> None:
    """运行一个连接器，每个事件输出一行 JSON。Run a connector; every event is one line of JSON.

    例 Example: zhida connector run feedback --set unit=11320100010564360Y --set timeout_seconds=5
    """
    from pydantic import ValidationError

    from connectors.base import discover

    found = discover()
    if name not in found:
        raise UserError(f"没有连接器 {name}", f"no connector {name}", "zhida connector list", ExitCode.USAGE)
    connector = found[name]
    values = dict(assignment.partition("=")[::2] for assignment in assignments or [])
    try:
        config = connector.config.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UserError(f"选项有误：{reasons}", f"wrong settings: {reasons}", "zhida connector list", 2) from error
    if not connector.run(config, connector_wiring(load_settings()), print_json):
        raise typer.Exit(ExitCode.FAILED)
