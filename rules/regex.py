"""Regular expressions in the part of the language on which the engines of columns (Rust) and of rows agree."""

from __future__ import annotations

import re
import warnings

import polars as pl

#: Character classes by letter (\\d, \\w, \\s, \\b), groups with options and open lower bounds differ.
_DISAGREED = re.compile(r"\\[0-9A-Za-z]|\(\?(?!:)|\{,")
_ANCHORS = re.compile(r"(?<!\\)\$|(?<![\\\[])\^")
_ANCHOR_OR_OTHER = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[\^$]|.", re.DOTALL)


def without_anchors(pattern: str) -> str:
    """*pattern*, which is to match a whole text; raises ValueError when the engines may disagree on it."""
    if found := _DISAGREED.search(pattern) or _ANCHORS.search(pattern):
        raise ValueError(f"{found[0]!r} means different things to Python and to Rust; write a class such as [0-9]")
    _compile(pattern, rf"\A(?:{pattern})\z")
    return pattern


def with_anchors(pattern: str) -> str:
    """*pattern*, which is to be found in a text, for RE2 and Rust: ``^`` and ``$`` are the ends of the whole text.

    Raises ValueError when the engines may disagree on it.
    """
    if found := _DISAGREED.search(pattern):
        raise ValueError(f"{found[0]!r} means different things to different engines; write a class such as [0-9]")
    anchored = _ANCHOR_OR_OTHER.sub(lambda part: {"^": r"\A", "$": r"\z"}.get(part[0], part[0]), pattern)
    _compile(pattern, anchored)
    return anchored


def _compile(python: str, rust: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # set operations and nested classes: a warning here, a meaning in Rust
            re.compile(python)
        pl.Series([""]).str.contains(rust)
    except (re.error, FutureWarning, RecursionError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"not a usable regular expression: {error}") from error
