"""本机引擎：Kafka、Redis、ClickHouse 的启停。The local stack: broker, Redis and ClickHouse on this machine."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import load_settings
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zhida.stack import RunningStack
    from zhida.stack.status import ServiceStatus
    from zhida.stack_state import StackState

app = typer.Typer()

#: Seconds between looks at the engines while they run in the foreground.
_LOOK_SECONDS = 0.3
_CONDITIONS = {
    "ok": ("正常 ok", "green"),
    "in-process": ("进程内 in process", "green"),
    "silent": ("无响应 silent", "yellow"),
    "crashed": ("已崩溃 crashed", "red"),
}


@app.command()
def up(
    real: Annotated[bool, typer.Option("--real", help="Apache Kafka 4、ClickHouse 服务端、Redis。")] = False,
    brokers: Annotated[int, typer.Option(help="Kafka 节点数：1 或 3（需 --real）。1 or 3 nodes, 3 with --real.")] = 1,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="启动后返回。Return when all answer.")] = False,
) -> None:
    """启动本机引擎，直到 Ctrl-C。Start broker, Redis and ClickHouse and keep them until Ctrl-C.

    默认为内嵌方式（Tansu、Redis、进程内 ClickHouse），消息只在内存中。The default keeps Kafka records in memory only.
    --real 的数据在停止后保留，需要 Java 17、Maven 和 npm。With --real everything survives down and up; it needs
    Java 17, Maven and npm; downloads are cached and checked by hash.

    例 Examples: zhida stack up; zhida stack up --real --brokers 3 --detach

    退出码 Exit codes: 0 正常结束 stopped as asked; 1 启动失败或崩溃 start failed or an engine crashed; 2 用法 usage;
    130 启动中取消 cancelled while starting.
    """
    from zhida.stack import StartInterrupted, start_stack
    from zhida.stack.signals import stop_signals

    if brokers not in {1, 3} or (brokers == 3 and not real):
        raise UserError(
            f"--brokers {brokers} 不可用",
            f"--brokers {brokers} is not possible here",
            "--brokers 1，或 or --real --brokers 3",
            ExitCode.USAGE,
        )
    out = console(stderr=True)

    def say(line: str) -> None:
        out.print(line, soft_wrap=True)

    with stop_signals() as stop_asked:
        try:
            stack = start_stack(load_settings(), real=real, brokers=brokers, report=say, interrupted=stop_asked)
        except StartInterrupted:
            out.print("已取消，没有留下任何进程。Cancelled; nothing is left running.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        for service in stack.services:
            if service.note:
                out.print(f"{service.name}: {service.note}", style="yellow", soft_wrap=True)
        if detach:
            stack.detach()
            out.print("引擎在后台运行；停止：zhida stack down。Running; stop with: zhida stack down")
            return
        out.print("引擎已就绪，按 Ctrl-C 停止。Ready; Ctrl-C stops everything.")
        _keep(stack, stop_asked)
    out.print("已停止，没有留下任何进程。Stopped; nothing is left running.")


@app.command()
def down() -> None:
    """停止本目录的引擎，无论由谁启动。Stop the stack of this data folder, whoever started it.

    例 Example: zhida stack down

    退出码 Exit codes: 0 已停止或本来就没有运行 stopped, or nothing was running.
    """
    from zhida.stack import stop_stack

    settings = load_settings()
    out = console(stderr=True)
    if stop_stack(settings, out.print):
        out.print("已停止，没有留下任何进程。Stopped; nothing is left running.")
    else:
        out.print(f"{settings.data_dir} 没有运行中的引擎。No stack is running there.")


@app.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。One JSON object.")] = False,
) -> None:
    """显示每个引擎的地址、进程与状态；崩溃者附日志末行。Address, process and condition of every engine.

    例 Example: zhida stack status --json

    退出码 Exit codes: 0 全部正常 all answer; 3 有引擎崩溃或无响应 one crashed or is silent; 4 没有运行 no stack.
    """
    from zhida.stack import find_stack
    from zhida.stack.status import look

    settings = load_settings()
    state = find_stack(settings)
    if state is None or not state.alive():
        if json:
            print_json({"running": False, "data_dir": settings.data_dir})
        else:
            console().print(f"{settings.data_dir} 没有运行中的引擎；启动：zhida stack up。No stack is running there.")
        raise typer.Exit(ExitCode.NOT_FOUND)
    found = list(look(state, settings.updated(state.settings)))
    if json:
        print_json(_as_json(state, found))
    else:
        _show(found)
    if any(one.condition in {"crashed", "silent"} for one in found):
        raise typer.Exit(ExitCode.UNREACHABLE)


def _keep(stack: RunningStack, stop_asked: Callable[[], bool]) -> None:
    """Watch the engines until somebody, here or elsewhere, asks to stop; raises ServiceCrashed when one crashes."""
    from zhida.stack import StoppedElsewhere

    with stack, contextlib.suppress(StoppedElsewhere):
        while not stop_asked():
            stack.check()
            time.sleep(_LOOK_SECONDS)


def _as_json(state: StackState, found: list[ServiceStatus]) -> dict[str, Any]:
    services = [
        {
            "name": one.service.name,
            "kind": one.service.kind,
            "address": one.service.address,
            "pid": one.service.pid,
            "log": one.service.log,
            "condition": one.condition,
            "note": one.service.note,
        }
        for one in found
    ]
    known = {"real": state.real, "brokers": state.brokers, "ready": state.ready, "started": state.started}
    return {"running": True, **known, "services": services}


def _show(found: list[ServiceStatus]) -> None:
    out = console()
    shown = table("引擎 engine", "类型 kind", "地址 address", ">进程 pid", "状态 condition")
    for one in found:
        text, colour = _CONDITIONS[one.condition]
        pid = str(one.service.pid or "-")
        shown.add_row(one.service.name, one.service.kind, one.service.address, pid, text, style=colour)
    out.print(shown)
    for one in found:
        if one.log_tail:
            out.print(f"{one.service.name}: {one.service.log}\n{one.log_tail}")


if __name__ == "__main__":
    app()
