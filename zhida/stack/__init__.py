"""The local stack: broker, Redis and ClickHouse, started, checked and stopped on this machine."""

from zhida.stack.errors import (
    AlreadyRunning,
    MissingProgram,
    ServiceCrashed,
    StackError,
    StartInterrupted,
    StoppedElsewhere,
)
from zhida.stack.running import RunningStack, find_stack, start_stack, stop_stack
from zhida.stack_state import Service

__all__ = [
    "AlreadyRunning",
    "MissingProgram",
    "RunningStack",
    "Service",
    "ServiceCrashed",
    "StackError",
    "StartInterrupted",
    "StoppedElsewhere",
    "find_stack",
    "start_stack",
    "stop_stack",
]
