"""The process of the ClickHouse server: loads ``libchdb.so`` and never returns.

Run as a file, with nothing but the standard library: ``clickhouse_child.py LIBRARY ARGUMENT...``, the arguments as for
``clickhouse local``. SIGTERM ends it at once; what was acknowledged is on disk.
"""

import ctypes
import signal
import sys


def main(library: str, arguments: "list[str]") -> int:
    """Run ClickHouse's command line until a signal comes; returns its exit code."""
    # ClickHouse blocks this thread, so Python could never run a handler of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run = ctypes.CDLL(library).chdb_query_cmdline
    run.restype = ctypes.c_void_p
    words = [b"clickhouse", *(argument.encode() for argument in arguments)]
    run(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
