"""How errors reach a person: expected ones as a sentence and a remedy, unexpected ones as what they are, a defect."""

from __future__ import annotations

import sys

from zhida.errors import ExitCode, UserError


def as_user_error(error: BaseException) -> UserError | None:
    """What other rooms raise when something expected goes wrong, as a UserError; None for a defect.

    Rooms cannot import ``zhida``, so their errors are translated here. Classes are looked up among the modules that are
    loaded: an error of a module that nobody imported cannot have been raised.
    """
    if isinstance(error, UserError):
        return error
    if _is(error, "connectors.base", "ConnectorError"):
        code = ExitCode.FAILED
        if _is(error, "connectors.base", "UnreachableError"):
            code = ExitCode.UNREACHABLE
        elif _is(error, "connectors.base", "UnknownNameError"):
            code = ExitCode.USAGE
        return UserError(error.message_zh, error.message_en, error.remedy, code)  # type: ignore[attr-defined]
    if _is(error, "schemas.catalog", "CatalogError"):
        return UserError(f"信息资源目录：{error}", f"catalog: {error}", "zhida catalog lint", ExitCode.USAGE)
    if _is(error, "zhida.settings", "SettingsError"):
        return UserError(f"设置有误：{error}", f"settings: {error}", "见 see docs/settings.md", ExitCode.USAGE)
    if _is(error, "zhida.stack.errors", "StackError"):
        return UserError(f"本地引擎：{error}", f"local stack: {error}", "zhida stack status")
    if _is(error, "schemas.registry.client", "RegistryUnavailable"):
        remedy = "zhida status 查看各部分是否在运行 shows what is running"
        return UserError(f"模式注册中心：{error}", f"schema registry: {error}", remedy, ExitCode.UNREACHABLE)
    if _is(error, "schemas.registry.client", "RegistryClientError"):
        return UserError(f"模式注册中心：{error}", f"schema registry: {error}")
    if _is(error, "schemas.announcements", "AnnouncementError") or _is(error, "confluent_kafka", "KafkaException"):
        remedy = "zhida status 查看各部分是否在运行 shows what is running"
        return UserError(f"Kafka：{error}", f"Kafka: {error}", remedy, ExitCode.UNREACHABLE)
    if _is(error, "sinks.base", "SinkUnavailable"):
        return UserError(f"存储：{error}", f"store: {error}", "zhida status", ExitCode.UNREACHABLE)
    if _is(error, "sinks.base", "SinkError"):
        return UserError(f"存储：{error}", f"store: {error}", "zhida status")
    if isinstance(error, FileNotFoundError):
        return UserError(f"找不到文件 {error.filename}", f"no such file: {error.filename}", "", ExitCode.NOT_FOUND)
    if isinstance(error, PermissionError):
        return UserError(f"没有权限访问 {error.filename}", f"permission denied: {error.filename}", "", ExitCode.DENIED)
    return None


def report_error(error: BaseException) -> int:
    """Print *error* to standard error and return the exit code."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    known = as_user_error(error)
    if known is None:
        console.print(f"[bold red]程序缺陷 Unexpected error[/]: {type(error).__name__}: {escape(str(error))}")
        console.print("请加 --debug 重试，并把输出反馈给我们。Run again with --debug and report the output.")
        return int(ExitCode.DEFECT)
    console.print(f"[bold red]错误[/] {escape(known.message_zh)}")
    console.print(f"[red]error[/] {escape(known.message_en)}")
    if known.remedy:
        console.print(f"[green]→[/] {escape(known.remedy)}")
    return known.exit_code


def _is(error: BaseException, module: str, name: str) -> bool:
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(error, found)
