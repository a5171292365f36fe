"""Databases that behave alike: real transactions, and writers that wait for one another."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

T = TypeVar("T")

_BUSY_MILLISECONDS = 30_000
_CLOSE_SECONDS = 5.0
_POOL = {"pool_size": 20, "max_overflow": 5}
"""Enough for a loop with 16 subjects at once, and for the handlers, the relay and the lease beside it."""


class Database:
    """One database, and how its transactions are opened."""

    def __init__(self, url: str, schema: str | None = None) -> None:
        """Make the engine; nothing is opened yet.

        Args:
            url: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`.
            schema: PostgreSQL: where this service's tables are.
        """
        self.engine = create_engine(url, schema)
        # SQLite has one writer at a time, and who waits for it asks again after sleeps of up to 0.1 s:
        # within a process, writers queue instead.
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self._is_sqlite else nullcontext()
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a transaction that commits at the end of the block, or rolls back on an error."""
        async with self._turn, self._connection() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a transaction that only reads, and waits for no writer."""
        async with self._connection() as raw:
            connection = await raw.execution_options(so1s_read_only=True)
            async with connection.begin():
                yield connection

    async def close(self) -> None:
        """Close every connection; wait a while for those in use: the pool would never close them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._unused.wait()
        await self.engine.dispose()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[AsyncConnection, None]:
        with self._in_use():
            connection = await (self._open_whole() if self._is_sqlite else self.engine.connect())
            try:
                yield connection
            finally:
                await whole(connection.close())  # one that comes back to a closed pool would not be closed

    @contextmanager
    def _in_use(self) -> Generator[None, None, None]:
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def _open_whole(self) -> AsyncConnection:
        """Open a connection to SQLite; a cancellation waits for it, as nobody would close a half open one."""
        opening = asyncio.ensure_future(self.engine.connect().start())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(Exception):
                await (await opening).close()
            raise


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Let work end though it is cancelled, if that does not take long."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_CLOSE_SECONDS)
        raise


def create_engine(url: str, schema: str | None = None) -> AsyncEngine:
    """Make the engine of a database; see `Database`."""
    if url.startswith("postgresql"):
        settings = {"search_path": schema} if schema else {}
        connecting = {"server_settings": settings}
        return create_async_engine(url, pool_pre_ping=True, connect_args=connecting, **_POOL)
    # Every block ends its own transaction: the pool's rollback would be one more way to the driver's thread.
    waiting = {"timeout": _BUSY_MILLISECONDS / 1000}
    engine = create_async_engine(url, connect_args=waiting, pool_reset_on_return=None, **_POOL)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "invalidate", _roll_back_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver shall not begin transactions by itself: it would not lock before the first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    _write_ahead(cursor)
    # Survives the death of the process; a power cut may take the last commits, as it may take
    # those of the laptop's broker.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Switch a file to its write-ahead log; SQLite does not wait where another process just writes to it."""
    deadline = time.monotonic() + _BUSY_MILLISECONDS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # at the first start of a service, when nothing else runs yet
        else:
            return


def _begin_sqlite(connection: Any) -> None:
    # A transaction that reads first and writes later would fail where another one wrote in between.
    deferred = connection.get_execution_options().get("so1s_read_only", False)
    begin = "BEGIN" if deferred else "BEGIN IMMEDIATE"
    try:
        # As a statement of SQLAlchemy's it would take three ways to the driver's thread and back.
        connection.connection.dbapi_connection.run_async(lambda driver: driver.execute(begin))
    except sqlite3.Error as error:
        raise OperationalError(begin, None, error) from error
    except BaseException as error:
        connection.invalidate(error)  # cancelled: it may have begun
        raise


def _roll_back_sqlite(connection: Any, _record: Any, _error: Any) -> None:
    """Free the write lock of a connection that is given up in the middle of a statement: a cancelled one.

    Closing alone would keep the lock until the statement is collected as garbage. The driver's own queue
    is used, since its thread may be busy with that statement.
    """
    driver = connection.driver_connection
    driver._tx.put_nowait((None, driver._conn.rollback))  # noqa: SLF001 - SQLAlchemy's dialect does the same
