"""Windows of what was removed, came back, or fell silent."""

from dataclasses import replace

import pytest

from services.collector.store import all_cursors
from tests.collector.cluster import DEPLOYMENT, REPLICA, START_MS

GATEWAY = "gateway"
DAY = 86_400
REPLICA_SUBJECT = "replica/u1"
REQUESTS_SUBJECT = "gateway/risk--fraud"
both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


async def test_requests_of_a_variant_that_went_away_within_the_window_are_counted(
    cluster, new_sampler, watch, usage
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.answer(requests=4)
    await watch(sampler, 7)
    cluster.remove(DEPLOYMENT)
    cluster.gateway = {}
    await watch(sampler, 20)
    assert {at: each.quantities for at, each in (await usage(GATEWAY)).items()} == {
        0: {"requests": 0},
        5: {"requests": 4},
    }


async def test_a_deployment_that_comes_back_has_no_windows_for_its_absence(
    cluster, new_sampler, watch, usage
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    sampler = new_sampler()
    await watch(sampler, 5)
    await watch(sampler, 7)
    cluster.remove(DEPLOYMENT)
    await watch(sampler, 50, looks_at=[10, 50])
    cluster.run(replace(REPLICA, uid="u2", started_ms=START_MS + 50_000))
    cluster.deploy(DEPLOYMENT)
    await watch(sampler, 55)
    assert list(await usage(GATEWAY)) == [0, 5, 50]


@both
async def test_cursors_of_replicas_without_a_record_are_forgotten(cluster, new_sampler, watch, store):
    cluster.run(REPLICA)
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.replicas.clear()
    await watch(sampler, 15)
    async with store.read() as connection:
        assert REPLICA_SUBJECT not in await all_cursors(connection)


@both
async def test_a_deployment_is_forgotten_a_day_after_its_requests_were_asked_for_last(
    cluster, new_sampler, watch, store
):
    async def subjects():
        async with store.read() as connection:
            return set(await all_cursors(connection))

    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.replicas.clear()
    await watch(sampler, 2 * DAY, looks_at=[2 * DAY])
    assert REQUESTS_SUBJECT in await subjects()  # scaled to zero for long, and deployed all the same
    cluster.deployments.clear()
    cluster.run(replace(REPLICA, uid="u2", ended_ms=START_MS + 1000))
    await watch(sampler, 2 * DAY + 10, looks_at=[2 * DAY + 10])
    assert REQUESTS_SUBJECT in await subjects()
    cluster.replicas.clear()
    await watch(sampler, 3 * DAY + 5, looks_at=[3 * DAY + 5])
    assert REQUESTS_SUBJECT in await subjects()
    await watch(sampler, 3 * DAY + 10, looks_at=[3 * DAY + 10])
    assert await subjects() == {"scrapes/envoy"}


@both
async def test_requests_of_a_removed_deployment_are_counted_by_a_collector_that_starts_after_its_end(
    cluster, new_sampler, watch, usage
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.answer(requests=300)
    await watch(new_sampler(), 5)
    cluster.now_ms = START_MS + 7_000
    cluster.remove(DEPLOYMENT)
    cluster.answer(requests=320)
    await watch(new_sampler(), 10, looks_at=[10])
    assert {at: each.quantities for at, each in (await usage(GATEWAY)).items()} == {
        0: {"requests": 300},
        5: {"requests": 20},
    }


async def test_what_is_counted_past_the_end_of_a_deployment_is_said_and_its_silence_is_not(
    cluster, new_sampler, watch, usage
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.answer(requests=4)
    sampler = new_sampler()
    await watch(sampler, 7)
    cluster.remove(DEPLOYMENT)
    await watch(sampler, 17)
    sampler = new_sampler()
    await watch(sampler, 19)
    cluster.answer(requests=9)
    await watch(sampler, 40)
    assert {at: each.quantities for at, each in (await usage(GATEWAY)).items()} == {
        0: {"requests": 4},
        5: {"requests": 0},
        15: {"requests": 5},
    }


async def test_the_silence_of_a_removed_deployment_is_recorded_once_an_hour(
    cluster, new_sampler, watch, store
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    sampler, recorded = new_sampler(60), []
    for minute in range(1, 150):
        if minute == 10:
            cluster.remove(DEPLOYMENT)
        await watch(sampler, minute * 60, looks_at=[minute * 60])
        async with store.read() as connection:
            cursor = (await all_cursors(connection))[REQUESTS_SUBJECT]
        recorded.append((cursor.sampled_until_ms - START_MS) // 60_000)
    assert sorted(set(recorded)) == [*range(1, 10), 60, 120]


@pytest.mark.parametrize("restarts", [(), (45, 70), range(150)], ids=["never", "at times", "each minute"])
async def test_what_is_counted_after_a_silence_is_said_once_in_the_window_in_which_it_was_read(
    cluster, new_sampler, watch, usage, restarts
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    sampler, counted = new_sampler(60), {3: 7, 40: 8, 69: 10, 70: 13, 130: 15}
    for minute in range(1, 150):
        if minute == 10:
            cluster.remove(DEPLOYMENT)
        if minute in restarts:
            sampler = new_sampler(60)
        if minute in counted:
            cluster.answer(requests=counted[minute])
        await watch(sampler, minute * 60, looks_at=[minute * 60])
    found = {at // 60 + 1: each.quantities["requests"] for at, each in (await usage(GATEWAY)).items()}
    assert {at: requests for at, requests in found.items() if requests} == {3: 7, 40: 1, 69: 2, 70: 3, 130: 2}
