"""How often a store goes to its database: what an event costs, beside its handler."""

import contextlib

import aiosqlite
import pytest
import sqlalchemy as sa

from so1s.events.envelope import Cause
from so1s.store import Store, engine, inbox
from tests.tables import make_tables

CAUSE = Cause("upload-1", "upload-1")


@pytest.fixture
async def sqlite(tmp_path):
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/store.db", producer="tester")
    await make_tables(store)
    await store.attempt("warm", "up")
    yield store
    await store.close()


@pytest.fixture
def ways(monkeypatch):
    """Every way to SQLite's thread."""
    seen, execute = [], aiosqlite.Connection._execute

    async def noting(connection, *call):
        seen.append(call)
        return await execute(connection, *call)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", noting)
    return seen


async def test_an_attempt_goes_to_sqlite_once(sqlite, ways):
    await sqlite.attempt("pipeline", "1")
    assert len(ways) == 1


async def test_a_transaction_goes_to_sqlite_once_a_statement_and_once_to_commit(sqlite, ways, greeted):
    async with sqlite.transaction(CAUSE) as tx:
        assert await inbox.mark_handled(tx.connection, "warm", "up", tx.now)
        tx.emit(greeted(account="risk", name="ada"))
    assert len(ways) == 3


async def test_a_transaction_without_a_statement_does_not_go_to_sqlite(sqlite, ways):
    async with sqlite.transaction():
        pass
    with contextlib.suppress(ZeroDivisionError):
        async with sqlite.transaction():
            raise ZeroDivisionError
    assert ways == []


async def test_sending_goes_to_sqlite_to_ask_and_to_note(sqlite, ways, greeted, wire):
    async with sqlite.transaction(CAUSE) as tx:
        tx.emit(greeted(account="risk", name="ada"))
    ways.clear()
    assert await sqlite.outbox.flush(wire) == 1
    assert len(ways) == 2


@pytest.fixture(params=[0.0, 3600.0])
async def postgresql(postgres, monkeypatch, request):
    """A store whose connection was cut off by the server while nobody used it."""
    store = Store(postgres, producer="tester")
    cutting = Store(postgres, producer="cutter")
    async with store.read() as connection:
        process = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
    async with cutting.read() as connection:
        await connection.execute(sa.text(f"SELECT pg_terminate_backend({process}, 60000)"))
    monkeypatch.setattr(engine, "_UNUSED_SECONDS", request.param)
    yield store
    for each in (store, cutting):
        await each.close()


async def test_a_connection_that_was_cut_off_while_nobody_used_it_is_made_anew(postgresql):
    async with postgresql.read() as connection:
        assert (await connection.execute(sa.text("SELECT 1"))).scalar_one() == 1
