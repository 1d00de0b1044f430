"""A process of its own that fills an embedded store: ``crash_writer.py FOLDER write|replay``.

``write`` prints a line for each write that has returned and never ends; ``replay`` writes the first WRITES again and
prints the state as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path

from sink_batches import Message, batches

from schemas.catalog import Catalog
from schemas.connection import ClickHouseConnection
from sinks.clickhouse.sink import ClickHouseSink
from sinks.read import CreditStore

WRITES = 40
RECORDS = 20


def messages(number: int) -> list[Message]:
    """The messages of one write: each write holds the next version of the same records, and one rejected message."""
    first = number * (RECORDS + 1)
    stored = [Message("legal_person", "u", f"r{n}", number, first + n, f"s{n % 3}") for n in range(RECORDS)]
    return [*stored, Message("legal_person", "u", "bad", number, first + RECORDS, "s0", verdict="rejected")]


def main(folder: str, mode: str) -> None:
    catalog = Catalog.load()
    connection = ClickHouseConnection(path=Path(folder))
    sink = ClickHouseSink(connection)
    sink.setup(catalog)
    for number in count() if mode == "write" else range(WRITES):
        sink.write(batches(catalog, messages(number % WRITES)))
        if mode == "write":
            print(number, flush=True)
    store = CreditStore.connect(connection, catalog)
    versions = store.current_records("legal_person")["version"].to_list()
    print(json.dumps({"totals": store.totals(), "versions": versions}))
    store.close()
    sink.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
