"""Pieces of Common Expression Language (CEL) that mean the same to every Confluent client.

A data contract carries a rule as ``guard; body``: where the guard is true the body must be. Clients evaluate it with
celpy (Python), Nessie's CEL (older Java) or Google's (newer Java), which differ in ways that these pieces avoid:

- an empty field is absent (``has`` is false) in one and null in the others, and the name of a type (``string``) is
  unknown to one; so a value is asked whether it has the type of a literal;
- ``matches`` looks for a part of the text in two and matches the whole in one; so patterns are anchored;
- the boolean of a record is a number in one; so it is compared as text;
- the first ``;`` ends the guard, within quotes too; so literals have none;
- decimals and moments are something else in each, and there is no *today*; so rules about them are not said in CEL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from rules.text import WHITESPACE
from schemas.catalog import DatasetField

#: Words that CEL keeps for itself; a field of that name cannot be reached.
_RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    }
)
#: A literal of the type that a record holds; types that are not here cannot be spoken of.
_LITERAL = {"string": '""', "long": "1", "date": "1"}
_EPOCH = date(1970, 1, 1)
_INT64 = 1 << 63
#: RE2 repeats at most that often.
_MOST_REPEATS = 1000
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
#: True unless the record is withdrawn.
IN_FORCE = 'string(message.deleted) in ["false", "0"]'


@dataclass(frozen=True, slots=True)
class Said:
    """A check in CEL: ``body`` must be true wherever ``guard`` is. Neither ends in an error."""

    body: str
    guard: str = ""

    def __str__(self) -> str:
        return f"{self.guard}; {self.body}" if self.guard else self.body


def speakable(field: DatasetField) -> bool:
    """Whether all clients can say something about the field's value."""
    return field.type in _LITERAL and field.name not in _RESERVED


def there(field: DatasetField) -> str:
    """True when the field holds a text (be it blank), a number, a day as a number. Only for speakable fields."""
    at = f"message.{field.name}"
    return f"has({at}) && type(dyn({at})) == type({_LITERAL[field.type]})"


def filled(field: DatasetField) -> str:
    """True when the field is neither null nor blank. Only for speakable fields."""
    at = f"message.{field.name}"
    if field.type == "string":
        return f"{there(field)} && !{at}.matches({_BLANK})"
    # With converters of newer Java a day is an object: it is there, though it cannot be compared.
    return f"has({at}) && (type(dyn({at})) == type({_LITERAL[field.type]}) || dyn({at}) != null)"


def comparable(field: DatasetField) -> str:
    """True when the field is filled with what can be compared. Only for speakable fields."""
    return filled(field) if field.type == "string" else there(field)


def text(content: str) -> str:
    """A string literal without control characters and without ``;``."""
    if content.isprintable() and not any(character in content for character in '\\";'):
        return f'"{content}"'
    # An older Java client has too little room to unescape a literal of which most characters take three bytes.
    return '"' + "".join(map(_character, content)) + '"'


def texts(contents: Iterable[str]) -> str:
    """A list of string literals."""
    return "[" + ", ".join(map(text, contents)) + "]"


def number(bound: object) -> str | None:
    """A whole number, or a day as the days since 1970-01-01, as records hold it; None for anything else."""
    if isinstance(bound, date):
        return str((bound - _EPOCH).days)
    return str(bound) if isinstance(bound, int) and -_INT64 < bound < _INT64 else None


def matches(field: DatasetField, pattern: str) -> str | None:
    """True when all of the text matches; None when a client's engine cannot be given the pattern."""
    if any(int(times) > _MOST_REPEATS for times in re.findall(r"(?<=[{,])[0-9]+(?=[,}])", pattern)):
        return None
    return f"message.{field.name}.matches({_raw(_whole(pattern))})"


def one_of(contents: Iterable[str]) -> str:
    """A pattern that matches just one of *contents*."""
    return "(?:" + "|".join(map(escaped, contents)) + ")"


def escaped(content: str) -> str:
    """A pattern that matches just *content*."""
    return _META.sub(r"\\\g<0>", content)


def conjunction(*terms: str) -> str:
    """All of the terms that there are, joined by ``&&``."""
    return " && ".join(term for term in terms if term)


def _whole(pattern: str) -> str:
    """*pattern* for engines that look for a part and for those that match the whole."""
    return rf"^(?:{pattern})\z"


def _character(character: str) -> str:
    code = ord(character)
    if character in '\\"':
        return "\\" + character
    if character != ";" and 0x20 <= code < 0x7F:
        return character
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"


def _raw(pattern: str) -> str:
    """A raw literal of a pattern; what a literal cannot hold becomes an escape of the pattern."""
    return 'r"' + re.sub(r"\\?(.)", _in_raw, pattern, flags=re.DOTALL) + '"'


def _in_raw(found: re.Match[str]) -> str:
    character = found[1]
    return found[0] if character.isprintable() and character not in '";' else f"\\x{{{ord(character):x}}}"


def _ranges(characters: str) -> str:
    """The characters as a class of a regular expression, neighbours as ranges."""
    parts: list[list[str]] = []
    for character in sorted(characters):
        if parts and ord(character) == ord(parts[-1][-1]) + 1:
            parts[-1].append(character)
        else:
            parts.append([character])
    return "[" + "".join(part[0] + (f"-{part[-1]}" if len(part) > 1 else "") for part in parts) + "]"


_BLANK = _raw(_whole(f"{_ranges(WHITESPACE)}*"))
