"""The alerter's state is alike in SQLite and in PostgreSQL."""

from datetime import timedelta

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from services.alerter import store
from services.alerter.ports import Mark, Posted
from services.alerter.watchers import forget_silent
from so1s.events import BuildFailed

both = pytest.mark.parametrize("state", ["sqlite", "postgres"], indirect=True)


async def untold(state):
    async with state.read() as connection:
        return await store.untold(connection)


@both
async def test_what_is_told_is_told_no_more(hear, sample, state):
    await hear(sample(0, errors=100), sample(1, errors=100))
    failed = {"account": "risk", "model": "fraud", "version": "2", "message": "no ONNX", "log_tail": ["x"]}
    await hear(BuildFailed(reason="format", step="inspect", **failed))
    build, variant = sorted(await untold(state), key=lambda each: each.incident.finding.rule, reverse=True)
    assert [len(each.replies) for each in (build, variant)] == [1, 0]

    async with state.transaction() as tx:
        await store.mark_attempt(tx, Mark(build.incident.id))
        await store.mark_posted(tx, variant.incident.id, Posted("C1", "1.0"), 1)
    (build,) = await untold(state)
    assert build.attempted_at is not None

    async with state.transaction() as tx:
        await store.mark_posted(tx, build.incident.id, Posted("C1", "2.0"), 1)
        await store.mark_attempt(tx, Mark(build.incident.id, 1))
    (build,) = await untold(state)
    assert (build.posted, build.replies[0].attempted) == (Posted("C1", "2.0"), True)

    async with state.transaction() as tx:
        await store.mark_replied(tx, Mark(build.incident.id, 1))
    assert await untold(state) == []


@both
async def test_an_incident_lives_through_the_database(hear, sample, state, rulebook):
    await hear(*(sample(window, errors=errors) for window, errors in enumerate([90, 90, 0, 0, 90, 90])))
    await forget_silent(state, rulebook)
    async with state.read() as connection:
        found = await store.listed(connection, "risk", 10)
    assert [incident.outcome for incident in found] == ["closed", "resolved"]
    assert found[1].finding.began_at == sample(0).window_start
    assert found[1].resolved_at == sample(0).window_start + timedelta(seconds=10)


@both
async def test_a_problem_has_at_most_one_open_incident(hear, sample, state):
    await hear(sample(0, errors=100), sample(1, errors=100))
    async with state.read() as connection:
        (row,) = (await connection.execute(store.incidents.select())).mappings()
    another = store.incidents.insert().values({**row, "id": "another"})
    async with state.transaction() as tx:
        with pytest.raises(IntegrityError):
            await tx.execute(another)


@both
async def test_the_migrations_make_the_tables_that_the_code_speaks_of(state):
    async with state.engine.connect() as connection:
        tables = await connection.run_sync(
            lambda sync: {
                name: {c["name"] for c in inspect(sync).get_columns(name)} for name in store.metadata.tables
            }
        )
    assert tables == {name: set(table.columns.keys()) for name, table in store.metadata.tables.items()}
