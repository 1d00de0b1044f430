"""Sinks: where judged records go, their migrations and their read side.

A sink is added by adding one module or package to this folder that has a function ``create(config) -> Sink``;
:func:`discover` finds it by that function and nothing else has to know its name.
"""

from sinks.base import (
    MigrationError,
    SinkConfig,
    SinkError,
    SinkFactory,
    SinkUnavailable,
    discover,
)

__all__ = ["MigrationError", "SinkConfig", "SinkError", "SinkFactory", "SinkUnavailable", "discover"]
