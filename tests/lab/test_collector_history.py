"""A collector on a real Prometheus, whose past each test makes up."""
# ruff: noqa: F401, F811 - what is imported and not called are fixtures

from dataclasses import replace

import pytest

from services.collector.adapters.metrics_prometheus import ENVOY, ISTIO
from so1s.events import GatewaySampled, HealthSampled
from tests.collector.cluster import DEPLOYMENT, MIB
from tests.collector.conftest import said, store
from tests.lab.history import (
    BEGIN,
    CPU,
    HOST,
    MEMORY,
    MINUTES,
    POD,
    UP,
    UP_TOO,
    WINDOW,
    Collector,
    always,
    between,
    counted,
    growing,
    latency,
    past,
    requests,
    usage,
    without,
)


async def test_a_windows_usage_is_what_was_counted_in_it(past, usage):
    steady = {UP: always(1), CPU: growing(0.25), MEMORY: always(100 * MIB), requests(): growing(2)}
    collector, _ = past(steady | {requests(code=404): growing(1), requests(code=0): growing(5)})
    await collector.go(0, 4)
    assert counted(await usage("gateway")) == dict.fromkeys(range(4), 180)
    used = await usage("u1")
    assert counted(used, "cpu_used") == dict.fromkeys(range(4), 15_000_000)
    assert counted(used, "memory_used") == dict.fromkeys(range(4), 100 * 60_000)
    assert {each.quality for each in [*used.values(), *(await usage("gateway")).values()]} == {"complete"}


async def test_health_is_what_the_gateway_saw(past, said):
    latencies = {latency("10"): growing(2), latency("20"): growing(3), latency("+Inf"): growing(3)}
    collector, _ = past({UP: always(1), requests(): growing(2), requests(code=503): growing(1)} | latencies)
    await collector.go(0, 2)
    health = [each.event for each in await said(HealthSampled)]
    assert [(each.requests, each.errors) for each in health] == [(180, 60)] * 2
    assert [each.latency_p90_ms for each in health] == [pytest.approx(17.0)] * 2


async def test_envoys_own_names_are_understood(past, usage):
    cluster = f'cluster_name="outbound|80||{HOST}"'
    answers = {
        f'envoy_cluster_upstream_rq{{response_code_class="{each}",{cluster}}}' for each in ("2xx", "5xx")
    }
    one_by_one = f'envoy_cluster_upstream_rq{{response_code="200",{cluster}}}'
    collector, _ = past({UP: always(1), one_by_one: growing(3), **dict.fromkeys(answers, growing(3))}, ENVOY)
    await collector.go(0, 2)
    assert counted(await usage("gateway")) == {0: 360, 1: 360}


async def test_deployments_of_other_installations_are_not_counted(past, usage):
    collector, _ = past({UP: always(1), requests().replace("so1s-risk", "other-risk"): growing(3)})
    await collector.go(0, 2)
    assert counted(await usage("gateway")) == {0: 0, 1: 0}


async def test_a_collector_that_was_away_says_each_window_once_and_in_full(past, usage):
    collector, _ = past({UP: always(1), CPU: growing(0.5), requests(): growing(1)})
    await collector.go(0, 3)
    await collector.go(12, 12)
    await collector.go(12, 15)
    assert counted(await usage("gateway")) == dict.fromkeys(range(15), 60)
    assert counted(await usage("u1"), "cpu_used") == dict.fromkeys(range(15), 30_000_000)
    assert {each.quality for each in (await usage("gateway")).values()} == {"complete"}


async def test_what_prometheus_did_not_see_is_a_gap_and_is_counted_after_it(past, usage, said):
    away = (180, 600)
    series = {UP: always(1), CPU: growing(0.5), MEMORY: always(MIB), requests(): growing(1)}
    collector, _ = past({name: without(values, *away) for name, values in series.items()})
    await collector.go(0, 14)
    found = await usage("gateway")
    assert counted(found) == dict.fromkeys(range(14), 60) | dict.fromkeys(range(3, 9)) | {9: 420}
    assert {minute: each.quality for minute, each in found.items() if each.quality != "complete"} == (
        dict.fromkeys(range(3, 9), "gap") | {9: "partial"}
    )
    cpu = counted(await usage("u1"), "cpu_used")
    assert sum(filter(None, cpu.values())) == 14 * 30_000_000
    assert cpu[6] is None
    gateway = [each.event for each in await said(GatewaySampled)]
    assert all(each.answered == each.scrapes for each in gateway)
    assert len(gateway) == 14 - 6


