"""What can go wrong with the state, and what to do about it."""

from __future__ import annotations


class StateError(Exception):
    """The state cannot be asked or told; the message says why and what to do."""


class StateUnavailable(StateError):  # noqa: N818 (what it is, not what went wrong)
    """Redis does not answer, or not yet: trying again later may help.

    Remedy: see that the server runs and that address, user and password in the settings are right.
    """
