"""What GPUs did, from what NVIDIA's DCGM exporter says of them, in a real Prometheus' past."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.collector.adapters.prometheus.gpus import GR_ENGINE_ACTIVE
from so1s.events import UsageSampled
from tests.collector.cluster import MIB
from tests.collector.conftest import said, store  # noqa: F401 - fixtures
from tests.lab.history import (
    BEGIN,
    CPU,
    MEMORY,
    POD,
    UP,
    always,
    between,
    growing,
    past,  # noqa: F401 - a fixture
    usage,  # noqa: F401 - a fixture
    without,
)
from tests.lab.recorded import Values

SERVED = {UP: always(1), CPU: growing(0.5), MEMORY: always(MIB)}
NODE = 'Hostname="node-1",modelName="NVIDIA A100-SXM4-40GB"'
EXPORTER = 'namespace="gpu-operator",pod="dcgm-1",container="exporter"'


def gpu(
    number: int = 0, *, metric: str = "DCGM_FI_DEV_GPU_UTIL", pod: str = "fraud-1", labels: str = ""
) -> str:
    """A series of a pod's GPU, as an exporter whose labels Prometheus honours says it."""
    whose = f'namespace="so1s-risk",pod="{pod}",container="server"'
    return f'{metric}{{gpu="{number}",UUID="GPU-{number}",{NODE},{whose}{labels}}}'


def renamed(number: int = 0, exporter: str = EXPORTER) -> str:
    """The same where Prometheus keeps the exporter's own labels."""
    whose = 'exported_namespace="so1s-risk",exported_pod="fraud-1",exported_container="server"'
    return f'DCGM_FI_DEV_GPU_UTIL{{gpu="{number}",UUID="GPU-{number}",{NODE},{exporter},{whose}}}'


def used(found: dict[int, UsageSampled]) -> dict[int, int | None]:
    return {minute: each.gpu_used for minute, each in found.items()}


def not_complete(found: dict[int, UsageSampled]) -> dict[int, str]:
    return {minute: each.quality for minute, each in found.items() if each.quality != "complete"}


@pytest.fixture
def gpus(past, usage) -> Callable[..., Any]:  # noqa: F811
    """What is said of the replica's GPUs, with such a past, where a collector goes through these minutes."""

    async def say(series: dict[str, Values], *steps: tuple[int, int]) -> dict[int, UsageSampled]:
        collector, _ = past(SERVED | series)
        for first, last in steps:
            await collector.go(first, last)
        return await usage("u1")

    return say


async def test_a_windows_use_is_how_busy_each_gpu_was_for_how_long(past, usage):  # noqa: F811
    """The first of all scrapes speaks for nothing."""
    series = {gpu(0): always(37), gpu(1): lambda second: 100 if second <= 120 else 0}
    collector, cluster = past(SERVED | series)
    cluster.run(replace(POD, gpus=2))
    await collector.go(0, 4)
    found = await usage("u1")
    assert used(found) == {0: 61_650, 1: 82_200, 2: 22_200, 3: 22_200}
    assert not_complete(found) == {}


@pytest.mark.parametrize("series", [gpu(), renamed()], ids=["named by the exporter", "renamed by Prometheus"])
async def test_a_pods_gpus_are_found_however_its_name_is_kept(gpus, series):
    assert used(await gpus({series: always(50)}, (0, 2))) == {0: 22_500, 1: 30_000}


async def test_a_partition_of_a_gpu_is_counted_by_the_ratio_that_it_has(past, usage):  # noqa: F811
    parts = [
        gpu(metric=GR_ENGINE_ACTIVE.name, labels=f',GPU_I_ID="{part}",GPU_I_PROFILE="1g.5gb"')
        for part in (7, 9)
    ]
    collector, cluster = past(SERVED | dict(zip(parts, [always(0.25), always(0.5)], strict=True)))
    cluster.run(replace(POD, gpus=2))
    collector.gpu_metric = GR_ENGINE_ACTIVE
    await collector.go(0, 2)
    assert used(await usage("u1")) == {0: 33_750, 1: 45_000}


