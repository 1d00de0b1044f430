"""Polars panics on hostile bytes by design of these tests: without backtraces they are quick and quiet."""

import os

os.environ["RUST_BACKTRACE"] = "0"
