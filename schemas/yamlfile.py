"""YAML files that people edit: data with the line of every place in it, so that an error can say where.

Every fault of a file is collected and told at once, as ``file:line: what is wrong``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
#: Keys and list positions from the top of the file down to a place in it.
Location = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class FileProblems(Exception):  # noqa: N818 - it is what it holds
    """Files cannot be used. ``problems`` has one entry a fault, each ``file:line: what is wrong``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def suggest(word: str, known: Iterable[str], most: int = 40) -> str:
    """``; did you mean 'x'?`` for the nearest known word, else the known words where there are at most *most*."""
    known = sorted(known)
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; known: {', '.join(known)}" if len(known) <= most else ""


class YamlFile:
    """One YAML file: its data, and the line of each place in it."""

    def __init__(self, path: Path, text: str | None = None, error: type[FileProblems] = FileProblems) -> None:
        """Read *path*, or *text* in its name; raises *error* where it is no YAML or has a key twice."""
        self.path = path
        self._error = error
        text = path.read_text(encoding="utf-8") if text is None else text
        try:
            loader = _Loader(text)
            try:
                self._root: yaml.Node | None = loader.get_single_node()
                doubled = [] if self._root is None else list(_doubled_keys(self._root))
                self.data: Any = None if self._root is None else loader.construct_document(self._root)
            finally:
                loader.dispose()
        except (yaml.YAMLError, ValueError) as fault:  # ValueError: such as the date 2026-02-30
            mark = getattr(fault, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise error([f"{path}:{line}: not usable YAML: {getattr(fault, 'problem', None) or fault}"]) from fault
        if doubled:
            raise error([f"{path}:{node.start_mark.line + 1}: key {node.value!r} twice" for node in doubled])

    def problem(self, location: Location, message: str) -> str:
        """``file:line: message`` for the deepest part of *location* that the file has."""
        return f"{self.path}:{self.line(location)}: {message}"

    def line(self, location: Location) -> int:
        """The line of *location*, or of its nearest parent."""
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

    def validate(self, model: type[Model], unsaid: Iterable[str] = ()) -> Model:
        """The data as *model*; raises the error class given. Keys in *unsaid* are left out of what is told."""
        try:
            return model.model_validate(self.data)
        except ValidationError as fault:
            problems = []
            for found in fault.errors():
                location = found["loc"]
                where = ".".join(str(step) for step in location if not isinstance(step, int) and step not in unsaid)
                message = found["msg"].removeprefix("Value error, ")
                if found["type"] == "extra_forbidden":
                    where = ""
                    message = f"unknown key {location[-1]!r}{suggest(str(location[-1]), keys_of(model))}"
                problems.append(self.problem(location, f"{where}: {message}".removeprefix(": ")))
            raise self._error(problems) from fault


def keys_of(model: type[BaseModel]) -> set[str]:
    """The keys that a file of *model* may have, at any depth."""
    keys: set[str] = set()
    for name, info in model.model_fields.items():
        keys.add(info.alias or name)
        for inner in _models_in(info.annotation):
            keys |= keys_of(inner)
    return keys


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


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
