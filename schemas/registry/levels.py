"""Compatibility levels and modes, globally and by subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.registry import errors
from schemas.registry.compatibility import LEVELS
from schemas.registry.log import SchemaLog
from schemas.registry.state import RegistryState, record
from schemas.registry.writer import Record

DEFAULT_LEVEL = "BACKWARD"
DEFAULT_MODE = "READWRITE"
MODES = frozenset({"READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"})


class InForce:
    """What holds for a subject in a state: its own setting, else the global one, else the default."""

    def __init__(self, state: RegistryState) -> None:
        self._state = state

    def level(self, subject: str) -> str:
        """The compatibility level in force for *subject*."""
        return str(self._in_force(subject, "compatibilityLevel") or DEFAULT_LEVEL)

    def normalizes(self, subject: str) -> bool:
        """Whether schemas of *subject* are normalized without being asked."""
        return bool(self._in_force(subject, "normalize"))

    def compatibility_group(self, subject: str) -> str | None:
        """The metadata property within whose equal values versions are compared, or None for all."""
        group = self._in_force(subject, "compatibilityGroup")
        return str(group) if group else None

    def mode(self, subject: str) -> str:
        """The mode in force for *subject*; READONLY_OVERRIDE, set globally, is stronger than a subject's own."""
        overall = self._state.modes.get(None, DEFAULT_MODE)
        return overall if overall == "READONLY_OVERRIDE" else self._state.modes.get(subject, overall)

    def check_writable(self, subject: str) -> None:
        """Raise 42205 unless schemas of *subject* may be registered and deleted."""
        mode = self.mode(subject)
        if mode.startswith("READONLY"):
            raise errors.not_permitted(f"Subject {subject} is in read-only mode")
        if mode != "READWRITE":
            raise errors.not_permitted(f"Subject {subject} is not in read-write mode")

    def check_importable(self, subject: str) -> None:
        """Raise 42205 unless schemas of *subject* may be registered with an id of the client's choice."""
        if self.mode(subject) != "IMPORT":
            raise errors.not_permitted(f"Subject {subject} is not in import mode")

    def check_settings_writable(self, subject: str | None) -> None:
        """Raise 42205 unless the settings of *subject*, or the global ones, may be changed."""
        mode = self.mode(subject) if subject else self._state.modes.get(None, DEFAULT_MODE)
        if mode.startswith("READONLY"):
            raise errors.not_permitted(f"Subject {subject or '(global)'} is in read-only mode")

    def own_settings(self, subject: str) -> list[Record]:
        """The records that take back a subject's own settings, when its last version goes."""
        dropped = [record("MODE", subject, None)] if subject in self._state.modes else []
        return dropped + ([record("CONFIG", subject, None)] if subject in self._state.config else [])

    def _in_force(self, subject: str, name: str) -> Any:
        for scope in (subject, None):
            value = self._state.config.get(scope, {}).get(name)
            if value is not None:
                return value
        return None


class Settings:
    """What ``/config`` and ``/mode`` read and write; a subject of None is the global setting."""

    def __init__(self, state: RegistryState, log: SchemaLog) -> None:
        self._state = state
        self._log = log

    # read and written by clients

    def config(self, subject: str | None, *, or_global: bool = False) -> dict[str, Any]:
        """The setting as clients see it; 40408 for a subject without one, unless *or_global*."""
        own = self._state.config.get(subject)
        if own is None and subject is not None and not or_global:
            raise errors.compatibility_not_configured(subject)
        merged = {"compatibilityLevel": DEFAULT_LEVEL} if subject is None or or_global else {}
        if or_global:
            merged |= _shown(self._state.config.get(None) or {})
        return merged | _shown(own or {})

    async def set_config(self, subject: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """Change what *body* names and leave the rest; returns the body; 42203, 422."""
        changes = _read_config(body)

        def decide(state: RegistryState) -> tuple[Sequence[Record], None]:
            InForce(state).check_settings_writable(subject)
            old = _shown(state.config.get(subject) or {})
            new = {name: value for name, value in (old | changes).items() if value is not None}
            if new == old:
                return [], None
            return [record("CONFIG", subject, {"subject": subject, **new} if subject else new)], None

        await self._log.write(decide)
        return body

    async def drop_config(self, subject: str | None) -> dict[str, Any]:
        """Back to the global setting, or for the global one to the default; returns what was; 40401."""

        def decide(state: RegistryState) -> tuple[Sequence[Record], dict[str, Any]]:
            InForce(state).check_settings_writable(subject)
            old = state.config.get(subject)
            if old is None and subject is not None:
                raise errors.subject_not_found(subject)
            was = {"compatibilityLevel": DEFAULT_LEVEL} | _shown(old or {})
            return ([record("CONFIG", subject, None)] if old is not None else []), was

        return await self._log.write(decide)

    def mode_setting(self, subject: str | None, *, or_global: bool = False) -> str:
        """The mode as clients see it; 40409 for a subject without one, unless *or_global*."""
        if subject is None:
            return self._state.modes.get(None, DEFAULT_MODE)
        own = self._state.modes.get(subject)
        if own is None and not or_global:
            raise errors.mode_not_configured(subject)
        return InForce(self._state).mode(subject)

    async def set_mode(self, subject: str | None, mode: object, *, force: bool) -> str:
        """Set the mode; 42204; 42205 for IMPORT where schemas exist, unless *force*."""
        wanted = mode.upper() if isinstance(mode, str) else ""
        if wanted not in MODES or (wanted == "READONLY_OVERRIDE" and subject is not None):
            raise errors.invalid_mode(mode)

        def decide(state: RegistryState) -> tuple[Sequence[Record], str]:
            old = state.modes.get(subject, "")
            occupied = bool(state.versions(subject)) if subject else bool(state.subjects())
            if wanted == "IMPORT" and old != "IMPORT" and occupied and not force:
                raise errors.not_permitted("Cannot import since found existing subjects")
            if wanted == old:
                return [], wanted
            value = {"subject": subject, "mode": wanted} if subject else {"mode": wanted}
            return [record("MODE", subject, value)], wanted

        return await self._log.write(decide)

    async def drop_mode(self, subject: str | None) -> str:
        """Back to the global mode, or for the global one to the default; returns what was; 40401."""

        def decide(state: RegistryState) -> tuple[Sequence[Record], str]:
            old = state.modes.get(subject)
            if old is None and subject is not None:
                raise errors.subject_not_found(subject)
            return ([record("MODE", subject, None)] if old is not None else []), old or DEFAULT_MODE

        return await self._log.write(decide)


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name != "subject"}


def _read_config(body: dict[str, Any]) -> dict[str, Any]:
    """The changes in the names of the log. What this registry would not obey is refused, not stored and ignored."""
    changes: dict[str, Any] = {}
    for name, value in body.items():
        match name:
            case "compatibility" | "compatibilityLevel":
                if value is not None and (not isinstance(value, str) or value.upper() not in LEVELS):
                    raise errors.invalid_level(value)
                changes["compatibilityLevel"] = value.upper() if value is not None else None
            case "normalize":
                if value is not None and not isinstance(value, bool):
                    raise errors.unprocessable("normalize is true or false")
                changes["normalize"] = value
            case "compatibilityGroup":
                if value is not None and not isinstance(value, str):
                    raise errors.unprocessable("compatibilityGroup is the name of a metadata property")
                changes["compatibilityGroup"] = value
            case _ if value is None:
                pass
            case _:
                raise errors.unprocessable(f"Unrecognized field: {name[:64]} is not supported by this registry")
    if not changes:
        raise errors.invalid_level(body.get("compatibility"))
    return changes
