"""What a sink is given: a batch of columns, never a record at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from schemas.catalog import Catalog, Dataset

#: One row a message that govern has judged. Identity of a row: (source_topic, source_partition, source_offset).
VERDICT_COLUMNS = pl.Schema(
    {
        "source_topic": pl.String(),
        "source_partition": pl.Int32(),
        "source_offset": pl.Int64(),
        "dataset": pl.String(),
        "unit": pl.String(),  # "" where unknown
        "city": pl.String(),  # GB/T 2260 code of the unit's city (a provincial unit: the province's); "" where unknown
        "record_id": pl.String(),  # "" where unknown
        "version": pl.Int64(),  # 0 where unknown
        "subject": pl.String(),  # USCC, reg:<number>, p:<keyed hash> or ""
        "verdict": pl.String(),  # accepted, suspect, rejected, quarantined
        "rule_set": pl.String(),
        "schema_id": pl.Int32(),  # -1 where unknown
        "reported_at": pl.Datetime("ms", "UTC"),
        "governed_at": pl.Datetime("ms", "UTC"),
        "violations": pl.String(),  # JSON list, "" where there are none; quarantined: [{"rule": "<reason>", ...}]
        "again": pl.Boolean(),  # the message had a verdict before; how long this one took says nothing
    }
)


#: What a store keeps of a record's verdict beside the record itself.
STORED_VERDICT_COLUMNS = (
    "city",
    "verdict",
    "rule_set",
    "schema_id",
    "source_topic",
    "source_partition",
    "source_offset",
    "reported_at",
    "governed_at",
)


@dataclass(frozen=True, slots=True)
class GovernedBatch:
    """Judged messages in stream order.

    ``records`` holds the decoded columns of accepted and suspect records (catalog order, personal fields already
    masked, ``subject`` added) and is None where the messages were rejected or quarantined. Row i of ``records`` is row
    i of ``verdicts`` (columns as in VERDICT_COLUMNS).
    """

    dataset: Dataset | None
    records: pl.DataFrame | None
    verdicts: pl.DataFrame


class Sink(Protocol):
    """A place that judged records go to. Blocking; each instance is used from one thread at a time."""

    #: The consumer group is ``zhida-sink-<name>``.
    name: str

    def setup(self, catalog: Catalog) -> None:
        """Create or migrate what the sink writes to; idempotent."""
        ...

    def write(self, batches: list[GovernedBatch]) -> None:
        """Make the batches durable, then return; replays and late older versions must change nothing."""
        ...

    def check(self) -> None:
        """Raise with a reason when the place cannot be written to."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
