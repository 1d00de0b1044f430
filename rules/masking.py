"""The value of a field as it is shown in feedback: cut short, and masked where it is personal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from schemas.catalog import PiiClass

SHOWN_CHARACTERS = 64


def _ends(head: int, tail: int) -> Callable[[str], str]:
    def mask(text: str) -> str:
        if len(text) <= head + tail:  # showing both ends would show it all
            return "*" * len(text)
        return (
            text[:head] + "*" * min(len(text) - head - tail, SHOWN_CHARACTERS - head - tail) + text[len(text) - tail :]
        )

    return mask


_MASKS: dict[PiiClass, Callable[[str], str]] = {
    "none": lambda text: text[:SHOWN_CHARACTERS],
    "id_number": _ends(4, 2),
    "phone": _ends(3, 2),
    "account": _ends(4, 2),
    "address": _ends(6, 0),
    "name": lambda text: text[:1] + "*" if text else "",
}


def shown(value: Any, pii: PiiClass) -> str:
    """*value* as text of at most 64 characters: dates as ISO, decimals without trailing zeros, null as nothing."""
    return _MASKS[pii](text_of(value))


def text_of(value: Any) -> str:
    """The plain text of a value of any catalog type."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
