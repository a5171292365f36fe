"""Databases that behave alike: real transactions, and writers that wait for one another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Dialect, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from so1s.store import sqlite

T = TypeVar("T")

_BUSY_SECONDS = 30.0
_TO_WRITE = "BEGIN IMMEDIATE"
_CLOSE_SECONDS = 5.0
_UNUSED_SECONDS = 1.0
"""What was used since then is not asked whether it still is connected."""
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
        # One that reads first and writes later would fail where another one wrote in between.
        async with self._turn, self._connection(_TO_WRITE) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def singly(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a connection whose statements commit each by itself."""
        async with self._turn, self._connection(None, "AUTOCOMMIT") as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a connection that only reads, and waits for no writer; each statement sees what is there."""
        async with self._connection(None, "AUTOCOMMIT") as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a transaction that only reads, and waits for no writer; all its statements see one moment."""
        async with self._connection("BEGIN", "REPEATABLE READ") as connection, connection.begin():
            yield connection

    async def close(self) -> None:
        """Close every connection; wait a while for those in use: the pool would never close them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._unused.wait()
        await self.engine.dispose()

    @asynccontextmanager
    async def _connection(
        self, begin: str | None, isolation: str | None = None
    ) -> AsyncGenerator[AsyncConnection, None]:
        """Open a connection.

        Args:
            begin: SQLite: how its transactions begin; None where a statement is one by itself.
            isolation: PostgreSQL: how they are isolated, where that is not as usual.
        """
        with self._in_use():
            connection = await (self._open_whole() if self._is_sqlite else self.engine.connect())
            try:
                if self._is_sqlite:
                    _begin_sqlite_by(connection, begin)
                elif isolation:
                    await connection.execution_options(isolation_level=isolation)
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
        engine = create_async_engine(url, connect_args=connecting, **_POOL)
        event.listen(engine.sync_engine, "checkin", _note_use)
        event.listen(engine.sync_engine, "checkout", partial(_ping_unused, engine.dialect))
        return engine
    # Every block ends its own transaction: the pool's rollback would be one more way to the driver's thread.
    opening = {"async_creator_fn": sqlite.connect, "timeout": _BUSY_SECONDS}
    engine = create_async_engine(url, connect_args=opening, pool_reset_on_return=None, **_POOL)
    event.listen(engine.sync_engine, "checkout", _begin_sqlite_to_write)
    event.listen(engine.sync_engine, "invalidate", _roll_back_sqlite)
    return engine


def _begin_sqlite_by(connection: AsyncConnection, begin: str | None) -> None:
    opened: Any = connection.sync_connection
    opened.connection.driver_connection.begin = begin


def _begin_sqlite_to_write(connection: Any, _record: Any, _proxy: Any) -> None:
    """Forget how the transactions of who had the connection before began: what asks the engine may write."""
    connection.driver_connection.begin = _TO_WRITE


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_unused(dialect: Dialect, connection: Any, record: Any, _proxy: Any) -> None:
    """Make a connection anew that broke while nobody used it; to ask takes three ways to PostgreSQL."""
    if connection.driver_connection.is_closed():  # as the socket tells without being asked
        raise InvalidatePoolError
    if time.monotonic() - record.info.get("used_at", math.inf) < _UNUSED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error


def _roll_back_sqlite(connection: Any, _record: Any, _error: Any) -> None:
    """Free the write lock of a connection that is given up in the middle of a statement: a cancelled one.

    Closing alone would keep the lock until the statement is collected as garbage. The driver's own queue
    is used, since its thread may be busy with that statement.
    """
    driver = connection.driver_connection
    driver._tx.put_nowait((None, driver._conn.rollback))  # noqa: SLF001 - SQLAlchemy's dialect does the same
