"""模式注册中心：启动服务、查看主题的模式。The schema registry: serve it, look into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import load_settings
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from schemas.registry.client import RegistryClient
    from schemas.registry.security import RegistryAuth
    from schemas.registry.server import RegistryServer, RegistryTls

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址，默认取设置。Default: the setting.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="端口；0 由系统选。0: any free one.")] = None,
    topic: Annotated[str, typer.Option(help="保存模式的压缩主题。The compacted topic that holds all.")] = "_schemas",
    auth_file: Annotated[Path | None, typer.Option(help="账号与令牌文件（YAML）。Users and tokens.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="证书（PEM）。Certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="私钥（PEM）。Private key.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="要求客户端证书由它签发。Demand client certs.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option(help="由前置代理认证，允许匿名。A proxy in front authenticates.")
    ] = False,
) -> None:
    """启动与 Confluent 协议兼容的模式注册中心，直到 Ctrl-C。Serve the Confluent protocol until Ctrl-C.

    可同时启动多个实例，共用一个主题。Any number of instances may share one topic.

    例 Example: zhida registry serve --host 0.0.0.0 --auth-file registry-users.yaml --tls-cert r.crt --tls-key r.key
    """
    from schemas.registry.errors import RegistryError
    from schemas.registry.server import create_registry

    settings = load_settings()
    address = host if host is not None else settings.registry_host
    number = port if port is not None else settings.registry_port
    try:
        server = create_registry(
            settings.kafka(),
            host=address,
            port=number,
            auth=_auth(auth_file),
            tls=_tls(tls_cert, tls_key, tls_client_ca),
            topic=topic,
            allow_anonymous=behind_proxy,
        )
    except ValueError as error:
        remedy = "--auth-file FILE；见 see docs/registry.md"
        raise UserError(f"不允许匿名访问 {address}", str(error), remedy, ExitCode.USAGE) from None
    try:
        _run(server)
    except RegistryError as error:
        remedy = "zhida status"
        raise UserError(
            f"无法读取模式主题：{error.message}", f"log: {error.message}", remedy, ExitCode.UNREACHABLE
        ) from None
    except OSError as error:
        raise UserError(
            f"无法监听 {address}:{number}：{error.strerror or error}",
            f"cannot listen on {address}:{number}: {error.strerror or error}",
            "用 --port 换一个端口 choose another with --port",
        ) from None


@app.command()
def subjects(
    prefix: Annotated[str, typer.Option(help="只列以此开头的。Only those that start so.")] = "",
    json: Annotated[bool, typer.Option("--json", help="每个一行 JSON。One JSON object a line.")] = False,
) -> None:
    """列出已登记的主题及最新版本。List subjects and their latest versions.

    例 Example: zhida registry subjects --prefix zhida.report.
    """
    with _client() as client:
        found = [client.latest(name) for name in client.subjects(prefix)]
    if json:
        for item in found:
            print_json({"subject": item.subject, "version": item.version, "id": item.id})
        return
    shown = table("主题 subject", ">版本 version", ">编号 id", "名称 name")
    for item in found:
        shown.add_row(item.subject, str(item.version), str(item.id), _name_of(item.schema))
    console().print(shown)


@app.command()
def show(
    subject: Annotated[str, typer.Argument(help="主题，或模式编号。A subject, or a schema id.")],
    json: Annotated[bool, typer.Option("--json", help="只输出模式的 JSON。The schema's JSON alone.")] = False,
) -> None:
    """显示一个主题的最新模式。Show a subject's latest schema.

    例 Example: zhida registry show zhida.report.legal_person-value
    """
    from schemas.registry.client import UnknownSchema, UnknownSubject

    try:
        with _client() as client:
            if subject.isascii() and subject.isdigit():
                title = "、".join(sorted(client.subjects_of(int(subject))))
                schema: Any = client.schema(int(subject))
            else:
                latest = client.latest(subject)
                title, schema = f"{subject}  版本 version {latest.version}  编号 id {latest.id}", latest.schema
    except (UnknownSchema, UnknownSubject):
        raise UserError(
            f"没有登记 {subject}", f"{subject} is not registered", "zhida registry subjects", ExitCode.NOT_FOUND
        ) from None
    if json or not isinstance(schema, dict) or "fields" not in schema:
        print_json(schema)
        return
    shown = table("字段 field", "类型 type", "说明 doc", title=title)
    for field in schema["fields"]:
        shown.add_row(field["name"], _type_of(field["type"]), field.get("doc", ""))
    console().print(shown)


def _client() -> RegistryClient:
    from schemas.registry.client import RegistryClient

    return RegistryClient(load_settings().registry())


def _auth(path: Path | None) -> RegistryAuth | None:
    from schemas.registry.security import AuthFileError, load_auth

    if path is None:
        return None
    try:
        return load_auth(path)
    except AuthFileError as error:
        raise UserError(
            f"账号文件有误：{error}", f"auth file: {error}", "见 see docs/registry.md", ExitCode.USAGE
        ) from None


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> RegistryTls | None:
    from schemas.registry.server import RegistryTls

    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise UserError(
            "TLS 需要证书和私钥",
            "TLS needs a certificate and its key",
            "--tls-cert FILE --tls-key FILE",
            ExitCode.USAGE,
        )
    return RegistryTls(cert, key, client_ca)


def _run(server: RegistryServer) -> None:
    import asyncio
    import signal

    import uvloop

    async def until_stopped() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await server.start()
            console().print(f"模式注册中心 schema registry: {server.url}", soft_wrap=True)
            await stop.wait()
        finally:
            await server.stop()

    uvloop.run(until_stopped())


def _name_of(schema: Any) -> str:
    return str(schema.get("name", schema.get("type"))) if isinstance(schema, dict) else str(schema)


def _type_of(kind: Any) -> str:
    if isinstance(kind, list):
        return " | ".join(_type_of(item) for item in kind)
    if isinstance(kind, dict):
        return str(kind.get("logicalType") or kind.get("name") or kind.get("type"))
    return str(kind)
