"""Reading rule files: YAML to validated rules, every fault with file and line, all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rules.errors import RuleError
from rules.model import LibraryFile, Rule, RuleFile, said
from schemas.catalog import Catalog, Dataset

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Source:
    """One YAML file: its data, and the line of each place in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8")
        try:
            loader = _Loader(text)
            try:
                self._root: yaml.Node | None = loader.get_single_node()
                doubled = [] if self._root is None else list(_doubled_keys(self._root))
                self.data: Any = None if self._root is None else loader.construct_document(self._root)
            finally:
                loader.dispose()
        except (yaml.YAMLError, ValueError) as error:  # ValueError: such as the date 2026-02-30
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise RuleError([f"{path}:{line}: not usable YAML: {getattr(error, 'problem', None) or error}"]) from error
        if doubled:
            raise RuleError([f"{path}:{node.start_mark.line + 1}: key {node.value!r} twice" for node in doubled])

    def problem(self, location: Location, message: str) -> str:
        """``file:line: message`` for the deepest part of *location* that the file has."""
        return f"{self.path}:{self.line(location)}: {message}"

    def line(self, location: Location) -> int:
        """The line of *location* (keys and list positions), or of its nearest parent."""
        node, line = self._root, 1
        for step in location:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == str(step)), None)
                if pair is None:
                    break
                node, line = pair[1], pair[0].start_mark.line + 1
            else:
                break
        return line

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


def _doubled_keys(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from _doubled_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled_keys(item)


LIBRARY_FILE = "_library.yaml"


def read_library(catalog: Catalog, folder: Path) -> tuple[LibraryFile, dict[str, tuple[Rule, ...]]]:
    """The library file and the resolved rules of each dataset; raises RuleError with every fault in every file."""
    problems: list[str] = []
    library_path = folder / LIBRARY_FILE
    if not library_path.is_file():
        raise RuleError([f"{library_path}:1: no such file; it holds the number of the rule set"])
    library = Source(library_path).validate(LibraryFile)
    rules: dict[str, tuple[Rule, ...]] = {}
    for path in sorted(folder.glob("[!_]*.yaml")):
        try:
            if path.stem not in catalog:
                known = ", ".join(dataset.code for dataset in catalog)
                raise RuleError([f"{path}:1: no dataset {path.stem!r} in the catalog, which has: {known}"])
            rules[path.stem] = read_rules(path, catalog[path.stem])
        except RuleError as error:
            problems.extend(error.problems)
    if problems:
        raise RuleError(problems)
    return library, rules


def read_rules(path: Path, dataset: Dataset) -> tuple[Rule, ...]:
    """The rules of one file, verified against *dataset*; raises RuleError with every fault in the file."""
    source = Source(path)
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
            resolved.append(rule.resolve(dataset))
        except ValueError as error:
            problems.append(source.problem(("rules", index), f"{rule.id}: {error}"))
    if problems:
        raise RuleError(problems)
    return tuple(resolved)
