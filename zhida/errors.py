"""Errors a person can act on: what was wrong, and what to do about it, in Chinese and in English.

Raise :class:`UserError` for everything that can be expected to go wrong (a missing file, a broker out of reach). The
command line prints it without a traceback and ends with its exit code; every other exception is a defect of Zhida.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How ``zhida`` ends; listed in docs/cli.md."""

    OK = 0
    #: The work was done, and its result is not all good: rows refused, a difference found.
    FAILED = 1
    #: The command line itself is wrong: unknown option, dataset or unit.
    USAGE = 2
    #: Kafka, Redis, ClickHouse, the registry or the API does not answer.
    UNREACHABLE = 3
    #: What was asked for does not exist.
    NOT_FOUND = 4
    #: The other side refused the credentials.
    DENIED = 5
    #: Nothing was done; what was asked about would change something.
    WOULD_CHANGE = 6
    #: A defect of Zhida.
    DEFECT = 70
    #: Stopped by Ctrl-C.
    INTERRUPTED = 130


class UserError(Exception):
    """An expected failure.

    ``message_zh`` and ``message_en`` say what is wrong and where, ``remedy`` what to do about it (a command, where
    there is one).
    """

    def __init__(self, message_zh: str, message_en: str, remedy: str = "", exit_code: int = ExitCode.FAILED) -> None:
        super().__init__(message_en)
        self.message_zh = message_zh
        self.message_en = message_en
        self.remedy = remedy
        self.exit_code = int(exit_code)
