"""The tables of the credit store, as data made from the catalog.

- ``records_<dataset>``: every record in its current version. Identity is (unit, record_id), so that a correction which
  moves a record to another subject replaces it; ``ordering`` is version and place in the report topic in one number.
  Withdrawn rows stay as tombstones: nothing older can come back.
- ``subject_index``: which records were ever of a subject. A superset: a look-up reads candidates here and then asks
  ``records_<dataset>`` which of them are the subject's now.
- ``verdicts``: every judged message once, by its source coordinates. Not partitioned: the only stable time of a message
  is the unit's own claim, and a hostile one would make a part for every month there is.
- ``audit``: who read what; only ever appended to.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.catalog import ENVELOPE_NAMES, Catalog, Dataset
from schemas.types import TYPES
from sinks.base import MigrationError
from sinks.columns import STORED_META

#: Raised when the meaning of stored rows changes; tables carry it in their comment.
LAYOUT = 1
LAYOUT_PREFIX = "zhida layout "

_TEXT = "String"
_CODE = "LowCardinality(String)"
_TIME = "DateTime64(3, 'UTC')"

#: The greater one is current: version first, then the earlier source offset.
_ORDERING = "bitShiftLeft(toInt128(version), 64) + (9223372036854775807 - source_offset)"


@dataclass(frozen=True, slots=True)
class Table:
    """One table: column name -> type, computed columns, indexes, and the engine with its order."""

    name: str
    columns: dict[str, str]
    engine: str
    order_by: tuple[str, ...]
    computed: tuple[tuple[str, str, str], ...] = ()  # name, type, expression
    indexes: tuple[str, ...] = ()
    #: Rows between two entries of the sparse key: small where single records are looked up, for each is read whole.
    granularity: int = 8192
    #: Bytes up to which a part keeps all its columns in one file: one read a record instead of one a column.
    compact_up_to: int = 10 * 1024**2


def records_table(dataset: Dataset) -> str:
    """The name of a dataset's table."""
    return f"records_{dataset.code}"


def _records(dataset: Dataset) -> Table:
    meta = {
        "subject": _TEXT,
        "city": _CODE,
        "verdict": _CODE,
        "rule_set": _CODE,
        "schema_id": "Int32",
        "source_topic": _CODE,
        "source_partition": "Int32",
        "source_offset": "Int64",
        "reported_at": _TIME,
        "governed_at": _TIME,
        "is_deleted": "UInt8",
    }
    columns = {"unit": _TEXT, "record_id": _TEXT, "version": "Int64"}
    for field in dataset.fields:
        if field.name in ENVELOPE_NAMES:
            continue
        if field.name in meta or field.name in STORED_META or field.name == "ordering":
            raise MigrationError(f"dataset {dataset.code}: the field name {field.name} belongs to the store; rename it")
        columns[field.name] = f"Nullable({TYPES[field.type].clickhouse})"
    return Table(
        name=records_table(dataset),
        columns={**columns, **meta},
        engine="ReplacingMergeTree(ordering, is_deleted)",
        order_by=("unit", "record_id"),
        computed=(("ordering", "Int128", _ORDERING),),
        granularity=1024,
        compact_up_to=1024**3,
    )


_SUBJECT_INDEX = Table(
    name="subject_index",
    columns={"subject": _TEXT, "dataset": _CODE, "unit": _TEXT, "record_id": _TEXT},
    engine="ReplacingMergeTree",
    order_by=("subject", "dataset", "unit", "record_id"),
    granularity=1024,
)

_VERDICTS = Table(
    name="verdicts",
    columns={
        "source_topic": _CODE,
        "source_partition": "Int32",
        "source_offset": "Int64",
        "dataset": _CODE,
        "unit": _CODE,
        "city": _CODE,
        "record_id": _TEXT,
        "version": "Int64",
        "subject": _TEXT,
        "verdict": _CODE,
        "rule_set": _CODE,
        "schema_id": "Int32",
        "reported_at": _TIME,
        "governed_at": _TIME,
        "violations": _TEXT,
        "again": "Bool",
    },
    engine="ReplacingMergeTree(governed_at)",
    order_by=("source_topic", "source_partition", "source_offset"),
    indexes=("INDEX governed_at_range governed_at TYPE minmax GRANULARITY 1",),
)

_AUDIT = Table(
    name="audit",
    columns={"at": _TIME, "who": _TEXT, "what": _TEXT, "why": _TEXT, "source": _TEXT, "outcome": _CODE},
    engine="MergeTree",
    order_by=("at", "who"),
)


def tables(catalog: Catalog) -> list[Table]:
    """All tables of *catalog*; raises MigrationError for a field whose name the store needs itself."""
    return [_SUBJECT_INDEX, _VERDICTS, _AUDIT, *(_records(dataset) for dataset in catalog)]