async def test_a_gateway_that_does_not_answer_prometheus_is_told_of(past, usage, said):
    collector, _ = past({UP: lambda second: 0 if 170 < second < 250 else 1, requests(): growing(1)})
    await collector.go(0, 6)
    down = [each.event for each in await said(GatewaySampled) if each.event.answered == 0]
    assert [int(each.window_start.timestamp() - BEGIN) // WINDOW for each in down] == [2, 3]
    assert counted(await usage("gateway")) == {0: 60, 1: 60, 2: None, 3: None, 4: 180, 5: 60}


async def test_gateways_that_come_and_go_are_counted_each_for_itself(past, usage):
    old = between(growing(1, begin=1000), 0, 200)
    new = between(growing(2, begin=-360), 180, MINUTES * 60)
    collector, _ = past(
        {UP: always(1), UP_TOO: between(always(1), 180, 9999), requests("a"): old, requests("b"): new}
    )
    await collector.go(0, 1)
    await collector.go(1, 18)  # beyond the time after which the old one is forgotten
    found = counted(await usage("gateway"))
    assert found[0] == 60  # what it had counted before was for an earlier deployment of the name
    assert sum(found.values()) == 195 + 2 * (18 * 60 - 180)


async def test_a_reset_counts_from_zero_and_is_partial(past, usage):
    collector, _ = past({UP: always(1), requests(): lambda second: second if second < 150 else second - 150})
    await collector.go(0, 5)
    found = await usage("gateway")
    assert counted(found) == {0: 60, 1: 60, 2: 30, 3: 60, 4: 60}
    assert [each.quality for each in found.values()] == [
        "complete",
        "complete",
        "partial",
        "complete",
        "complete",
    ]


async def test_a_prometheus_that_lost_its_past_counts_nothing_again_and_loses_nothing(past, usage):
    series = {UP: always(1), CPU: growing(0.5), requests(): growing(1, begin=5000)}
    whole, _ = past(series)
    await whole.go(0, 4)
    emptied, _ = past({name: between(values, 600, 9999) for name, values in series.items()})
    await emptied.go(4, 14)
    found = await usage("gateway")
    assert counted(found)[0] == 60
    assert {minute: counted(found)[minute] for minute in range(4, 14)} == (
        dict.fromkeys(range(4, 9)) | {9: 360} | dict.fromkeys(range(10, 14), 60)
    )
    assert found[9].quality == "partial"
    cpu = counted(await usage("u1"), "cpu_used")
    assert [cpu[minute] for minute in (3, 8, 9, 10)] == [30_000_000, None, 180_000_000, 30_000_000]


async def test_where_the_gateway_began_anew_with_its_prometheus_nothing_is_counted_twice(past, usage):
    """Nothing is counted for the lookback: so long another Prometheus may show what this one lost."""
    before, _ = past({UP: always(1), requests(): growing(1, begin=5000)})
    await before.go(0, 4)
    anew = between(growing(1, begin=-560), 560, 9999)
    after, _ = past({UP: between(always(1), 560, 9999), requests(): anew}, minutes=24)
    await after.go(4, 24)
    found = await usage("gateway")
    assert {minute: counted(found)[minute] for minute in (3, *range(9, 24))} == (
        {3: 60} | dict.fromkeys(range(9, 21), 0) | dict.fromkeys(range(21, 24), 60)
    )
    assert {found[minute].quality for minute in range(9, 21)} == {"partial"}


async def test_the_other_prometheus_of_a_pair_that_missed_samples_charges_nothing_again(past, usage):
    """One after the other answers; the second one did not see a gateway that has gone, nor some minutes."""
    gone, there = between(growing(1), 0, 150), growing(1)
    whole = {UP: always(1), UP_TOO: between(always(1), 0, 150), requests("b"): gone, requests("a"): there}
    lacking = {UP: always(1), requests("a"): there}
    one, _ = past(whole)
    other, _ = past({name: without(values, 170, 250) for name, values in lacking.items()})
    await one.go(0, 1)
    for minute in range(2, 10):
        await (one if minute % 2 else other).go(minute, minute)
    found = await usage("gateway")
    assert sum(counted(found).values()) == 9 * 60 + 150
    assert found[7].quality == "partial"


async def test_samples_that_come_late_are_counted_once_in_the_window_in_which_they_are_seen(past, usage):
    series = {CPU: growing(0.5), requests(): growing(1), requests(code=404): growing(2)}
    late = {name: between(values, 0, 150) for name, values in series.items()}
    as_known_then, _ = past({UP: always(1), **late})
    await as_known_then.go(0, 3)
    as_known_later, _ = past({UP: always(1), **series})
    await as_known_later.go(3, 6)
    found = await usage("gateway")
    assert counted(found) == {0: 180, 1: 180, 2: 90, 3: 180 + 90, 4: 180, 5: 180}
    assert {minute for minute, each in found.items() if each.quality == "partial"} == {3}
    second = 1_000_000
    used = counted(await usage("u1"), "cpu_used")
    assert used == {0: 30 * second, 1: 30 * second, 2: 15 * second} | {
        3: 45 * second,
        4: 30 * second,
        5: 30 * second,
    }


async def test_another_question_does_not_compare_its_answers(past, usage):
    collector, cluster = past({UP: always(1), requests("a"): growing(1), requests("b"): growing(3)})
    only_a = replace(ISTIO, matchers='reporter="source",instance="a"')
    narrow = Collector(collector.url, collector.store, cluster, only_a)
    await narrow.go(0, 2)
    await collector.go(2, 4)
    assert counted(await usage("gateway")) == {0: 60, 1: 60, 2: 240, 3: 240}


async def test_an_hour_of_which_it_is_asked_only_afterwards_is_counted_once_and_window_by_window(past, usage):
    """Prometheus scraped all of it; deployments and a gateway came and went, and two collectors catch up."""
    end, removed, began, gone, another = 70 * 60, 25 * 60, 10 * 60, 40 * 60, 33 * 60
    ranking = replace(POD, uid="u2", deployment="ranking", started_ms=(BEGIN + began) * 1000)
    churn = replace(POD, uid="u3", deployment="churn", started_ms=(BEGIN + 20 * 60) * 1000)
    series = {
        UP: between(always(1), 0, another),
        UP_TOO: between(always(1), another, end),
        requests(): between(lambda second: min(second, removed), 0, another),
        requests("a", deployment="ranking"): between(growing(2, begin=-2 * began), began, another),
        requests("b", deployment="ranking"): between(growing(2, begin=-2 * another), another, end),
        requests("a", deployment="churn"): between(growing(3, begin=-3 * 1200), 20 * 60, another),
        requests("b", deployment="churn"): between(
            lambda second: 3 * (min(second, gone) - another), another, end
        ),
    }
    collector, cluster = past(series, minutes=70)
    await collector.go(0, 3)
    for replica in (ranking, churn):
        cluster.run(replica)
    cluster.deploy(replace(DEPLOYMENT, deployment="ranking"))
    cluster.deploy(replace(DEPLOYMENT, deployment="churn"))
    cluster.now_ms = (BEGIN + removed) * 1000
    cluster.remove(DEPLOYMENT)
    cluster.now_ms = (BEGIN + gone) * 1000
    cluster.remove(replace(DEPLOYMENT, deployment="churn"))
    await collector.go(3, 30)
    await collector.go(30, 66)
    assert counted(await usage("gateway")) == dict.fromkeys(range(25), 60)
    assert counted(await usage("gateway", "ranking")) == dict.fromkeys(range(10, 66), 120)
    assert counted(await usage("gateway", "churn")) == dict.fromkeys(range(20, 40), 180)
    qualities = [
        each.quality for name in ("fraud", "ranking") for each in (await usage("gateway", name)).values()
    ]
    assert set(qualities) == {"complete"}
    reserved = counted(await usage("u3", "churn"), "gpu_reserved")
    assert reserved == dict.fromkeys(range(20, 40), 60_000)
