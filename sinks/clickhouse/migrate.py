"""Bring the tables of the credit store up to the catalog: create, add columns, refuse everything else.

Idempotent, and safe when two processes do it at once. It never drops, narrows or rewrites: a field that left the
catalog keeps its column, and a field whose type changed is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from schemas.catalog import Catalog
from schemas.connection import ClickHouseConnection
from sinks.base import MigrationError
from sinks.clickhouse.engine import explained, fetch, hexed, open_client, qualified
from sinks.clickhouse.tables import LAYOUT, LAYOUT_PREFIX, Table, tables

#: The oldest server whose FINAL reads deleted rows and skips indexes as the read side needs it.
OLDEST_SERVER = (24, 8)


def migrate(client: Client, database: str, catalog: Catalog) -> list[str]:
    """Create or extend the tables and return the statements that were run (none when all was in place).

    Raises MigrationError when the server is too old, or what is stored cannot be written to any more.
    """
    done: list[str] = []
    # Looked at again after it was changed: another process may have made the same tables for another catalog.
    while statements := plan(client, database, catalog):
        if statements[0] in done:
            raise MigrationError(f"ClickHouse accepts this and does not carry it out: {statements[0]}")
        with explained("migration"):
            for statement in statements:
                client.command(statement)
        done += statements
    return done


def plan(client: Client, database: str, catalog: Catalog) -> list[str]:
    """The statements that :func:`migrate` would run now; raises MigrationError as it does. Changes nothing."""
    _check_server(client)
    with explained("migration"):
        stored = _stored_tables(client, database)
    statements = [] if stored is not None else [f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}"]
    for table in tables(catalog):
        found = (stored or {}).get(table.name)
        if found is not None:
            _check_layout(table, found)
        statements += _to_be_done(database, table, found.columns if found else None)
    return statements


def planned(connection: ClickHouseConnection, catalog: Catalog) -> list[str]:
    """:func:`plan` for whoever has no client; raises SinkUnavailable, SinkError or MigrationError."""
    client = open_client(connection)
    try:
        return plan(client, connection.database, catalog)
    finally:
        client.close()


def migrate_at(connection: ClickHouseConnection, catalog: Catalog) -> list[str]:
    """:func:`migrate` for whoever has no client; raises SinkUnavailable, SinkError or MigrationError."""
    client = open_client(connection)
    try:
        return migrate(client, connection.database, catalog)
    finally:
        client.close()


def plan_after(database: str, before: Iterable[Catalog], catalog: Catalog) -> list[str]:
    """What :func:`plan` says of a store that has been brought up to each of the catalogs *before*.

    For a store that cannot be asked, because another process holds it. Raises MigrationError.
    """
    stored: dict[str, dict[str, str]] = {}
    for table in (table for one in before for table in tables(one)):
        stored[table.name] = table.columns | stored.get(table.name, {})
    return [
        statement for table in tables(catalog) for statement in _to_be_done(database, table, stored.get(table.name))
    ]


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


def _to_be_done(database: str, table: Table, stored: dict[str, str] | None) -> list[str]:
    if stored is None:
        return [_create(database, table)]
    name = qualified(database, table.name)
    return [
        f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {_column(column, kind)}"
        for column, kind in missing_columns(table, stored).items()
    ]


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


@dataclass(frozen=True, slots=True)
class _Stored:
    """A table as it is in the store."""

    comment: str
    engine: str
    sorting_key: str
    columns: dict[str, str] = field(default_factory=dict)


def _stored_tables(client: Client, database: str) -> dict[str, _Stored] | None:
    """Every table of the database by name; None when there is no such database."""
    parameters = {"db": hexed(database)}
    if not fetch(client, "SELECT 1 FROM system.databases WHERE name = unhex({db:String})", parameters).height:
        return None
    found = fetch(
        client,
        "SELECT name, comment, engine_full, sorting_key FROM system.tables WHERE database = unhex({db:String})",
        parameters,
    )
    stored = {name: _Stored(comment, engine, key) for name, comment, engine, key in found.iter_rows()}
    columns = fetch(
        client, "SELECT table, name, type FROM system.columns WHERE database = unhex({db:String})", parameters
    )
    for table, name, kind in columns.iter_rows():
        if table in stored:
            stored[table].columns[name] = kind
    return stored


def _check_layout(table: Table, stored: _Stored) -> None:
    comment, engine = stored.comment, stored.engine
    if not comment.startswith(LAYOUT_PREFIX) or not comment[len(LAYOUT_PREFIX) :].isdigit():
        raise MigrationError(f"table {table.name} was not made by Zhida (its comment is {comment!r}); move it aside")
    if int(comment[len(LAYOUT_PREFIX) :]) != LAYOUT:
        raise MigrationError(f"table {table.name} has {comment}, this version writes {LAYOUT_PREFIX}{LAYOUT}")
    if not engine.startswith(table.engine) or stored.sorting_key != ", ".join(table.order_by):
        raise MigrationError(
            f"table {table.name} is {engine.split(' ORDER', 1)[0]} ordered by {stored.sorting_key}, "
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
