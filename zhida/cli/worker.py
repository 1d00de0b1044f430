"""工作进程：运行一个或多个角色。Worker processes: run one or more roles."""

from __future__ import annotations

from typing import Annotated

import typer

from zhida.cli._wiring import load_settings
from zhida.logging import configure

app = typer.Typer()


@app.command()
def run(
    roles: Annotated[list[str], typer.Argument(help="govern、registry、api、sink-clickhouse、sink-redis …")],
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error")] = "info",
) -> None:
    """在一个进程中运行角色，直到收到停止信号。Run roles in this process until told to stop.

    例 Examples: zhida worker run govern; zhida worker run registry sink-clickhouse sink-redis api

    退出码 Exit codes: 0 按要求停止 stopped as asked; 1 某个角色无法继续 a role could not go on.
    """
    configure(json=True, level=log_level)
    from zhida.worker import run_worker

    raise typer.Exit(run_worker(load_settings(), roles))


@app.command()
def roles() -> None:
    """列出本安装的全部角色。List the roles of this installation.

    例 Example: zhida worker roles
    """
    from zhida.roles import role_names

    for name in role_names():
        typer.echo(name)
