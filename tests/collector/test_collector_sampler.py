"""Windows, as a collector says them that looks once a second."""

import math
from contextlib import contextmanager
from dataclasses import replace

import pytest

from services.collector.domain.samples import bucket
from so1s.events import GatewaySampled, HealthSampled, UsageCorrected, UsageSampled
from tests.collector.cluster import DEPLOYMENT, REPLICA, START_MS

GATEWAY = "gateway"
both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


async def test_a_whole_window_is_complete_and_exact(cluster, new_sampler, watch, usage):
    cluster.run(REPLICA)
    sampler = new_sampler()
    for second in range(1, 6):
        cluster.spend("u1", second * 100_000)
        await watch(sampler, second)
    sample = (await usage("u1"))[0]
    assert sample.quality == "complete"
    assert sample.quantities == {
        "cpu_reserved": 500 * 5000,
        "memory_reserved": 512 * 5000,
        "gpu_reserved": 5000,
        "cpu_used": 500_000,
        "memory_used": 100 * 5000,
    }


async def test_a_replica_that_starts_and_ends_within_windows_reserves_by_the_millisecond(
    cluster, new_sampler, watch, usage
):
    cluster.run(replace(REPLICA, started_ms=START_MS + 1234))
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.end("u1", START_MS + 7001)
    await watch(sampler, 20)
    alive = {second: sample.quantities["gpu_reserved"] for second, sample in (await usage("u1")).items()}
    assert alive == {0: 5000 - 1234, 5: 2001}


async def test_an_end_that_becomes_known_late_is_corrected(cluster, new_sampler, watch, usage, said):
    cluster.run(REPLICA)
    sampler = new_sampler()
    await watch(sampler, 10)
    cluster.end("u1", START_MS + 4_900)
    await watch(sampler, 20)
    corrected = [each.event for each in await said(UsageCorrected)]
    assert [each.window_start.timestamp() * 1000 - START_MS for each in corrected] == [0, 5_000]
    assert [each.quantities["gpu_reserved"] for each in corrected] == [4_900, 0]
    assert list(await usage("u1")) == [0, 5]


async def test_each_sample_continues_the_chain_of_its_replica(cluster, new_sampler, watch, said):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    await watch(new_sampler(), 5)
    for each in [*await said(UsageSampled), *await said(HealthSampled)]:
        assert (each.cause_id, each.correlation_id) == ("upload-1", "chain-1")


