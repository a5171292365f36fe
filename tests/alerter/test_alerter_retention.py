"""Old history goes; what is open, untold or recent stays."""

import time

import pytest
from sqlalchemy import select, update

from services.alerter import retention
from services.alerter.store import entries, incidents, recoveries, save_recovery
from so1s.events import BuildFailed, DeploymentRemoved

DAYS = 90
both = pytest.mark.parametrize("state", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def break_and_remove(hear):
    """Opens so many incidents, each of a deployment of its own, and closes them again."""

    async def run(sample, count):
        for number in range(count):
            name = f"fraud-{number}"
            await hear(sample(0, variant=name, errors=100), sample(1, variant=name, errors=100))
            gone = {"account": "risk", "deployment": name, "revision": 1}
            await hear(DeploymentRemoved(**gone))

    return run


async def age(state, days, **told):
    """Lets everything in the store be so old."""
    async with state.transaction() as tx:
        at = time.time() - days * 86_400
        closed = update(incidents).where(incidents.c.open_key.is_(None))
        await tx.execute(closed.values(closed_at=at))
        await tx.execute(update(incidents).values(opened_at=at))
        await tx.execute(update(recoveries).values(at=at))
        if told:
            await tx.execute(update(incidents).values(told_revision=99))
            await tx.execute(update(entries).values(told))


async def kept(state):
    async with state.read() as connection:
        tables = (incidents, entries, recoveries)
        return [len((await connection.execute(select(table))).all()) for table in tables]


@both
async def test_what_ended_long_ago_goes_in_small_steps(state, sample, break_and_remove, monkeypatch):
    await break_and_remove(sample, 5)
    async with state.transaction() as tx:
        await save_recovery(tx, "risk/model/fraud", tx.now)
    await age(state, DAYS + 1, told=True)
    monkeypatch.setattr(retention, "_STEP", 2)
    await retention.prune(state, DAYS)
    assert await kept(state) == [0, 0, 0]


@both
async def test_an_open_incident_stays_however_old_it_is(state, hear):
    failed = {"account": "risk", "model": "fraud", "version": "2", "message": "no ONNX", "log_tail": ["x"]}
    await hear(BuildFailed(reason="format", step="inspect", **failed))
    await age(state, 1000, told=True)
    await retention.prune(state, DAYS)
    assert (await kept(state))[:2] == [1, 1]


async def test_what_people_were_not_told_yet_stays(state, sample, break_and_remove):
    await break_and_remove(sample, 1)
    await age(state, 1000)
    await retention.prune(state, DAYS)
    assert (await kept(state))[0] == 1


async def test_what_ended_lately_stays(state, sample, break_and_remove):
    await break_and_remove(sample, 1)
    await age(state, DAYS - 1, told=True)
    await retention.prune(state, DAYS)
    assert (await kept(state))[0] == 1
