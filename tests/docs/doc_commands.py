"""The commands in the documentation: every line of every fenced ``sh`` block.

A block's info string says how it is run: ``sh`` anywhere, at once; ``sh platform`` against a running platform;
``sh long`` not at all, because it runs until Ctrl-C, takes minutes or asks for input (that its command exists is
checked). ``exit=1`` or ``exit=0,4`` names the codes with which the block's commands may end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_BLOCK = re.compile(r"^```sh([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class DocCommand:
    """One command: where it stands, how it is run, and how it may end."""

    page: str
    line: int
    text: str
    needs: str  # "", "platform" or "long"
    exit_codes: frozenset[int]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def commands() -> list[DocCommand]:
    """Every command, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            words = block[1].split()
            codes = next((word.removeprefix("exit=") for word in words if word.startswith("exit=")), "0")
            needs = next((word for word in words if word in ("platform", "long")), "")
            first = text.count("\n", 0, block.start(2)) + 1
            found += [
                DocCommand(
                    str(page.relative_to(ROOT)), first + number, line, needs, frozenset(map(int, codes.split(",")))
                )
                for number, line in enumerate(block[2].splitlines())
                if line.strip() and not line.startswith("#")
            ]
    return found


def needing(needs: str) -> list[DocCommand]:
    """The commands of one kind, in the order of their pages; what stands on several pages alike is run once."""
    found: dict[tuple[str, frozenset[int]], DocCommand] = {}
    for command in commands():
        if command.needs == needs:
            found.setdefault((command.text, command.exit_codes), command)
    return list(found.values())
