"""Check kinds, found by file: ``rules/checks/<kind>.py`` holds one subclass of :class:`~rules.checks.base.Check`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from rules.checks.base import Check


@cache
def kinds() -> dict[str, type[Check]]:
    """Every check class by the name of its file."""
    found: dict[str, type[Check]] = {}
    for module_info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module_info.name == "base":
            continue
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        classes = [
            member
            for member in vars(module).values()
            if isinstance(member, type) and issubclass(member, Check) and member.__module__ == module.__name__
        ]
        if len(classes) != 1:
            raise TypeError(f"{module.__name__} must hold exactly one Check class, not {len(classes)}")
        found[module_info.name] = classes[0]
    return found
