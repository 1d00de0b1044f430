"""Small samples for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.units import Regions, Units
from zhida.sample.generate import FaultShares, generate
from zhida.sample.message import SampleMessage
from zhida.sample.oracle import Answers, Oracle

TODAY = date(2026, 3, 2)
PII_KEY = b"a key for tests, 32 bytes long.."
#: Enough for each rule to be broken by several records.
RECORDS = 12_000
SHARES = FaultShares(rejected=0.12, suspect=0.05, quarantined=0.02, deletes=0.04, out_of_order=0.04, corrections=0.08)


@dataclass(frozen=True)
class Sample:
    catalog: Catalog
    units: Units
    regions: Regions
    assignments: Assignments
    messages: list[SampleMessage]
    answers: Answers


def make_sample(records: int, seed: int = 5, shares: FaultShares = SHARES) -> Sample:
    catalog, units, regions = Catalog.load(), Units.load(), Regions.load()
    oracle = Oracle(catalog, PII_KEY)
    assignments = Assignments.load(catalog, units, regions)
    messages = list(oracle.watch(generate(seed, records, catalog, units, regions, assignments, TODAY, shares)))
    return Sample(catalog, units, regions, assignments, messages, oracle.answers())
