import json
from dataclasses import replace

import pytest
from sqlalchemy import insert, update

from services.collector.adapters.kubernetes import memory
from services.collector.domain.counters import Reading, Shown, born
from services.collector.domain.steps import Cursor
from services.collector.settings import Settings
from services.collector.store import advance, all_cursors, cursors
from tests.collector.cluster import REPLICA, START_MS

both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
ENDED = replace(REPLICA, uid="u2", pod="fraud-2", ended_ms=START_MS + 5, end_estimated=True)


@both
async def test_replicas_are_remembered_as_they_are(store):
    async with store.transaction() as tx:
        await memory.remember(tx, [REPLICA, replace(ENDED, ended_ms=None)])
        await memory.remember(tx, [ENDED])
        await memory.watch_until(tx, START_MS)
        await memory.watch_until(tx, START_MS + 9)
    async with store.read() as connection:
        assert await memory.all_replicas(connection) == {"u1": REPLICA, "u2": ENDED}
        assert await memory.watched_until(connection) == START_MS + 9


@both
async def test_replicas_that_live_are_never_forgotten(store):
    async with store.transaction() as tx:
        await memory.remember(tx, [REPLICA, ENDED])
        await memory.forget(tx, ENDED.ended_ms + 1)
    async with store.read() as connection:
        assert await memory.all_replicas(connection) == {"u1": REPLICA}


@both
async def test_what_a_source_showed_of_a_moment_is_kept_beside_its_cursor(store):
    taken_ms = {"GPU-1": START_MS - 3}
    shown = Shown("q", {"requests": 1007}, START_MS - 1, taken_ms=taken_ms, gauges_since_ms=START_MS - 9)
    reading = Reading(START_MS, {"requests": 7}, shown=shown)
    first, second = Cursor(START_MS, born(0)), Cursor(START_MS + 5, reading)
    async with store.transaction() as tx:
        assert await advance(tx, "gateway/a", None, first)
        assert await advance(tx, "gateway/a", first, second)
    async with store.read() as connection:
        assert await all_cursors(connection) == {"gateway/a": second}


@both
async def test_a_cursor_of_an_older_collector_goes_on(store):
    row = {"subject": "gateway/a", "sampled_until_ms": START_MS, "ended": False, "read_at_ms": START_MS}
    async with store.transaction() as tx:
        await tx.execute(insert(cursors).values(row | {"epoch": "", "counters": "{}"}))
    async with store.read() as connection:
        assert await all_cursors(connection) == {"gateway/a": Cursor(START_MS, born(START_MS))}


async def test_what_a_newer_collector_keeps_beside_a_cursor_is_ignored(store):
    """It leads again after a rollback."""
    reading = Reading(START_MS, {"requests": 7}, shown=Shown("q", {"requests": 1007}))
    async with store.transaction() as tx:
        await advance(tx, "gateway/a", None, Cursor(START_MS, reading))
        newer = json.dumps(
            {"at_ms": START_MS, "question": "q", "sums": {"requests": 1007}, "later": {"a": 1}}
        )
        await tx.execute(update(cursors).values(shown=newer))
    async with store.read() as connection:
        assert (await all_cursors(connection))["gateway/a"].last == reading


@both
async def test_what_was_shown_is_not_compared_with_a_moment_that_an_older_collector_read_since(store):
    """It leads again after a rollback, and knows no column for it."""
    reading = Reading(START_MS, {"requests": 100}, shown=Shown("q", {"requests": 100}))
    moved = {"sampled_until_ms": START_MS + 5, "read_at_ms": START_MS + 5, "counters": '{"requests": 150}'}
    async with store.transaction() as tx:
        await advance(tx, "gateway/a", None, Cursor(START_MS, reading))
        await tx.execute(update(cursors).values(moved))
    async with store.read() as connection:
        found = await all_cursors(connection)
    assert found == {"gateway/a": Cursor(START_MS + 5, Reading(START_MS + 5, {"requests": 150}))}


async def test_nothing_was_watched_at_first(store):
    async with store.read() as connection:
        assert await memory.watched_until(connection) is None


def test_a_clusters_windows_hold_its_scrapes():
    url = "sqlite+aiosqlite://"
    assert Settings(database_url=url).window_seconds == 5
    assert Settings(database_url=url, source="cluster").window_seconds == 60
    with pytest.raises(ValueError, match="stale_seconds: allowed: at most window_seconds, 5"):
        Settings(database_url=url, source="cluster", window_seconds=5)