@both
async def test_windows_missed_while_the_collector_was_down_are_gaps_that_reserve_exactly(
    cluster, new_sampler, watch, usage
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.spend("u1", 0)
    cluster.answer(requests=10)
    await watch(new_sampler(), 5)
    cluster.spend("u1", 700_000)
    cluster.answer(requests=25)
    await watch(new_sampler(), 20, looks_at=[20])
    found = await usage("u1")
    assert [found[second].quality for second in (5, 10, 15)] == ["gap", "gap", "partial"]
    assert all(sample.quantities["cpu_reserved"] == 2_500_000 for sample in found.values())
    assert "cpu_used" not in found[5].quantities
    assert found[15].quantities["cpu_used"] == 700_000
    requests = {second: each.quantities.get("requests") for second, each in (await usage(GATEWAY)).items()}
    assert requests == {0: 10, 5: None, 10: None, 15: 15}


@both
async def test_a_second_collector_says_nothing_twice(cluster, new_sampler, watch, said):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    first, second = new_sampler(), new_sampler()
    await watch(first, 5)
    cluster.answer(requests=3)
    for at in (10, 15, 20):
        await watch(first, at, looks_at=[at])
        await watch(second, at, looks_at=[at])
    found = await said(UsageSampled)
    keys = [(each.event.replica, each.event.window_start) for each in found]
    assert len(keys) == len(set(keys)) == 8
    assert sum(each.event.quantities.get("requests", 0) for each in found) == 3


async def test_a_collector_that_was_asleep_counts_nothing_again(cluster, new_sampler, watch, said):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    leader, sleeper = new_sampler(), new_sampler()
    await watch(sleeper, 10, looks_at=[10])
    cluster.answer(requests=3)
    await watch(leader, 15, looks_at=[11, 15])
    await watch(sleeper, 21, looks_at=[20, 21])
    samples = [each.event for each in await said(UsageSampled) if each.event.replica == GATEWAY]
    assert [each.quantities.get("requests") for each in samples] == [None, 0, 3, 0]


async def test_a_restarted_process_is_partial_and_counts_from_zero(cluster, new_sampler, watch, usage):
    cluster.run(REPLICA)
    cluster.spend("u1", 900_000)
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.spend("u1", 40_000, epoch="second")
    await watch(sampler, 10)
    sample = (await usage("u1"))[5]
    assert (sample.quality, sample.quantities["cpu_used"]) == ("partial", 40_000)


async def test_a_restarted_gateway_is_partial_and_counts_from_zero(cluster, new_sampler, watch, usage):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.answer(requests=100, uptime_seconds=50)
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.answer(requests=120, uptime_seconds=1)
    await watch(sampler, 10)
    sample = (await usage(GATEWAY))[5]
    assert (sample.quality, sample.quantities) == ("partial", {"requests": 120})


async def test_a_missed_scrape_leaves_a_gap_and_the_next_window_takes_what_was_missed(
    cluster, new_sampler, watch, usage
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.answer(requests=1)
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.gateway = None
    await watch(sampler, 10)
    cluster.answer(requests=9)
    await watch(sampler, 15)
    found = await usage(GATEWAY)
    assert [(each.quality, each.quantities) for each in found.values()] == [
        ("complete", {"requests": 1}),
        ("gap", {}),
        ("partial", {"requests": 8}),
    ]


async def test_a_window_whose_end_was_not_seen_is_partial(cluster, new_sampler, watch, usage):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    sampler = new_sampler()
    cluster.answer(requests=1)
    await watch(sampler, 4)
    cluster.gateway = None
    await watch(sampler, 5)
    assert [each.quality for each in (await usage(GATEWAY)).values()] == ["partial"]


async def test_health_tells_requests_errors_latency_and_replicas(cluster, new_sampler, watch, said):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    latencies = {bucket(1.0): 0, bucket(5.0): 10, bucket(math.inf): 10}
    cluster.answer(requests=10, errors=3, **latencies)
    await watch(new_sampler(), 5)
    (health,) = [each.event for each in await said(HealthSampled)]
    assert (health.endpoint, health.variant, health.requests, health.errors) == ("fraud", "fraud", 10, 3)
    assert health.latency_p50_ms == pytest.approx(3.0)
    assert (health.replicas_desired, health.replicas_ready, health.restarts) == (2, 1, 4)


async def test_an_idle_variant_is_healthy_news_without_latency(cluster, new_sampler, watch, said):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    await watch(new_sampler(), 5)
    (health,) = [each.event for each in await said(HealthSampled)]
    assert (health.requests, health.latency_p99_ms) == (0, None)


async def test_health_is_silent_without_an_endpoint_and_while_the_gateway_is_away(
    cluster, new_sampler, watch, said, usage
):
    cluster.run(REPLICA)
    cluster.deploy(replace(DEPLOYMENT, endpoint=None))
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.deploy(DEPLOYMENT)
    cluster.gateway = None
    await watch(sampler, 10)
    assert not await said(HealthSampled)
    assert len(await usage(GATEWAY)) == 2


async def test_another_grid_goes_on_where_the_last_one_stopped(cluster, new_sampler, watch, said):
    cluster.run(REPLICA)
    await watch(new_sampler(5), 25)
    await watch(new_sampler(20), 60, looks_at=[60])
    reserved = [each.event.quantities.get("gpu_reserved") for each in await said(UsageSampled)]
    assert [*filter(None, reserved)] == [5_000] * 5 + [15_000, 20_000]


@both
async def test_a_gateway_that_is_away_speaks_for_all_endpoints_in_one_event_a_window(
    cluster, new_sampler, watch, said
):
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.deploy(replace(DEPLOYMENT, deployment="fraud-next"))
    sampler = new_sampler()
    await watch(sampler, 5)
    cluster.gateway = None
    await watch(sampler, 6)
    cluster.gateway = {}
    await watch(sampler, 10)
    cluster.gateway = None
    await watch(sampler, 15)
    found = [each.event for each in await said(GatewaySampled)]
    assert [(each.account, each.gateway) for each in found] == [("so1s", "envoy")] * 3
    assert [(each.answered, each.scrapes) for each in found] == [(5, 5), (4, 5), (0, 5)]
    assert [each.window_start.timestamp() * 1000 - START_MS for each in found] == [0, 5_000, 10_000]


async def test_a_window_in_which_the_collector_was_down_says_nothing_of_the_gateway(
    cluster, new_sampler, watch, said
):
    await watch(new_sampler(), 5)
    await watch(new_sampler(), 20, looks_at=[17, 20])
    found = [each.event for each in await said(GatewaySampled)]
    assert [(each.answered, each.scrapes) for each in found] == [(5, 5), (2, 2)]


class Broken(Exception):
    """The database went away."""


@pytest.fixture
def breaking_after(store, monkeypatch):
    """While it is open, the store commits so many transactions and then breaks; answers their sizes."""

    @contextmanager
    def breaking(count):
        sizes, whole = [], store.outbox.add

        async def add(connection, records, *, now):
            if len(sizes) == count:
                raise Broken
            sizes.append(len(records))
            await whole(connection, records, now=now)

        with monkeypatch.context() as patch:
            patch.setattr(store.outbox, "add", add)
            with pytest.raises(Broken):
                yield sizes

    return breaking


async def test_a_long_outage_is_caught_up_in_stretches_that_go_on_where_they_were_broken_off(
    cluster, new_sampler, watch, usage, breaking_after
):
    windows = 1100
    cluster.run(REPLICA)
    cluster.deploy(DEPLOYMENT)
    cluster.spend("u1", 100)
    cluster.answer(requests=1)
    await watch(new_sampler(), 5)
    cluster.spend("u1", 700)
    cluster.answer(requests=9)
    end = 5 * (windows + 1)
    with breaking_after(2) as sizes:
        await watch(new_sampler(), end, looks_at=[end])
    assert max(sizes) <= 500
    await watch(new_sampler(), end, looks_at=[end])
    for replica, meter, accrued in [("u1", "cpu_used", 600), (GATEWAY, "requests", 8)]:
        found = await usage(replica)
        assert list(found) == list(range(0, end, 5))
        missed = [found[second] for second in range(5, end, 5)]
        assert {each.quality for each in missed[:-1]} == {"gap"}
        assert missed[-1].quantities[meter] == accrued


async def test_an_end_that_becomes_known_very_late_is_corrected_in_stretches(
    cluster, new_sampler, watch, said, breaking_after
):
    windows = 1100
    cluster.run(REPLICA)
    end = 5 * windows
    await watch(new_sampler(), end, looks_at=[end])
    cluster.end("u1", START_MS + 4_900)
    with breaking_after(2) as sizes:
        await watch(new_sampler(), end + 5, looks_at=[end + 5])
    assert max(sizes) <= 500
    await watch(new_sampler(), end + 10, looks_at=[end + 5, end + 10])
    corrected = {each.event.window_start: each.event for each in await said(UsageCorrected)}
    assert len(corrected) == len(await said(UsageCorrected)) == windows
    assert sum(each.quantities["gpu_reserved"] for each in corrected.values()) == 4_900
