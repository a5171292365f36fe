"""Engines that behave alike: real transactions, and writers that wait for one another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_BUSY_MILLISECONDS = 30_000


def create_engine(url: str, schema: str | None = None) -> AsyncEngine:
    """Make the engine of a store.

    Args:
        url: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`.
        schema: PostgreSQL: where this service's tables are.
    """
    if url.startswith("postgresql"):
        settings = {"search_path": schema} if schema else {}
        return create_async_engine(url, pool_pre_ping=True, connect_args={"server_settings": settings})
    engine = create_async_engine(url, connect_args={"timeout": _BUSY_MILLISECONDS / 1000})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """Open a transaction that only reads, and waits for no writer."""
    async with engine.connect() as raw:
        connection = await raw.execution_options(so1s_read_only=True)
        async with connection.begin():
            yield connection


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver shall not begin transactions by itself: it would not lock before the first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # Survives the death of the process; a power cut may take the last commits, as it may take
    # those of the laptop's broker.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # A transaction that reads first and writes later would fail where another one wrote in between.
    deferred = connection.get_execution_options().get("so1s_read_only", False)
    connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")
