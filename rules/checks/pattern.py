"""The whole text matches a regular expression of the part of the language on which Python and Rust agree."""

from __future__ import annotations

import re

import polars as pl
from pydantic import field_validator

from rules.cel import Said, comparable, matches
from rules.checks.base import Check, JudgeContext, RowNames, Screen
from rules.regex import without_anchors
from schemas.catalog import Dataset, DatasetField


class Pattern(Check):
    """``pattern``: what the whole value must match; write ``[0-9]`` rather than ``\\d``."""

    pattern: str

    @field_validator("pattern")
    @classmethod
    def _both_engines_agree(cls, pattern: str) -> str:
        return without_anchors(pattern)

    def screen(self, field: DatasetField, context: JudgeContext) -> Screen:
        """No match of the whole value."""
        return ~pl.col(field.name).str.contains(_anchored(self.pattern))

    def row(self, field: DatasetField, names: RowNames) -> str:
        """No match of the whole value."""
        return f"{names.bind(re.compile(self.pattern).fullmatch)}({names.local(field.name)}) is None"

    def cel(self, field: DatasetField, dataset: Dataset) -> Said | None:
        """The whole value matches."""
        said = matches(field, self.pattern)
        return None if said is None else Said(said, guard=comparable(field))


def _anchored(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"