async def test_where_nobody_watches_gpus_their_use_is_absent_and_all_else_complete(gpus):
    found = await gpus(
        {gpu(pod="other-1"): always(90), renamed().replace("so1s-risk", "x"): always(90)}, (0, 2)
    )
    assert used(found) == {0: None, 1: None}
    assert not_complete(found) == {}


async def test_a_replica_without_gpus_has_no_use_of_them(past, usage):  # noqa: F811
    collector, cluster = past(SERVED | {gpu(): always(90)})
    cluster.run(replace(POD, gpus=0))
    await collector.go(0, 2)
    assert used(await usage("u1")) == {0: None, 1: None}


async def test_an_idle_gpu_is_used_for_no_time(gpus):
    assert used(await gpus({gpu(): always(0)}, (0, 2))) == {0: 0, 1: 0}


async def test_an_hour_of_which_it_is_asked_only_afterwards_is_counted_once_and_window_by_window(past, usage):  # noqa: F811
    """Prometheus scraped all of it; another collector goes on in the middle."""
    collector, _ = past(SERVED | {gpu(): lambda second: second // 60 % 100}, minutes=70)
    await collector.go(0, 3)
    await collector.go(3, 30)
    await collector.go(30, 66)
    found = await usage("u1")
    # Each minute's last scrape is of the next one, by the second.
    assert used(found) == {minute: (minute * 45 + (minute + 1) * 15) * 10 for minute in range(66)}
    assert not_complete(found) == {}


async def test_what_prometheus_did_not_scrape_is_charged_to_nobody(past, usage):  # noqa: F811
    """It was away itself, for an hour: unlike a counter, a gauge does not tell of it afterwards."""
    away = (600, 4200)
    series = SERVED | {gpu(): always(80)}
    collector, _ = past({name: without(values, *away) for name, values in series.items()}, minutes=74)
    await collector.go(0, 73)
    found = await usage("u1")
    assert used(found) == dict.fromkeys(range(73), 48_000) | dict.fromkeys(range(10, 69)) | {
        0: 36_000,
        69: 36_000,
    }
    # Its first scrape speaks for 45 s.
    assert not_complete(found) == dict.fromkeys(range(10, 69), "gap") | {69: "partial"}


async def test_what_cadvisor_did_not_say_is_counted_after_it(gpus):
    """DCGM was scraped meanwhile: nothing of that is lost."""
    found = await gpus({CPU: without(growing(0.5), 60, 240), gpu(): always(50)}, (0, 6))
    assert used(found) == {0: 22_500, 1: None, 2: None, 3: 90_000, 4: 30_000, 5: 30_000}
    assert not_complete(found) == {1: "gap", 2: "gap", 3: "partial"}


async def test_while_the_exporter_is_away_its_gpus_are_not_used_and_their_windows_partial(gpus):
    found = await gpus({gpu(): without(always(50), 90, 255)}, (0, 6))
    assert used(found) == {0: 22_500, 1: 15_000, 2: None, 3: None, 4: 45_000, 5: 30_000}
    assert not_complete(found) == {2: "partial", 3: "partial", 4: "partial"}


async def test_a_gpu_that_nobody_watches_any_more_makes_every_window_partial(gpus):
    found = await gpus({gpu(): between(always(50), 0, 90)}, (0, 14))
    assert used(found) == {0: 22_500, 1: 15_000} | dict.fromkeys(range(2, 14))
    assert not_complete(found) == dict.fromkeys(range(2, 14), "partial")


async def test_an_exporter_that_is_started_again_goes_on_with_the_same_gpu(gpus):
    """Its new pod's series begin before those of its old pod end."""
    again = renamed(exporter=EXPORTER.replace("dcgm-1", "dcgm-2"))
    series = {renamed(): between(always(50), 0, 150), again: between(always(50), 135, 9999)}
    found = await gpus(series, (0, 5))
    assert used(found) == dict.fromkeys(range(5), 30_000) | {0: 22_500}
    assert not_complete(found) == {}


async def test_a_gpu_that_is_scraped_by_two_jobs_is_counted_once(gpus):
    found = await gpus({gpu(): always(50), gpu(labels=',job="another"'): always(50)}, (0, 3))
    assert used(found) == {0: 22_500, 1: 30_000, 2: 30_000}
    assert not_complete(found) == {}


async def test_where_one_of_two_jobs_drops_what_names_a_gpu_it_is_counted_once_and_that_is_told(gpus):
    nameless = gpu(labels=',job="another"').replace('UUID="GPU-0",', "")
    found = await gpus({gpu(): always(50), nameless: always(50)}, (0, 3))
    assert used(found) == {0: 22_500, 1: 30_000, 2: 30_000}
    assert not_complete(found) == dict.fromkeys(range(3), "partial")


async def test_samples_that_come_late_are_counted_once_in_the_window_in_which_they_are_seen(past, usage):  # noqa: F811
    as_known_then, _ = past(SERVED | {gpu(): between(always(50), 0, 90)})
    await as_known_then.go(0, 3)
    as_known_later, _ = past(SERVED | {gpu(): always(50)})
    await as_known_later.go(3, 6)
    found = await usage("u1")
    assert used(found) == {0: 22_500, 1: 15_000, 2: None, 3: 75_000, 4: 30_000, 5: 30_000}
    assert not_complete(found) == {2: "partial", 3: "partial"}


async def test_the_other_prometheus_of_a_pair_that_missed_samples_charges_nothing_again(past, usage):  # noqa: F811
    one, _ = past(SERVED | {gpu(): always(60)})
    other, _ = past(SERVED | {gpu(): without(always(60), 165, 255)})
    for minute in range(10):
        await (one if minute % 2 else other).go(minute, minute)
    assert sum(filter(None, used(await usage("u1")).values())) == 9 * 36_000 - 9_000


async def test_a_replica_uses_gpus_from_its_first_scrape_to_its_last(past, usage):  # noqa: F811
    lived = {name: between(values, 40, 107) for name, values in (SERVED | {gpu(): always(100)}).items()}
    collector, cluster = past({UP: always(1), **{name: lived[name] for name in (CPU, MEMORY, gpu())}})
    cluster.run(replace(POD, started_ms=(BEGIN + 35) * 1000))
    cluster.end("u1", (BEGIN + 107) * 1000)
    await collector.go(0, 5)
    found = await usage("u1")
    assert used(found) == {0: 15_000, 1: 45_000}
    assert not_complete(found) == {}


async def test_another_pod_that_gets_the_gpu_is_counted_for_itself(past, usage):  # noqa: F811
    """What its first scrape says is the other pod's still, where the exporter had it from before."""
    series = {
        gpu(): between(always(100), 0, 105),
        gpu(pod="fraud-2"): between(lambda second: 100 if second == 120 else 20, 120, 9999),
    }
    collector, cluster = past(SERVED | series | {CPU.replace("fraud-1", "fraud-2"): growing(0.1)})
    cluster.end("u1", (BEGIN + 110) * 1000)
    cluster.run(replace(POD, uid="u2", pod="fraud-2", started_ms=(BEGIN + 110) * 1000))
    await collector.go(0, 4)
    assert used(await usage("u1")) == {0: 45_000, 1: 45_000}
    assert used(await usage("u2")) == {1: None, 2: 12_000, 3: 12_000}


async def test_what_dcgm_does_not_know_is_not_counted(gpus):
    found = await gpus({gpu(): lambda second: 9223372036854775794 if 60 < second <= 90 else 50}, (0, 3))
    assert used(found) == {0: 22_500, 1: 30_000, 2: 30_000}  # the next sample speaks for those 45 s
    assert not_complete(found) == {}
