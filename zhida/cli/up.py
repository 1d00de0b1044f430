"""启动平台（引擎与服务，不含示例数据）。Start the platform: engines and services, no sample data."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer

from zhida.cli._console import console
from zhida.cli._wiring import load_settings
from zhida.errors import ExitCode

_LOOK_SECONDS = 0.3


def command(
    real: Annotated[bool, typer.Option("--real", help="Apache Kafka 4、ClickHouse 服务端、Redis。")] = False,
    brokers: Annotated[int, typer.Option(help="Kafka 节点数：1 或 3（需 --real）。1 or 3 nodes.")] = 1,
    workers: Annotated[int | None, typer.Option(help="治理进程数。Govern processes.")] = None,
) -> None:
    """启动引擎、注册中心、治理、入库、查询与看板，直到 Ctrl-C。Everything but data, until Ctrl-C.

    例 Examples: zhida up; zhida up --real --workers 2

    退出码 Exit codes: 0 正常结束 stopped as asked; 1 启动失败或引擎崩溃 start failed or an engine crashed;
    130 启动中取消 cancelled while starting.
    """
    from zhida.platform import start_platform
    from zhida.stack import StartInterrupted, StoppedElsewhere
    from zhida.stack.signals import stop_signals

    out = console(stderr=True)

    def say(line: str) -> None:
        out.print(line, soft_wrap=True)

    with stop_signals() as stop_asked:
        try:
            platform = start_platform(
                load_settings(), real=real, brokers=brokers, workers=workers, report=say, interrupted=stop_asked
            )
        except StartInterrupted:
            out.print("已取消，没有留下任何进程。Cancelled; nothing is left running.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        with platform:
            settings = platform.settings
            settings.api_token()
            # The token itself does not belong in a log that somebody keeps of this output.
            say(f"看板 Live page: {settings.api_url}/live")
            say(f"登录令牌 Token to sign in with: {settings.data_dir / 'secrets' / 'api.token'}")
            say(f"模式注册中心 Schema registry: {settings.registry().url}")
            say("平台已就绪，按 Ctrl-C 停止。Ready; Ctrl-C stops everything.")
            with contextlib.suppress(StoppedElsewhere):
                while not stop_asked():
                    platform.watch()
                    time.sleep(_LOOK_SECONDS)
    say("已停止，没有留下任何进程。Stopped; nothing is left running.")
