"""Reading rule files: YAML to validated rules, every fault with file and line, all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rules.document import LIBRARY_FILE
from rules.errors import ParameterError, RuleError
from rules.expr import ExpressionError
from rules.model import LibraryFile, Rule, RuleFile, said
from schemas.catalog import Catalog, Dataset
from schemas.documents import Document, DocumentError, Location, Model


class Source:
    """One rule file: its data, and the line of each place in it."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Read *path*, or *text* in its name."""
        self.path = path
        try:
            self._document = Document.read(path) if text is None else Document(text, str(path))
        except DocumentError as error:
            raise RuleError(f"{found.file}:{found.line}: {found.en}" for found in error.problems) from error
        self.data: Any = self._document.data

    def problem(self, location: Location, message: str) -> str:
        """``file:line: message`` for the deepest part of *location* that the file has."""
        return f"{self.path}:{self._document.line(location)}: {message}"

    def validate(self, model: type[Model]) -> Model:
        """The data as *model*; raises RuleError."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            problems = []
            for fault in error.errors():
                location = tuple(step for step in fault["loc"] if step != "check")
                where = ".".join(str(step) for step in location if not isinstance(step, int) and step != "rules")
                problems.append(self.problem(location, f"{where}: {said(fault['msg'])}".removeprefix(": ")))
            raise RuleError(problems) from error


def read_library(
    catalog: Catalog, folder: Path, texts: Mapping[str, str] | None = None
) -> tuple[LibraryFile, dict[str, tuple[Rule, ...]]]:
    """The library file and the resolved rules of each dataset; raises RuleError with every fault in every file.

    *texts* are the files by name, where they are not to be read from *folder*.
    """
    problems: list[str] = []
    found = (
        {path.name: None for path in sorted(folder.glob("*.yaml"))} if texts is None else dict(sorted(texts.items()))
    )
    if LIBRARY_FILE not in found:
        raise RuleError([f"{folder / LIBRARY_FILE}:1: no such file; it holds the number of the rule set"])
    library = Source(folder / LIBRARY_FILE, found[LIBRARY_FILE]).validate(LibraryFile)
    rules: dict[str, tuple[Rule, ...]] = {}
    for path, text in ((folder / name, text) for name, text in found.items() if not name.startswith("_")):
        try:
            if path.stem not in catalog:
                known = ", ".join(dataset.code for dataset in catalog)
                raise RuleError([f"{path}:1: no dataset {path.stem!r} in the catalog, which has: {known}"])
            rules[path.stem] = read_rules(path, catalog[path.stem], catalog, text)
        except RuleError as error:
            problems.extend(error.problems)
    if problems:
        raise RuleError(problems)
    return library, rules


def read_rules(path: Path, dataset: Dataset, catalog: Catalog, text: str | None = None) -> tuple[Rule, ...]:
    """The rules of one file, verified against *catalog*; raises RuleError with every fault in the file."""
    source = Source(path, text)
    file = source.validate(RuleFile)
    problems = []
    if file.dataset != dataset.code:
        problems.append(source.problem(("dataset",), f"dataset must be {dataset.code!r}, as the file's name says"))
    if not file.rules:
        problems.append(source.problem(("rules",), "no rules"))
    resolved: list[Rule] = []
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        if rule.id in seen:
            problems.append(source.problem(("rules", index, "id"), f"id {rule.id!r} is used twice"))
        seen.add(rule.id)
        try:
            resolved.append(rule.resolve(dataset, catalog))
        except ExpressionError as error:
            problems.append(source.problem(("rules", index, error.key), f"{rule.id}: {error.key}, {error}"))
        except ParameterError as error:
            problems.append(source.problem(("rules", index, error.key), f"{rule.id}: {error.key}: {error}"))
        except ValueError as error:
            problems.append(source.problem(("rules", index), f"{rule.id}: {error}"))
    if problems:
        raise RuleError(problems)
    return tuple(resolved)
