"""The command line: ``zhida <noun> <verb>``.

Every module of this package is found by itself: one with a typer ``app`` becomes ``zhida <module> …``, one with a
function ``command`` becomes the plain command ``zhida <module>``. The first line of its docstring is its line in
``zhida --help``. A module is imported only when its command runs: ``--help`` stays quick however heavy the others are.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from zhida.cli._errors import report_error
from zhida.cli._root import build_root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit the process with its code (see docs/cli.md for the codes).

    ``--debug`` anywhere before a ``--`` shows the traceback of an error.
    """
    # Modules, rules and batches are many small objects without cycles: looking for some after every 700 new ones is
    # work in vain, a seventh of the time that a command takes to start.
    gc.set_threshold(100_000, 20, 100)
    args = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = _split(args)
    debug = "--debug" in options
    options = [option for option in options if option != "--debug"]
    try:
        build_root()([*options, *rest], prog_name="zhida")
    except Exception as error:
        if debug:
            raise
        sys.exit(report_error(error))


def _split(args: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in args:
        return args, []
    at = args.index("--")
    return args[:at], args[at:]
