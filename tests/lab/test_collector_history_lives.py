"""What a collector makes of beginnings and ends that a real Prometheus recorded."""
# ruff: noqa: F401, F811 - what is imported and not called are fixtures

from dataclasses import replace

import pytest

from tests.collector.cluster import DEPLOYMENT, MIB
from tests.collector.conftest import said, store
from tests.lab.history import (
    BEGIN,
    CPU,
    MEMORY,
    POD,
    UP,
    always,
    between,
    counted,
    growing,
    past,
    requests,
    usage,
    without,
)


async def test_samples_of_a_removed_deployment_that_come_late_are_counted(past, usage):
    served = between(lambda second: min(second, 175), 0, 9999)
    as_known_then, cluster = past({UP: always(1), requests(): between(served, 0, 120)})
    cluster.now_ms = (BEGIN + 176) * 1000
    cluster.remove(DEPLOYMENT)
    await as_known_then.go(0, 5)
    as_known_later, _ = past({UP: always(1), requests(): served})
    await as_known_later.go(5, 8)
    found = await usage("gateway")
    assert counted(found) == {0: 60, 1: 60, 2: 0, 4: 55}
    assert found[4].quality == "partial"


async def test_of_a_deployment_that_began_before_prometheus_knew_the_gateway_the_rest_is_counted(past, usage):
    """What the gateway had counted of the name by then may be of one that was removed, and charged."""
    series = {UP: always(1), requests(): growing(1, begin=4000)}
    collector, _ = past({name: between(values, 300, 9999) for name, values in series.items()})
    await collector.go(0, 7)
    found = await usage("gateway")
    assert [counted(found)[minute] for minute in (4, 5, 6)] == [0, 60, 60]
    assert [found[minute].quality for minute in (4, 5, 6)] == ["partial", "complete", "complete"]


@pytest.mark.parametrize("up", [None, 0], ids=["Prometheus is away", "the gateway does not answer it"])
async def test_a_deployment_of_an_earlier_ones_name_that_begins_in_a_long_outage_is_not_charged_for_it(
    past, usage, up
):
    away = (120, 960)  # longer than the lookback
    began = replace(POD, started_ms=(BEGIN + 870) * 1000)
    counters = without(growing(1, begin=4000), *away)
    collector, cluster = past({UP: lambda second: up if 120 < second < 960 else 1, requests(): counters})
    cluster.run(began)
    await collector.go(15, 19)
    assert counted(await usage("gateway")) == {14: None, 15: 0, 16: 60, 17: 60, 18: 60}


async def test_a_deployment_that_begins_in_a_short_outage_is_counted_from_what_was_known_before(past, usage):
    series = {UP: always(1), requests(): growing(1, begin=4000)}
    collector, cluster = past({name: without(values, 120, 420) for name, values in series.items()})
    cluster.run(replace(POD, started_ms=(BEGIN + 250) * 1000))
    await collector.go(4, 10)
    found = counted(await usage("gateway"))
    assert sum(filter(None, found.values())) == 600 - 120
    assert found[8] == 60


async def test_requests_of_a_deployment_that_is_removed_are_counted_to_the_last_one(past, usage):
    last = 8 * 60 + 20  # it goes on for as long as nobody scrapes after that
    collector, cluster = past({UP: always(1), requests(): lambda second: min(second, last)})
    await collector.go(0, 3)
    cluster.now_ms = (BEGIN + last) * 1000
    cluster.remove(DEPLOYMENT)
    await collector.go(3, 14)
    await collector.go(14, 16)
    found = await usage("gateway")
    assert counted(found) == dict.fromkeys(range(8), 60) | {8: 20}
    assert {each.quality for each in found.values()} == {"complete"}


async def test_what_is_scraped_of_a_deployment_after_its_end_is_counted(past, usage):
    unscraped = without(lambda second: min(second, 175), 165, 235)
    collector, cluster = past({UP: always(1), requests(): unscraped})
    cluster.now_ms = (BEGIN + 178) * 1000
    cluster.remove(DEPLOYMENT)
    await collector.go(0, 10)
    assert counted(await usage("gateway")) == {0: 60, 1: 60, 2: 45, 3: 10}


async def test_a_deployment_that_comes_back_is_charged_nothing_of_its_earlier_life(past, usage):
    collector, cluster = past({UP: always(1), requests(): growing(1, begin=4000)})
    cluster.replicas.clear()
    cluster.run(replace(POD, uid="u2", started_ms=(BEGIN + 330) * 1000))
    await collector.go(5, 8)
    assert counted(await usage("gateway")) == {5: 30, 6: 60, 7: 60}


async def test_what_a_replica_used_until_its_end_is_counted(past, usage):
    collector, cluster = past(
        {UP: always(1), CPU: between(growing(1), 0, 105), MEMORY: between(always(MIB), 0, 105)}
    )
    cluster.end("u1", (BEGIN + 107) * 1000)
    await collector.go(0, 5)
    found = await usage("u1")
    assert counted(found, "gpu_reserved") == {0: 60_000, 1: 47_000}
    assert counted(found, "cpu_used") == {0: 60_000_000, 1: 45_000_000}
    assert counted(found, "memory_used") == {0: 60_000, 1: 47_000}
    assert [each.quality for each in found.values()] == ["complete", "complete"]


async def test_a_container_that_is_started_again_is_counted_on(past, usage):
    again = CPU.replace('id="a"', 'id="b"')
    collector, _ = past(
        {UP: always(1), CPU: between(growing(1), 0, 150), again: between(growing(1, begin=-165), 165, 9999)}
    )
    await collector.go(0, 14)
    found = counted(await usage("u1"), "cpu_used")
    assert sum(found.values()) == (150 + 14 * 60 - 165) * 1_000_000
    assert all(0 < used <= 60_000_000 for used in found.values())


async def test_an_end_that_nobody_saw_makes_its_window_partial(past, usage):
    collector, cluster = past({UP: always(1), CPU: between(growing(1), 0, 105)})
    ended = replace(POD, ended_ms=(BEGIN + 107) * 1000, end_estimated=True)
    cluster.run(ended)
    await collector.go(0, 3)
    assert [each.quality for each in (await usage("u1")).values()] == ["complete", "partial"]
