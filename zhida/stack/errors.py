"""What can go wrong with the local stack; every message says what to do."""

from __future__ import annotations

from zhida.stack_state import Service


class StackError(Exception):
    """The stack cannot be started, used or stopped."""


class AlreadyRunning(StackError):  # noqa: N818 - a state, told as an error only to who wanted to start
    """A stack runs in this folder; ``services`` are its engines."""

    def __init__(self, message: str, services: tuple[Service, ...]) -> None:
        super().__init__(message)
        self.services = services


class MissingProgram(StackError):  # noqa: N818 - reads as what it is
    """A program is not on PATH; the message holds the command that installs it."""


class ServiceCrashed(StackError):  # noqa: N818 - reads as what it is
    """A child ended by itself; the message ends with the last lines of its log."""


class StoppedElsewhere(StackError):  # noqa: N818 - no error of anybody's
    """Another command has stopped the stack."""


class StartInterrupted(StackError):  # noqa: N818 - reads as what it is
    """The caller asked to stop while the stack was starting; nothing is left running."""
