"""State and events commit together, or not at all."""

import asyncio
import contextlib
import sqlite3
import threading
from contextlib import AsyncExitStack

import pytest
import sqlalchemy as sa

from so1s.events.codec import unwrap
from so1s.events.envelope import Cause
from so1s.events.ids import derived_id
from so1s.store import Store, upsert

CAUSE = Cause("upload-1", "upload-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
counters = sa.Table(
    "counters", sa.MetaData(), sa.Column("name", sa.String, primary_key=True), sa.Column("count", sa.Integer)
)


@pytest.fixture
async def counting(store):
    async with store.engine.begin() as connection:
        await connection.run_sync(counters.metadata.create_all)
    return store


async def counts(store):
    async with store.read() as connection:
        return {row.name: row.count for row in await connection.execute(sa.select(counters))}


async def test_state_and_events_appear_together(counting, greeted, wire):
    async with counting.transaction(CAUSE) as tx:
        await tx.execute(sa.insert(counters), {"name": "a", "count": 1})
        tx.emit(greeted(account="risk", name="ada"))
        assert (await counting.outbox.depth()).unsent == 0
    assert await counts(counting) == {"a": 1}
    assert await counting.outbox.flush(wire) == 1
    assert [record.topic for record in wire.records] == ["test-store.greeted"]


async def test_the_statements_of_a_snapshot_see_one_moment(counting):
    counted = sa.select(sa.func.count()).select_from(counters)
    async with counting.snapshot() as connection:
        assert (await connection.execute(counted)).scalar_one() == 0
        async with counting.transaction() as tx:
            await tx.execute(sa.insert(counters), {"name": "a", "count": 1})
        assert (await connection.execute(counted)).scalar_one() == 0
    assert await counts(counting) == {"a": 1}


async def test_a_connection_that_read_begins_transactions_again(counting):
    """As each block uses the connection that the one before gave back."""
    for block in (counting.read, counting.snapshot):
        async with block() as connection:
            await connection.execute(sa.select(counters))
        with contextlib.suppress(ZeroDivisionError):
            async with counting.engine.begin() as connection:
                await connection.execute(sa.insert(counters), {"name": "a", "count": 1})
                raise ZeroDivisionError
        with contextlib.suppress(ZeroDivisionError):
            async with counting.transaction() as tx:
                await tx.execute(sa.insert(counters), {"name": "a", "count": 1})
                raise ZeroDivisionError
        assert await counts(counting) == {}


async def test_a_rollback_keeps_no_state_and_sends_nothing(counting, greeted, wire):
    woken = []
    counting.on_emitted = lambda: woken.append(True)

    async def fail():
        async with counting.transaction(CAUSE) as tx:
            await tx.execute(sa.insert(counters), {"name": "a", "count": 1})
            tx.emit(greeted(account="risk", name="ada"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await counts(counting) == {}
    assert await counting.outbox.flush(wire) == 0
    assert woken == []


async def test_a_cancelled_transaction_keeps_no_state_and_sends_nothing(counting, greeted, wire):
    inside = asyncio.Event()

    async def endless():
        async with counting.transaction(CAUSE) as tx:
            await tx.execute(sa.insert(counters), {"name": "a", "count": 1})
            tx.emit(greeted(account="risk", name="ada"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(endless())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await counts(counting) == {}
    assert await counting.outbox.flush(wire) == 0


async def test_whoever_sends_is_woken_after_the_commit(store, greeted):
    depths = []
    store.on_emitted = lambda: depths.append(asyncio.ensure_future(store.outbox.depth()))
    async with store.transaction(CAUSE):
        pass
    async with store.transaction(CAUSE) as tx:
        tx.emit(greeted(account="risk", name="ada"))
    assert await asyncio.gather(*depths) == [(1, 0)]


async def test_an_event_that_nothing_caused_needs_an_id(store, greeted):
    with pytest.raises(ValueError, match="needs an id"):
        async with store.transaction() as tx:
            tx.emit(greeted(account="risk", name="ada"))


async def test_a_repeated_cause_gives_the_same_events_once(store, greeted, wire):
    for _ in range(2):
        async with store.transaction(CAUSE) as tx:
            for text in ("one", "two"):
                tx.emit(greeted(account="risk", name="ada", text=text))
        await store.outbox.flush(wire)
    assert len({record.event_id for record in wire.records}) == len(wire.records) == 2


async def test_an_id_of_its_own_is_sent_once(store, greeted, wire):
    for _ in range(2):
        async with store.transaction() as tx:
            tx.emit(greeted(account="risk", name="ada"), id="window-7")
    assert await store.outbox.flush(wire) == 1


async def test_writers_on_two_replicas_wait_for_one_another(counting, open_store):
    """Each reads first and writes later, which SQLite refuses where another one wrote in between."""
    other = open_store()
    await upsert_count(counting)

    async def count_up(store):
        async with store.transaction() as tx:
            row = (await tx.execute(sa.select(counters.c.count).with_for_update())).one()
            await tx.execute(sa.update(counters).values(count=row.count + 1))

    await asyncio.gather(*(count_up(store) for store in [counting, other] * 10))
    assert await counts(counting) == {"a": 20}


async def upsert_count(store):
    async with store.transaction() as tx:
        await upsert(tx, counters, {"name": "a", "count": 0}, keys=["name"])


async def test_a_reader_waits_for_no_writer(counting):
    async with counting.transaction() as tx:
        await tx.execute(sa.insert(counters), {"name": "a", "count": 1})
        async with asyncio.timeout(25):  # one that waits does so for 30 s
            assert await counts(counting) == {}
            assert (await counting.outbox.depth()).unsent == 0


async def test_upsert_inserts_updates_what_is_named_and_leaves_the_rest(counting):
    async with counting.transaction() as tx:
        assert await upsert(tx, counters, {"name": "a", "count": 1}, keys=["name"]) == 1
        assert await upsert(tx, counters, {"name": "a", "count": 2}, keys=["name"]) == 0
        assert await upsert(tx, counters, {"name": "b", "count": 3}, keys=["name"], update=["count"]) == 1
        assert await upsert(tx, counters, {"name": "b", "count": 4}, keys=["name"], update=["count"]) == 1
        await upsert(tx, counters, [{"name": n, "count": 5} for n in "bcc"], keys=["name"], update=["count"])
        assert await upsert(tx, counters, [], keys=["name"]) == 0
    assert await counts(counting) == {"a": 1, "b": 5, "c": 5}


async def test_writers_of_one_process_get_their_turns_in_the_order_in_which_they_asked(counting):
    turns = []

    async def write(number):
        async with counting.transaction() as tx:
            turns.append(number)
            await tx.execute(sa.insert(counters), {"name": str(number), "count": 1})

    async with counting.transaction():
        writers = [asyncio.create_task(write(number)) for number in range(10)]
        await asyncio.sleep(0)
    await asyncio.gather(*writers)
    if counting.engine.dialect.name == "sqlite":
        assert turns == list(range(10))
    assert len(await counts(counting)) == 10


async def test_a_new_database_that_another_process_writes_to_is_waited_for(tmp_path):
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    committing = threading.Timer(0.05, other.execute, ["COMMIT"])
    committing.start()
    store = Store(f"sqlite+aiosqlite:///{path}", producer="tester")
    async with store.read() as connection:
        assert (await connection.execute(sa.text("PRAGMA journal_mode"))).scalar() == "wal"
    await store.close()
    committing.join()
    other.close()


async def test_an_event_that_answers_another_cause_continues_the_chain_of_that_one(store, greeted, wire):
    other = Cause("upload-2", "chain-2", CAUSE.traceparent)
    async with store.transaction(CAUSE) as tx:
        for cause in (None, other, other):
            tx.emit(greeted(account="risk", name="ada"), cause=cause)
    await store.outbox.flush(wire)
    said = [unwrap(record.headers, record.value) for record in wire.records]
    assert [(each.cause_id, each.correlation_id) for each in said] == [
        ("upload-1", "upload-1"),
        ("upload-2", "chain-2"),
        ("upload-2", "chain-2"),
    ]
    again = derived_id("tester", "upload-2", said[2].type, "risk/ada", 1)
    assert [each.id for each in said[1:]] == [
        derived_id("tester", "upload-2", said[1].type, "risk/ada", 0),
        again,
    ]


async def test_a_loop_with_16_subjects_at_once_leaves_connections_to_the_others(store):
    async with asyncio.timeout(10), AsyncExitStack() as busy:
        for _ in range(16):
            await busy.enter_async_context(store.read())
        await busy.enter_async_context(store.transaction(CAUSE))
        for _ in range(4):
            await busy.enter_async_context(store.read())


async def test_what_waits_for_a_commit_is_called_once_it_is_there_and_never_after_a_rollback(store):
    called = []
    async with store.transaction() as tx:
        tx.after_commit(lambda: called.append("committed"))
        assert called == []
    with contextlib.suppress(ZeroDivisionError):
        async with store.transaction() as tx:
            tx.after_commit(lambda: called.append("rolled back"))
            raise ZeroDivisionError
    assert called == ["committed"]
