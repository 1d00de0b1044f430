"""Bring the tables of the credit store up to the catalog: create, add columns, refuse everything else.

Idempotent, and safe when two processes do it at once. It never drops, narrows or rewrites: a field that left the
catalog keeps its column, and a field whose type changed is an error that names it.
"""

from __future__ import annotations

import re

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from schemas.catalog import Catalog
from sinks.base import MigrationError
from sinks.clickhouse.engine import explained, fetch, hexed, qualified
from sinks.clickhouse.tables import LAYOUT, LAYOUT_PREFIX, Table, tables

#: The oldest server whose FINAL reads deleted rows and skips indexes as the read side needs it.
OLDEST_SERVER = (24, 8)


def migrate(client: Client, database: str, catalog: Catalog) -> list[str]:
    """Create or extend the tables and return the statements that were run (none when all was in place).

    Raises MigrationError when the server is too old, or what is stored cannot be written to any more.
    """
    _check_server(client)
    done: list[str] = []
    with explained("migration"):
        if not fetch(
            client, "SELECT 1 FROM system.databases WHERE name = unhex({db:String})", {"db": hexed(database)}
        ).height:
            _run(client, f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}", done)
        for table in tables(catalog):
            stored = _stored_columns(client, database, table.name)
            if not stored:
                _run(client, _create(database, table), done)
                stored = _stored_columns(client, database, table.name)
            _check_layout(client, database, table)
            for column, kind in missing_columns(table, stored).items():
                _run(
                    client,
                    f"ALTER TABLE {qualified(database, table.name)} ADD COLUMN IF NOT EXISTS {_column(column, kind)}",
                    done,
                )
    return done


def missing_columns(table: Table, stored: dict[str, str]) -> dict[str, str]:
    """Columns to add; raises MigrationError when a stored one has another type than the catalog wants."""
    missing: dict[str, str] = {}
    for column, kind in table.columns.items():
        if column not in stored:
            missing[column] = kind
        elif _canonical(stored[column]) != _canonical(kind):
            raise MigrationError(
                f"table {table.name}: column {column} is stored as {stored[column]}, the catalog wants {kind}; "
                "a type cannot change in place, give the field a new name"
            )
    return missing


def _run(client: Client, statement: str, done: list[str]) -> None:
    client.command(statement)
    done.append(statement)


def _column(name: str, kind: str) -> str:
    return f"{quote_identifier(name)} {kind}"


def _create(database: str, table: Table) -> str:
    parts = [_column(name, kind) for name, kind in table.columns.items()]
    parts += [f"{quote_identifier(name)} {kind} MATERIALIZED {expression}" for name, kind, expression in table.computed]
    parts += table.indexes
    order = ", ".join(quote_identifier(name) for name in table.order_by)
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(database, table.name)} ({', '.join(parts)}) "
        f"ENGINE = {table.engine} ORDER BY ({order}) "
        f"SETTINGS index_granularity = {table.granularity}, min_bytes_for_wide_part = {table.compact_up_to} "
        f"COMMENT '{LAYOUT_PREFIX}{LAYOUT}'"
    )


def _stored_columns(client: Client, database: str, table: str) -> dict[str, str]:
    frame = fetch(
        client,
        "SELECT name, type FROM system.columns WHERE database = unhex({db:String}) AND table = unhex({table:String})",
        {"db": hexed(database), "table": hexed(table)},
    )
    return dict(frame.iter_rows())


def _check_layout(client: Client, database: str, table: Table) -> None:
    frame = fetch(
        client,
        "SELECT comment, engine_full, sorting_key FROM system.tables "
        "WHERE database = unhex({db:String}) AND name = unhex({table:String})",
        {"db": hexed(database), "table": hexed(table.name)},
    )
    comment, engine, sorting_key = frame.row(0)
    if not comment.startswith(LAYOUT_PREFIX) or not comment[len(LAYOUT_PREFIX) :].isdigit():
        raise MigrationError(f"table {table.name} was not made by Zhida (its comment is {comment!r}); move it aside")
    if int(comment[len(LAYOUT_PREFIX) :]) != LAYOUT:
        raise MigrationError(f"table {table.name} has {comment}, this version writes {LAYOUT_PREFIX}{LAYOUT}")
    if not engine.startswith(table.engine) or sorting_key != ", ".join(table.order_by):
        raise MigrationError(
            f"table {table.name} is {engine.split(' ORDER', 1)[0]} ordered by {sorting_key}, "
            f"it must be {table.engine} ordered by {', '.join(table.order_by)}"
        )


def _check_server(client: Client) -> None:
    found = re.match(r"(\d+)\.(\d+)", str(client.server_version))
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < OLDEST_SERVER:
        needed = ".".join(map(str, OLDEST_SERVER))
        raise MigrationError(f"ClickHouse {client.server_version} is too old, Zhida needs {needed} or newer")


def _canonical(kind: str) -> str:
    return kind.replace(" ", "")
