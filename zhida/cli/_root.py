"""The root command: finds the modules of ``zhida.cli`` without importing them."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

PACKAGE = "zhida.cli"
EPILOG = (
    "例 Example: [bold]zhida report administrative_penalty 处罚.csv --unit 11320100010564360Y[/bold]\n\n"
    "出错时加 --debug 显示调用栈。Add --debug to see the traceback of an error."
)


@dataclass(frozen=True, slots=True)
class Found:
    """A command module, known from its source alone."""

    name: str
    help: str
    is_noun: bool


def discover(folder: Path) -> list[Found]:
    """The command modules in *folder*, in order of name; files that start with ``_`` are helpers."""
    found = []
    for path in sorted(folder.glob("[!_]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        names = {name.id for node in tree.body for name in _targets(node)}
        if "app" in names or "command" in functions:
            first_line = (ast.get_docstring(tree) or "").partition("\n")[0]
            found.append(Found(path.stem, first_line, "app" in names))
    return found


def _targets(node: ast.stmt) -> list[ast.Name]:
    if isinstance(node, ast.Assign):
        return [target for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target]
    return []


def load(found: Found) -> Any:
    """Import the module and return its click command."""
    module = importlib.import_module(f"{PACKAGE}.{found.name}")
    if found.is_noun:
        app = module.app
        if app.registered_callback is None:
            # With a callback even a noun with one verb is called with it: `zhida subject show`, not `zhida subject`.
            app.callback(help=found.help, no_args_is_help=True)(_nothing)
        app._add_completion = False
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name=found.name)(module.command)
    command = typer.main.get_command(app)
    command.name = found.name
    return command


def _nothing() -> None:
    pass


class LazyGroup(TyperGroup):
    """A group whose commands are stubs with a help line until one of them is called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._found = {found.name: found for found in discover(Path(__file__).parent)}
        for found in self._found.values():
            self.add_command(TyperCommand(found.name, short_help=found.help, add_help_option=False))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stub of the command that is called by the real one."""
        found = self._found.get(args[0])
        if found is not None:
            self.add_command(load(found))
        return super().resolve_command(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"zhida {version('zhida')}")
        raise typer.Exit


def build_root() -> Any:
    """The click command of ``zhida`` itself."""
    root = typer.Typer(
        cls=LazyGroup,
        name="zhida",
        no_args_is_help=True,
        rich_markup_mode="rich",
        # Expected errors are printed by zhida.cli.main, without a traceback.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EPILOG,
    )

    @root.callback()
    def _root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="显示版本。Show the version."
        ),
    ) -> None:
        """Zhida 直达：公共信用数据直报、即时反馈、实时治理与查询。

        Public-credit records reported straight to one place, judged in milliseconds, and queried.
        """

    return typer.main.get_command(root)
