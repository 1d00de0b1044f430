"""YAML files that people write: their data, and the line of each place in it, so that every fault is told where it is.

Catalog, extensions, assignments and rules are all read through here. A fault is a :class:`Problem` with file, line and
a sentence in Chinese and in English; readers collect all of them instead of stopping at the first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
#: Keys and list positions, from the top of the file.
Location = tuple[str | int, ...]
Severity = Literal["error", "warning"]

MAX_BYTES = 2_000_000
#: The parser is C and recursive: what is nested more deeply would end the process.
MAX_DEPTH = 50
#: So many known words can be listed in one message.
_FEW_WORDS = 60
_BOM = b"\xef\xbb\xbf"
_DAY = re.compile(r"\b([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})\b")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault, or (``warning``) something that is allowed and most likely not meant."""

    file: str
    line: int
    zh: str
    en: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.zh} {self.en}".replace(":  ", ": ")

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class DocumentError(Exception):
    """Files cannot be used; ``problems`` has one entry a fault."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class FaultError(ValueError):
    """Raised by validators of models: the sentence in both languages, and where it is below the model's own place."""

    def __init__(self, zh: str, en: str, at: Location = ()) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en
        self.at = at


def decode(content: bytes, file: str) -> str:
    """Text of a file; raises DocumentError that says in which encoding it was saved instead of UTF-8."""
    if len(content) > MAX_BYTES:
        raise DocumentError([Problem(file, 1, f"文件超过 {MAX_BYTES} 字节", f"more than {MAX_BYTES} bytes")])
    try:
        return content.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DocumentError([_encoding_problem(content, file, line)]) from error


def has_bom(content: bytes) -> bool:
    """True where the file begins with the mark that Windows' editor puts there; it is read all the same."""
    return content.startswith(_BOM)


def _encoding_problem(content: bytes, file: str, line: int) -> Problem:
    name = ""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        name, line = "UTF-16", 1
    else:
        try:
            content.decode("gb18030")
            name = "GBK"
        except UnicodeDecodeError:
            pass
    zh, en = (f"（像是 {name}）", f" (it looks like {name})") if name else ("", "")
    return Problem(file, line, f"文件不是 UTF-8 编码{zh}，请另存为 UTF-8", f"not UTF-8{en}: save the file as UTF-8")


