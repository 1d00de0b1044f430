"""Writes ``docs/settings.md`` from the class: ``python -m zhida.settings_docs > docs/settings.md``."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from zhida.settings import all_variables

_HEAD = """# Settings 设置

Generated from `zhida/settings.py` by `python -m zhida.settings_docs > docs/settings.md`; a test keeps it in step.

Each setting is an environment variable. The same name in lower case and without `ZHIDA_` may stand in `zhida.toml`
(or the file that `ZHIDA_CONFIG` names); `zhida.env` takes the variables as they are. The first of these that names a
setting wins: environment, `zhida.env`, `zhida.toml`, the running local stack of `ZHIDA_DATA_DIR`, default.

每项设置都是一个环境变量，也可写在 `zhida.toml`（小写、去掉 `ZHIDA_` 前缀）或 `zhida.env` 中；
优先次序：环境变量、`zhida.env`、`zhida.toml`、本机正在运行的引擎、默认值。

A secret may come from a file instead (`…_FILE`), as containers have it; it never appears in logs or error messages.
In `zhida.toml`, name the files: `pii_key_file`, `api_token_file`.
"""
_SECTIONS = {
    "ZHIDA_PROFILE": "The whole 总体",
    "ZHIDA_CATALOG_DIR": "Catalog and rules 目录与规则",
    "ZHIDA_KAFKA_BOOTSTRAP": "Kafka",
    "ZHIDA_REDIS_URL": "Redis",
    "ZHIDA_CLICKHOUSE_HOST": "ClickHouse",
    "ZHIDA_REGISTRY_URL": "Schema registry 模式注册中心",
    "ZHIDA_API_HOST": "API and secrets 接口与密钥",
    "ZHIDA_PARTITIONS": "Topics 主题",
    "ZHIDA_GOVERN_WORKERS": "Govern 治理",
}


def settings_page() -> str:
    """The whole of ``docs/settings.md``."""
    lines = [_HEAD]
    for variable, info in all_variables().items():
        if variable in _SECTIONS:
            lines += [f"## {_SECTIONS[variable]}", "", "| variable 变量 | default 默认 | allowed 取值 | meaning 含义 |"]
            lines.append("|---|---|---|---|")
        row = f"| `{variable}` | {_default(info)} | {_allowed(info)} | {info.title}。{info.description} |"
        lines.append(row)
        if _next_is_section(variable):
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _next_is_section(variable: str) -> bool:
    names = list(all_variables())
    place = names.index(variable) + 1
    return place < len(names) and names[place] in _SECTIONS


def _default(info: FieldInfo) -> str:
    value = info.default
    if value is None or value == "":
        return "—"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(info: FieldInfo) -> str:
    kind = _bare(info.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    limits = [*info.metadata, *_annotated_limits(info.annotation)]
    low = next((limit.ge for limit in limits if isinstance(limit, annotated_types.Ge)), None)
    high = next((limit.le for limit in limits if isinstance(limit, annotated_types.Le)), None)
    names: dict[Any, str] = {bool: "`true`, `false`", Path: "path", SecretStr: "secret", str: "text"}
    if low is not None and high is not None:
        return f"{low} – {high}"
    return names.get(kind, str(getattr(kind, "__name__", kind)))


def _bare(annotation: Any) -> Any:
    """The annotation without ``| None`` and ``Annotated``."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _annotated_limits(annotation: Any) -> list[Any]:
    """Limits inside ``Annotated[…] | None``, which pydantic leaves in the annotation."""
    found: list[Any] = []
    for part in get_args(annotation):
        for extra in getattr(part, "__metadata__", ()):
            found += getattr(extra, "metadata", [extra])
    return found


if __name__ == "__main__":
    sys.stdout.write(settings_page())
