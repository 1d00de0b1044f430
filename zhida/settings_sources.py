"""Where settings come from beside the environment, and what is said when one is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource

from zhida.stack_state import read_state

PREFIX = "ZHIDA_"
_NEAR = 0.9


class StackStateSource(InitSettingsSource):
    """Addresses of the local stack that runs in the data folder; stands below every other source."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls, {})

    def __call__(self) -> dict[str, Any]:
        """Values from ``<data_dir>/stack.json`` while that stack is up."""
        fields = self.settings_cls.model_fields
        folder = Path(self.current_state.get("data_dir") or fields["data_dir"].default)
        state = read_state(folder.expanduser())
        if state is None or not state.ready or state.stopping or not state.alive():
            return {}
        return {name: value for name, value in state.settings.items() if name in fields}


def variable_name(name: str, info: FieldInfo) -> str:
    """The environment variable of a field."""
    alias = info.validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{name.upper()}"


def find_typo(present: Iterable[str], known: list[str]) -> str | None:
    """A sentence about a variable that looks like one of ours and is none (it would be ignored in silence), or None."""
    for variable in present:
        if variable.startswith(PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1, cutoff=_NEAR)
            if near:
                return f"unknown setting {variable}; did you mean {near[0]}?"
    return None


def explain(problem: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> str:
    """One pydantic problem in words of the user's: variable, what is allowed; never the value, it may be secret."""
    said = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return said
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, list(fields), n=1)
        return f"unknown setting {name}" + (f"; did you mean {near[0]}?" if near else "")
    if name in fields:
        return f"{variable_name(name, fields[name])}: {said}"
    return f"{name if name.startswith(PREFIX) else PREFIX + name.upper()}: {said}"
