"""Every way that is measured, by name: what runs, on which load, and what it must put out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Load = Literal["full", "small"]
#: Where outputs go: all of govern's, only accepted topics, or all of govern's and the stores.
Writes = Literal["govern", "accepted", "stores"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the job. ``module`` is None for the platform's own worker processes.

    ``state``: rules that look at other records are judged too.
    """

    name: str
    title: str
    module: str | None
    load: Load
    writes: Writes
    state: bool = False


WAYS: tuple[Way, ...] = (
    Way("govern", "Zhida govern, the rules that all have 直达治理·单记录规则", None, "full", "govern"),
    Way("govern_all_rules", "Zhida govern as shipped 直达治理·全部规则", None, "full", "govern", state=True),
    Way("handwritten", "(b) confluent-kafka + fastavro", "benchmarks.ways.handwritten", "full", "govern"),
    Way("passthrough", "(d) pass-through 原样转发", "benchmarks.ways.passthrough", "full", "accepted"),
    Way("quix", "(c) Quix Streams", "benchmarks.ways.quix", "full", "govern"),
    Way("stock_faust", "(a) stock Faust", "benchmarks.ways.stock_faust", "small", "govern"),
    Way("whole", "Zhida whole way 全程", None, "full", "stores", state=True),
)

#: Key of ``ratios`` -> (ours, theirs).
RATIOS: dict[str, tuple[str, str]] = {
    "govern_vs_stock_faust": ("govern", "stock_faust"),
    "govern_vs_handwritten": ("govern", "handwritten"),
    "govern_vs_quix": ("govern", "quix"),
    "govern_vs_passthrough": ("govern", "passthrough"),
    "whole_vs_handwritten": ("whole", "handwritten"),
    "all_rules_vs_govern": ("govern_all_rules", "govern"),
    "all_rules_vs_handwritten": ("govern_all_rules", "handwritten"),
}
#: What the project aims at: ratio by wall clock and by CPU (None: not aimed at).
AIMS: dict[str, dict[str, float | None]] = {
    "govern_vs_stock_faust": {"wall": 20.0, "cpu": 20.0},
    "govern_vs_handwritten": {"wall": 1.5, "cpu": 1.5},
    "govern_vs_quix": {"wall": 3.5, "cpu": 3.5},
    "govern_vs_passthrough": {"wall": 0.6, "cpu": 0.2},
    "whole_vs_handwritten": {"wall": 0.35, "cpu": None},
    "all_rules_vs_govern": {"wall": 0.6, "cpu": 0.6},
    "all_rules_vs_handwritten": {"wall": 1.0, "cpu": 1.0},
}