class Document:
    """One YAML file: its data, and the line of each place in it."""

    def __init__(self, text: str, file: str) -> None:
        """Raise DocumentError where *text* is not usable YAML or has a key twice; *file* is its name in messages."""
        self.file = file
        try:
            _check_depth(text)
            loader = _Loader(text)
            try:
                self._root: yaml.Node | None = loader.get_single_node()
                doubled = [] if self._root is None else list(_doubled_keys(self._root))
                self.data: Any = None if self._root is None else loader.construct_document(self._root)
            finally:
                loader.dispose()
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as the date 2026-02-30
            raise DocumentError([_syntax_problem(error, text, file)]) from error
        if doubled:
            raise DocumentError(
                Problem(file, node.start_mark.line + 1, f"键 {node.value!r} 出现两次", f"key {node.value!r} twice")
                for node in doubled
            )

    @classmethod
    def read(cls, path: Path) -> Document:
        """The document in a file; raises DocumentError."""
        return cls(decode(path.read_bytes(), str(path)), str(path))

    def problem(self, location: Location, zh: str, en: str, severity: Severity = "error") -> Problem:
        """A problem at the deepest part of *location* that the file has."""
        return Problem(self.file, self.line(location), zh, en, severity)

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

    def validate(self, model: type[Model]) -> Model:
        """The data as *model*; raises DocumentError with every fault that the model finds."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise DocumentError(self.faults(error, model)) from error

    def faults(self, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
        """What pydantic found, with lines, in both languages; unknown keys with the nearest one that *model* knows."""
        problems = []
        for fault in error.errors():
            zh, en, at = _said(fault, model)
            location = (*fault["loc"], *at)
            where = ".".join(str(step) for step in location if not isinstance(step, int))
            lead = f"{where}: " if where else ""
            problems.append(self.problem(location, f"{lead}{zh}", f"{lead}{en}"))
        return problems


def nearest(word: str, known: Iterable[str]) -> tuple[str, str]:
    """``（是否为 x？）`` and `` (did you mean 'x'?)`` for the nearest known word, else the few known ones."""
    known = sorted(known)
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if found:
        return f"（是否为 {found[0]}？）", f"; did you mean {found[0]!r}?"
    if len(known) > _FEW_WORDS:
        return "", ""
    return f"（可用：{'、'.join(known)}）", f"; known: {', '.join(known)}"


def _syntax_problem(error: Exception, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else _line_of_no_day(text)
    said = getattr(error, "problem", None) or str(error) or type(error).__name__
    zh, en = f"不是可用的 YAML：{said}", f"not usable YAML: {said}"
    at_fault = text.splitlines()[line - 1 : line]
    if "\t" in said or any("\t" in row[: len(row) - len(row.lstrip())] for row in at_fault):
        zh, en = f"{zh}（缩进请用空格，不要用制表符）", f"{en} (indent with blanks, not tabs)"
    return Problem(file, line, zh, en)


def _line_of_no_day(text: str) -> int:
    """The line of the first date that the calendar does not have: reading it fails without saying where."""
    for number, row in enumerate(text.splitlines(), start=1):
        for year, month, day in _DAY.findall(row):
            try:
                date(int(year), int(month), int(day))
            except ValueError:
                return number
    return 1


#: What pydantic's commoner faults are called in Chinese; ``{…}`` are its own parameters.
_CHINESE = {
    "missing": "缺少此项",
    "string_type": "应为文本（数字、日期、是否等请加引号）",
    "string_pattern_mismatch": "不符合格式 {pattern}",
    "string_too_short": "不能为空",
    "string_too_long": "超过 {max_length} 个字符",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "literal_error": "应为 {expected} 之一",
    "tuple_type": "应为列表，如 [甲, 乙]",
    "list_type": "应为列表，如 [甲, 乙]",
    "dict_type": "应为键值对",
    "mapping_type": "应为键值对",
    "model_type": "应为键值对",
    "model_attributes_type": "应为键值对",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "date_from_datetime_parsing": "应为日期，如 2026-01-31",
    "date_type": "应为日期，如 2026-01-31",
}


def _said(fault: Any, model: type[BaseModel]) -> tuple[str, str, Location]:
    context = fault.get("ctx", {})
    inner = context.get("error")
    if isinstance(inner, FaultError):
        return inner.zh, inner.en, inner.at
    if fault["type"] == "extra_forbidden":
        key = str(fault["loc"][-1])
        zh, en = nearest(key, _keys(model, fault["loc"][:-1]))
        return f"不认识的键 {key!r}{zh}", f"unknown key {key!r}{en}", ()
    en = fault["msg"].removeprefix("Value error, ")
    chinese = _CHINESE.get(fault["type"], "")
    return chinese.format(**context), en, ()


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that may stand at *location* of the data of *model*."""
    found: type[BaseModel] = model
    for step in location:
        if isinstance(step, str):
            field = next((f for name, f in found.model_fields.items() if step in (name, f.alias)), None)
            inner = None if field is None else _model_in(field.annotation)
            if inner is None:
                break
            found = inner
    return [field.alias or name for name, field in found.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, getattr(annotation, "__args__", ()))), None)


def _check_depth(text: str) -> None:
    """Raise ValueError where lists and mappings are nested too deeply; reads events, which needs no stack."""
    if len(text) < MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _doubled_keys(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Keys that stand twice in one mapping. Each node is looked at once, however often aliases lead to it."""
    seen_nodes: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        yield key
                    seen.add(key.value)
                todo.append(value)
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value
