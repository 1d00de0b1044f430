"""Files and folders that nobody reads: a dataset in the wrong place or with the wrong ending is silently not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.documents import Problem

#: Folder of a catalog → how deep its YAML files lie below it.
_DEPTH = {"datasets": 1, "extensions": 2, "assignments": 1}


def stray_files(folder: Path) -> Iterator[Problem]:
    """Files below the catalog's folders that are not read, and names that are one where case does not count."""
    if not (folder / "datasets").is_dir():
        yield Problem(str(folder), 1, "没有 datasets 文件夹", "there is no folder datasets")
    for name, depth in _DEPTH.items():
        seen: dict[str, Path] = {}
        for path in sorted((folder / name).rglob("*")):
            if path.is_dir() or _hidden(path, folder):
                continue
            levels = len(path.relative_to(folder / name).parts)
            if path.suffix != ".yaml":
                zh, en = "文件不会被读取：文件名应以 .yaml 结尾", "this file is not read: its name must end in .yaml"
                yield Problem(str(path), 1, zh, en, "error" if path.suffix.lower() in (".yaml", ".yml") else "warning")
            elif levels != depth:
                where = "extensions/<地区编码>/" if name == "extensions" else f"{name}/"
                yield Problem(
                    str(path), 1, f"文件不会被读取：应放在 {where} 下", f"this file is not read: it belongs in {where}"
                )
            other = seen.setdefault(str(path).lower(), path)
            if other is not path:
                zh = f"文件名与 {other.name} 只有大小写不同"
                yield Problem(str(path), 1, zh, f"the name differs from {other.name} in case alone")


def _hidden(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return any(part.startswith((".", "__")) or part.endswith("~") for part in parts) or path.suffix in (".py", ".md")
