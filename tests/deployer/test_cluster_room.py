"""What does not fit on a machine is told of, and starts once there is room."""

from __future__ import annotations

import pytest

from services.deployer.domain.capacity import Capacity
from so1s.events import Resources
from tests.deployer.conftest import deployment, seen, settled, until, workload


@pytest.mark.parametrize("strategy", ["rolling", "static"])
async def test_what_does_not_fit_is_told_of_and_the_old_version_serves(machine, strategy):
    async with machine.cluster(capacity=Capacity(300, 4096, 0)) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1", strategy=strategy)))
        await settled(cluster, ready=1)
        large = workload(
            machine.image("2"), "2", resources=Resources(cpu_millicores=400, memory_mib=64), strategy=strategy
        )
        await cluster.apply(deployment(large, revision=2))
        trouble = await until(lambda: _trouble(cluster))
        assert trouble.reason == "no_capacity"
        assert (await seen(cluster)).ready == 1


async def test_a_static_deployment_scales_down_where_nothing_is_free(machine):
    async with machine.cluster(capacity=Capacity(300, 4096, 0)) as cluster:
        image = machine.image("1")
        await cluster.apply(deployment(workload(image, "1", strategy="static", replicas=3)))
        await settled(cluster, ready=3)
        await cluster.apply(deployment(workload(image, "1", strategy="static", replicas=2), revision=2))
        await settled(cluster, ready=2, revision=2)


async def test_a_rolling_update_without_room_says_which_strategy_would_have_it(machine):
    async with machine.cluster(capacity=Capacity(150, 4096, 0)) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1")))
        await settled(cluster, ready=1)
        await cluster.apply(deployment(workload(machine.image("2"), "2"), revision=2))
        assert "`static`" in (await until(lambda: _trouble(cluster))).message
        await cluster.apply(deployment(workload(machine.image("2"), "2", strategy="static"), revision=3))
        await settled(cluster, ready=1, revision=3)


async def test_what_did_not_fit_starts_once_there_is_room(machine):
    async with machine.cluster(capacity=Capacity(150, 4096, 0)) as cluster:
        image = machine.image("1")
        await cluster.apply(deployment(workload(image, "1"), name="first"))
        await until(lambda: _ready(cluster, "first"))
        await cluster.apply(deployment(workload(image, "1")))
        await until(lambda: _trouble(cluster))
        await cluster.remove("risk", "first")
        assert (await settled(cluster, ready=1)).trouble is None


async def _trouble(cluster):
    now = await seen(cluster)
    return now and now.trouble


async def _ready(cluster, name):
    now = await seen(cluster, name)
    return now and now.updated
