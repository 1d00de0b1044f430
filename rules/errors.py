"""What is wrong with a rule library, said with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RuleError(Exception):
    """The library cannot be used. ``problems`` has one entry a fault, each ``file:line: what is wrong``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ParameterError(ValueError):
    """A parameter of a rule cannot be used; ``key`` is its name in the rule file."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known word, else the known words."""
    known = sorted(known)
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(known)}"
