"""Python code that reads one record of one flat schema, made from the schema: half the cost of a general reader.

It reads what is plainly right and says nothing of anything else: ``schemas.rowcodec`` asks fastavro then, which alone
decides what is wrong with a message. So nothing can be accepted here that is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: The record in a framed message; None where the careful reader has to look.
RowReader = Callable[[bytes], "dict[str, Any] | None"]

#: Seven bits each; a longer number is left to the careful reader.
_LONGEST_SHIFT = 56
_SIZES = {"float": 4, "double": 8}

_LENGTH = """\
k = b[p]; p += 1
if k > 127:
    k = k & 127 | b[p] << 7; p += 1
    if k > 16383: return
if k & 1: return
e = p + (k >> 1)"""
_NUMBER = f"""\
k = b[p]; p += 1
if k > 127:
    k &= 127; s = 7
    while True:
        c = b[p]; p += 1
        k |= (c & 127) << s
        if c < 128: break
        s += 7
        if s > {_LONGEST_SHIFT}: return
v = k >> 1 ^ -(k & 1)"""
_TEMPLATE = """\
def read(b):
    p = {start}
    try:
{steps}
    except (IndexError, UnicodeDecodeError, Refused):
        return
    if p == len(b):
        return {record}
"""


def compile_reader(
    fields: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    start: int,
    converters: Mapping[str, Callable[[Any], Any]],
    refused: type[Exception],
) -> RowReader:
    """A reader of messages written with *fields* (each of a primitive type without logical type, or null beside it).

    Bodies begin at byte *start*. The record has the keys *names* in their order, None where the schema has no such
    field. *converters*, by name, make a value of what was read, and raise *refused* for what is none.
    """
    wanted = {name: f"v{number}" for number, name in enumerate(names)}
    steps: list[str] = []
    for field in fields:
        steps += _step(field["type"], wanted.get(field["name"]), field["name"] if field["name"] in converters else None)
    there = {field["name"] for field in fields}
    record = ", ".join(f"{name!r}: {place if name in there else None}" for name, place in wanted.items())
    source = _TEMPLATE.format(start=start, steps="\n".join(_lines(steps, 8)), record=f"{{{record}}}")
    scope: dict[str, Any] = {f"to_{name}": convert for name, convert in converters.items()} | {"Refused": refused}
    # Names of a registered schema's fields are Avro names, or compiling has failed before; in the code they are data.
    exec(compile(source, "<row reader>", "exec"), scope)  # noqa: S102
    reader: RowReader = scope["read"]
    return reader


def _step(avro: Any, place: str | None, convert: str | None) -> list[str]:
    """The code that reads one field into *place*, or past it."""
    if not isinstance(avro, list):
        return _value(avro, place, convert)
    null = 2 * avro.index("null")
    value = next(branch for branch in avro if branch != "null")
    nothing = f"{place} = None" if place else "pass"
    return [
        "k = b[p]; p += 1",
        f"if k == {2 - null}:",
        *_lines(_value(value, place, convert), 4),
        f"elif k == {null}: {nothing}",
        "else: return",
    ]


def _value(avro: Any, place: str | None, convert: str | None) -> list[str]:
    kind = avro["type"] if isinstance(avro, Mapping) else avro
    if kind == "string":
        read = [_LENGTH, f"{place or 'v'} = b[p:e].decode(); p = e"]
    elif kind == "bytes":
        read = [_LENGTH, f"{place} = b[p:e]; p = e" if place else "p = e"]
    elif kind in ("int", "long"):
        read = [_NUMBER, f"{place} = v"] if place else [_NUMBER]
    else:
        size = int(avro["size"]) if kind == "fixed" else 1 if kind == "boolean" else _SIZES[kind]
        read = [f"{place} = b[p:p + {size}]; p += {size}" if place else f"p += {size}"]
    if place and convert:
        read.append(f"{place} = to_{convert}({place})")
    return [line for part in read for line in part.splitlines()]


def _lines(lines: Sequence[str], width: int) -> list[str]:
    return [" " * width + line for line in lines]
