"""Records as they are written in rule files: partial ones, with their values as text or as YAML reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.lookup import known_field
from schemas.catalog import Dataset, DatasetField
from schemas.types import TYPES

#: The key under which an example holds what was there before it.
GIVEN = "given"
_REPEAT = {"repeat", "times"}


def record_of(example: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The whole record that a partial one in a rule file stands for; raises ValueError.

    What the example leaves out is null, ``deleted`` is false. ``{repeat: 某, times: 200}`` stands for 200 characters.
    What it says under ``given`` is of other records (``rules/given.py``).
    """
    record: dict[str, Any] = {field.name: None for field in dataset.fields} | {"deleted": False}
    for name, value in example.items():
        if name == GIVEN:
            continue
        record[name] = _value_of(value, known_field(name, dataset))
    return record


def _value_of(value: Any, field: DatasetField) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        if value.keys() != _REPEAT:
            raise ValueError(f"{field.name}: the only mapping in an example is {{repeat: text, times: number}}")
        value = str(value["repeat"]) * int(value["times"])
    if field.type == "string":
        if not isinstance(value, str):
            raise ValueError(f"{field.name} is text: put {value!r} in quotes")
        return value
    return TYPES[field.type].from_text(value.isoformat() if hasattr(value, "isoformat") else str(value))
