"""Sinks: where judged records go, their migrations and their read side.

A sink is added by adding one module or package to this folder that has ``SINK``, a :class:`SinkKind`;
:func:`discover` finds it by that name and nothing else has to know of it.
"""

from sinks.base import (
    MigrationError,
    SinkConfig,
    SinkError,
    SinkKind,
    SinkUnavailable,
    discover,
)

__all__ = ["MigrationError", "SinkConfig", "SinkError", "SinkKind", "SinkUnavailable", "discover"]
