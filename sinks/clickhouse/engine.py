"""Clients of ClickHouse, embedded or over HTTP, for code that runs in several threads.

In the embedded case every client is a handle of its own to the one engine of the process. Measured with chDB 4.4: calls
release the interpreter lock, handles run side by side (two one-second queries take one second), query parameters do not
leak between them, but one handle does one thing at a time. So a thread that works borrows a client of its own from a
:class:`ClientPool`, and a read never waits for an insert. Over HTTP the same pool saves the handshake.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import clickhouse_connect
import polars as pl
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from schemas.connection import ClickHouseConnection
from sinks.base import SinkError, SinkUnavailable

#: Rows must be stored when an insert returns (async_insert would gather them for up to 200 ms); sorting out duplicates
#: is left to the merges, which do it anyway; and a log entry costs as much as a small insert.
INSERT_SETTINGS = {"async_insert": "0", "optimize_on_insert": "0", "log_queries": "0"}
#: Up to this many rows, more threads only cost time.
SMALL_INSERT = 2000
_SMALL_INSERT_SETTINGS = {**INSERT_SETTINGS, "max_threads": "1", "max_insert_threads": "1"}


def open_client(connection: ClickHouseConnection, *, seconds: float | None = None) -> Client:
    """A client for one thread at a time; raises SinkUnavailable when nobody answers or the login is refused.

    A server is given *seconds* to take a connection and to answer; by default 5 and 60.
    """
    try:
        if connection.path is not None:
            connection.path.mkdir(parents=True, exist_ok=True)
            return clickhouse_connect.get_client(interface="chdb", path=str(connection.path))
        return clickhouse_connect.get_client(
            host=connection.host,
            port=connection.port,
            username=connection.username,
            password=connection.password,
            secure=connection.secure,
            ca_cert=str(connection.ca_file) if connection.ca_file else None,
            autogenerate_session_id=False,
            connect_timeout=seconds or 5,
            send_receive_timeout=seconds or 60,
        )
    except (ClickHouseError, OSError, RuntimeError) as error:
        raise SinkUnavailable(f"ClickHouse at {where(connection)} cannot be opened: {error}") from error


def where(connection: ClickHouseConnection) -> str:
    """The place in words, without the password."""
    return str(connection.path) if connection.path is not None else f"{connection.host}:{connection.port}"


def qualified(database: str, table: str) -> str:
    """``database.table``, quoted."""
    return f"{quote_identifier(database)}.{quote_identifier(table)}"


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn the client's errors into ours: SinkUnavailable where trying again may help, SinkError elsewhere."""
    try:
        yield
    except OperationalError as error:
        raise SinkUnavailable(f"ClickHouse: {action}: {error}") from error
    except ClickHouseError as error:
        raise SinkError(f"ClickHouse: {action}: {error}") from error
    except OSError as error:
        raise SinkUnavailable(f"ClickHouse: {action}: {error}") from error


def fetch(client: Client, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """The result of a query as a frame. Settings go into the query's own SETTINGS clause.

    Text from outside is passed hex-encoded and read with ``unhex({name:String})`` (see :func:`hexed`), which no quote,
    backslash or NUL can break in either transport.
    """
    raw = client.raw_query(sql, dict(parameters or {}), fmt="Arrow")
    return pl.read_ipc(io.BytesIO(raw), use_pyarrow=False) if raw else pl.DataFrame()


def hexed(text: str) -> str:
    """Text for ``unhex({name:String})``."""
    return text.encode("utf-8", "surrogatepass").hex()


def insert(client: Client, database: str, table: str, frame: pl.DataFrame) -> None:
    """Insert a frame by column names; does nothing for an empty one."""
    if frame.height:
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        settings = INSERT_SETTINGS if frame.height > SMALL_INSERT else _SMALL_INSERT_SETTINGS
        client.insert_arrow(quote_identifier(table), arrow, database=quote_identifier(database), settings=settings)


class ClientPool:
    """At most *size* clients of one connection, opened when first needed, each lent to one thread at a time."""

    def __init__(self, connection: ClickHouseConnection, size: int = 8) -> None:
        self._connection = connection
        self._idle: queue.LifoQueue[Client] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(size)
        self._closed = threading.Event()

    @contextmanager
    def lend(self, action: str) -> Iterator[Client]:
        """A client for the time of the block; *action* says in errors what was being done."""
        if self._closed.is_set():
            raise SinkError(f"ClickHouse: {action}: the store has been closed")
        with self._slots:
            try:
                client = self._idle.get_nowait()
            except queue.Empty:
                client = open_client(self._connection)
            try:
                with explained(action):
                    yield client
            finally:
                if self._closed.is_set():
                    client.close()
                else:
                    self._idle.put(client)

    def close(self) -> None:
        """Close idle clients now and lent ones when they come back."""
        self._closed.set()
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return
