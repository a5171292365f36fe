"""SQLite, with one way to its thread and back for a statement, and none to begin a transaction.

aiosqlite goes to its thread for every call of the driver, and SQLAlchemy calls it four times for a statement:
to get a cursor, to run it, to fetch its rows and to close it. Each way takes longer than what is done there.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite

_BUSY_SECONDS = 30.0


async def connect(path: str, **options: Any) -> Connection:
    """Open a file; the options are those of `sqlite3.connect`."""
    connection = Connection(partial(_open, path, **options), iter_chunk_size=1)
    # A process may end without closing it; SQLAlchemy does the same with a connection that it makes itself.
    connection._thread.daemon = True  # noqa: SLF001
    await connection
    return connection


class Connection(aiosqlite.Connection):
    """A connection that begins a transaction with its first statement, on the way that it goes anyway."""

    begin: str | None = "BEGIN"
    """How: by this statement, or not at all, so that each statement commits by itself."""

    def cursor(self) -> Any:
        """What runs one statement."""
        return _Cursor(self)

    async def call(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do work with the driver's connection in its thread, in a transaction."""
        await self._execute(self._begun, work)

    async def commit(self) -> None:
        """Commit what was done, if anything was."""
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """Undo what was done, if anything was."""
        if self.in_transaction:
            await super().rollback()

    def _begun(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self.begin and not self.in_transaction:
            self._conn.execute(self.begin)
        work(self._conn)


class _Cursor:
    """One statement and its outcome, as SQLAlchemy asks an asynchronous driver for it."""

    arraysize = 1
    description: Any = None
    rowcount = -1
    lastrowid: int | None = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        await self._connection.call(lambda driver: self._keep(driver.execute(sql, parameters)))

    async def executemany(self, sql: str, parameters: Any) -> None:
        await self._connection.call(lambda driver: self._keep(driver.executemany(sql, parameters)))

    async def fetchall(self) -> Sequence[Any]:
        return self._rows

    async def close(self) -> None:
        """Nothing is left open."""

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        self._rows = cursor.fetchall()
        self.description, self.rowcount, self.lastrowid = (
            cursor.description,
            cursor.rowcount,
            cursor.lastrowid,
        )


def _open(path: str, **options: Any) -> sqlite3.Connection:
    # The driver shall not begin transactions by itself: it would not lock before the first write.
    connection = sqlite3.connect(path, isolation_level=None, **options)
    _write_ahead(connection)
    # Survives the death of the process; a power cut may take the last commits, as it may take
    # those of the laptop's broker.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to its write-ahead log; SQLite does not wait where another process just writes to it."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
