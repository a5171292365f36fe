"""Connections that are given up while they are opened, or given back."""

import asyncio
import gc
import weakref

import pytest
from sqlalchemy import event

from so1s.store.engine import Database


@pytest.mark.parametrize("moment", ["connect", "reset"])
async def test_a_connection_is_closed_though_its_user_is_cancelled(tmp_path, moment):
    """A driver that is not closed warns when it is collected, and a warning fails the test."""
    database, reached = Database(f"sqlite+aiosqlite:///{tmp_path}/cancelled.db"), asyncio.Event()
    drivers = []

    async def use() -> None:
        async with database.reading() as connection:
            raw = await connection.get_raw_connection()
            drivers.append(weakref.ref(raw.driver_connection))

    using = asyncio.create_task(use())
    event.listen(database.engine.sync_engine, moment, lambda *_: reached.set(), insert=True)
    await reached.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    await database.close()
    assert all(driver() is None or driver()._connection is None for driver in drivers)
    gc.collect()


async def test_a_database_that_closes_waits_for_a_connection_in_use(tmp_path):
    database, let_go = Database(f"sqlite+aiosqlite:///{tmp_path}/used.db"), asyncio.Event()
    drivers, used = [], asyncio.Event()

    async def use() -> None:
        async with database.reading() as connection:
            raw = await connection.get_raw_connection()
            drivers.append(raw.driver_connection)
            used.set()
            await let_go.wait()

    using = asyncio.create_task(use())
    await used.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    let_go.set()
    await asyncio.gather(using, closing)
    assert drivers[0]._connection is None
