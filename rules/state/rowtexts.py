"""Python code that makes the texts of single records, made from what is wanted of them: half the cost of asking a plan.

``rules.state.texts`` makes the same texts of columns; a property test holds both together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any

import xxhash

from rules.state.normal import SURELY_SHORT, bounded, is_normal, loose
from rules.state.wanted import IDENTITY, OFFSET, ORDER, SEPARATOR, Key, Value, Wanted
from schemas.catalog import Dataset
from schemas.ordering import order_text
from schemas.types import DECIMAL_SCALE

#: Records, the offsets of their messages and the day in; what is wanted out, a column each.
RowTexts = Callable[[Sequence[Mapping[str, Any]], Sequence[int], date], list[tuple[str, ...]]]
#: Values of fields and the day in; true where a record is in the index.
Holds = Callable[[Sequence[Any], date], bool | None]

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_HEAD = ("unit", "record_id", "version", "deleted")
_TEMPLATE = """\
def texts(records, offsets, today):
    rows = []
    for record, offset in zip(records, offsets, strict=True):
        {read} = fields(record)
        identity = f"{{unit or ''}}|{{record_id or ''}}"
        if len(identity) > {short}: identity = bounded(identity)
        order = order_text(version or 0, offset)
        if deleted:
            rows.append((identity, order, str(offset){blanks}))
            continue
{steps}
        rows.append((identity, order, str(offset){made}))
    return list(zip(*rows)) if rows else [()] * {count}
"""


def compile_rows(
    dataset: Dataset, wanted: Sequence[Wanted], wheres: Mapping[str, tuple[Sequence[str], Holds]]
) -> RowTexts:
    """A function for records of *dataset*, which must hold every field that is wanted.

    *wanted* begins with IDENTITY, ORDER and OFFSET. *wheres* are the conditions that it names: the fields that each
    reads, and whether it holds.
    """
    if tuple(wanted[:3]) != (IDENTITY, ORDER, OFFSET):
        raise ValueError("identity, order and offset stand first")
    pairs: list[Key | Value] = [one for one in wanted if isinstance(one, (Key, Value))]
    said = _Source(dataset)
    for where in dict.fromkeys(one.where for one in pairs if one.where):
        said.condition(where, *wheres[where])
    made = [said.column(one, pairs) for one in pairs]
    read = ", ".join([*_HEAD, *said.fields.values()])
    source = _TEMPLATE.format(
        read=read,
        short=SURELY_SHORT,
        blanks=", ''" * len(pairs),
        steps="\n".join(f"        {line}" for line in said.lines),
        made="".join(f", {one}" for one in made),
        count=len(wanted),
    )
    scope = said.scope | {"fields": itemgetter(*_HEAD, *said.fields)}
    # Fields and conditions are places in it, never pasted: what a rule file says is data.
    exec(compile(source, f"<texts of {dataset.code}>", "exec"), scope)  # noqa: S102
    function: RowTexts = scope["texts"]
    return function


class _Source:
    """The code for one record, line by line; what was said once is not said again."""

    def __init__(self, dataset: Dataset) -> None:
        self._types = {field.name: field.type for field in dataset.fields}
        self.scope: dict[str, Any] = _HELPERS.copy()
        self.lines: list[str] = []
        #: The name in the code of each field that is read.
        self.fields: dict[str, str] = {}
        self._conditions: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._made: dict[Any, str] = {}

    def condition(self, where: str, reads: Sequence[str], holds: Holds) -> None:
        """Work out whether *where* is true, from values as they are."""
        name = f"w{len(self._conditions)}"
        self._conditions[where] = name
        self.scope[f"holds_{name}"] = holds
        values = "".join(f"{self._field(field)}, " for field in reads)
        self.lines.append(f"{name} = holds_{name}(({values}), today) is True")

    def column(self, one: Key | Value, among: Sequence[Key | Value]) -> str:
        """An expression for *one*; what it is made of is worked out where one of its like *among* all needs it."""
        bare = one.bare
        if bare not in self._made:
            expression = self._key(bare) if isinstance(bare, Key) else self._value(bare)
            needs = [other.where for other in among if other.bare == bare]
            if all(needs):
                whenever = " or ".join(self._conditions[where] for where in dict.fromkeys(needs))
                expression = f"{expression} if {whenever} else ''"
            self._made[bare] = f"c{len(self._made)}"
            self.lines.append(f"{self._made[bare]} = {expression}")
        made = self._made[bare]
        return f"{made} if {self._conditions[one.where]} else ''" if one.where else made

    def _key(self, key: Key) -> str:
        parts = [self._text(name) for name in key.names]
        if key.blanks:
            return f"hashed({_joined(parts)})"
        if key.loose:
            parts = [self._loose(name) for name in key.names]
        there = " and ".join(f"{part} and not {part}.isspace()" for part in parts)
        return f"(bounded({_joined(parts)}) if {there} else '')"

    def _value(self, value: Value) -> str:
        if not value.name:
            return "''"
        text = self._text(value.name)
        return f"({text} if len({text}) <= {SURELY_SHORT} else bounded({text}))"

    def _field(self, name: str) -> str:
        return self.fields.setdefault(name, f"f{len(self.fields)}")

    def _text(self, name: str) -> str:
        """The text of a field, in a variable of its own."""
        if name not in self._texts:
            self._texts[name] = f"t{len(self._texts)}"
            said = _SAID.get(self._types[name], "other({0})").format(self._field(name))
            self.lines.append(f"{self._texts[name]} = {said}")
        return self._texts[name]

    def _loose(self, name: str) -> str:
        text = self._text(name)
        if ("loose", name) not in self._made:
            self._made["loose", name] = f"l{text}"
            self.lines.append(f"l{text} = {text} if is_normal({text}) else loose({text})")
        return self._made["loose", name]


def _joined(parts: Sequence[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return 'f"' + SEPARATOR.encode("unicode_escape").decode().join(f"{{{part}}}" for part in parts) + '"'


def _hashed(text: str) -> str:
    return str(xxhash.xxh3_128_intdigest(text.encode("utf-8", "surrogatepass")))


def _moment(value: datetime) -> str:
    return str(round(value.timestamp() * 1000))


def _other(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


#: The text of a value, by the type of its field.
_SAID = {
    "string": "{0} or ''",
    "date": f"'' if {{0}} is None else str({{0}}.toordinal() - {_EPOCH_ORDINAL})",
    "timestamp": "'' if {0} is None else moment({0})",
    "decimal": f"'' if {{0}} is None else format({{0}}, '.{DECIMAL_SCALE}f')",
}
_HELPERS: dict[str, Any] = {
    "is_normal": is_normal,
    "bounded": bounded,
    "hashed": _hashed,
    "loose": loose,
    "moment": _moment,
    "order_text": order_text,
    "other": _other,
}
