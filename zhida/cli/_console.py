"""How results reach a person (tables) and a program (one JSON object a line)."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Verdict → (Chinese, English, colour).
VERDICTS: dict[str, tuple[str, str, str]] = {
    "accepted": ("通过", "accepted", "green"),
    "suspect": ("疑问", "suspect", "yellow"),
    "rejected": ("退回", "rejected", "red"),
    "quarantined": ("隔离", "quarantined", "magenta"),
}


def console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is: no markup in data, no guessed colours."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table; a column that starts with ``>`` is right-aligned."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title, box=SIMPLE_HEAD, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return made


def print_json(value: Any) -> None:
    """One JSON object on one line of standard output, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain) + "\n")
    sys.stdout.flush()


def verdict_text(verdict: str) -> tuple[str, str]:
    """``("退回 rejected", "red")``."""
    zh, en, colour = VERDICTS.get(verdict, ("", verdict, "white"))
    return f"{zh} {en}".strip(), colour


def local_time(milliseconds: int) -> str:
    """Milliseconds since the epoch as the local date and time, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03}"


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
