"""What runs in a real cluster, as a collector sees it; kwok plays the kubelets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from kubernetes_asyncio.client import CoreV1Api

from services.collector.adapters.world_kubernetes import Naming, WorldKubernetes
from services.collector.domain.grid import milliseconds
from services.collector.domain.world import Replica
from so1s.kubernetes import connect
from so1s_lab.control_plane import ControlPlane
from tests.collector.conftest import store  # noqa: F401 - fixtures
from tests.lab.test_cluster_kubernetes import Kubernetes, cluster, machine, serving  # noqa: F401 - fixtures

A_SECOND_MS = 1_000
"""Kubernetes tells times to the second."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Watching:
    """Collectors' views of the world, one after the other on the same store."""

    def __init__(self, kubeconfig: Any, kept: Any, prefix: str) -> None:
        self._connect = partial(connect, kubeconfig)
        self._kept = kept
        self._naming = Naming(prefix, "nvidia.com/gpu")
        self.ahead_ms = 0
        """By how much the collectors' clock is ahead."""

    @contextlib.asynccontextmanager
    async def world(self) -> AsyncGenerator[WorldKubernetes]:
        made = WorldKubernetes(self._connect, self._kept, self._naming, lambda: now_ms() + self.ahead_ms)
        following = asyncio.create_task(made.follow())
        try:
            yield made
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


@pytest.fixture
def watching(kubernetes: ControlPlane, store, machine: Kubernetes) -> Watching:  # noqa: F811
    return Watching(kubernetes.kubeconfig, store, machine.prefix)


async def alive(world: WorldKubernetes) -> list[Replica]:
    return [each for each in (await world.read()).replicas.values() if each.ended_ms is None]


async def test_replicas_and_deployments_are_what_the_deployer_made_them(
    cluster,  # noqa: F811
    machine,  # noqa: F811
    watching,
    eventually,
):
    begun_ms = now_ms()
    await serving(cluster, machine, replicas=2, labels={"team": "fraud-ds"})
    async with watching.world() as world:

        async def ready() -> bool:
            return (await world.read()).deployments["risk--fraud"].ready == 2

        await eventually(ready)
        running = await world.read()
    for replica in running.replicas.values():
        assert (replica.account, replica.deployment, replica.version) == ("risk", "fraud", "1")
        assert (replica.cpu_millicores, replica.memory_mib, replica.gpus) == (100, 64, 0)
        assert (replica.user, replica.labels) == ("jiho", {"team": "fraud-ds"})
        assert begun_ms - A_SECOND_MS <= replica.started_ms <= now_ms()
    assert {each.pod for each in running.replicas.values()} == machine.names()
    fraud = running.deployments["risk--fraud"]
    assert (fraud.endpoint, fraud.desired, fraud.restarts) == ("fraud", 2, 0)


async def test_a_pod_that_is_deleted_ends_when_it_goes(cluster, machine, watching, eventually):  # noqa: F811
    await serving(cluster, machine)
    async with watching.world() as world:
        (first,) = await alive(world)
        told_ms = now_ms()
        await machine.api.delete("v1", "Pod", machine.namespace, first.pod)

        async def ended() -> bool:
            return (await world.read()).replicas[first.uid].ended_ms is not None

        await eventually(ended)
        over = (await world.read()).replicas[first.uid]
        assert told_ms - A_SECOND_MS <= over.ended_ms <= now_ms()
        assert not over.end_estimated

        async def replaced() -> bool:
            return bool(await alive(world))

        await eventually(replaced)


async def test_a_removal_is_known_exactly_however_seldom_the_world_is_read(
    cluster,  # noqa: F811
    machine,  # noqa: F811
    watching,
    eventually,
    monkeypatch,
):
    monkeypatch.setattr("services.collector.adapters.world_kubernetes._TAKE_EVERY_SECONDS", 0.05)
    await serving(cluster, machine)
    async with watching.world() as world:
        (first,) = await alive(world)
        watching.ahead_ms = 60_000
        await eventually(lambda: world._watched_until_ms > now_ms() + 30_000)
        await machine.api.delete("v1", "Pod", machine.namespace, first.pod)
        await eventually(lambda: world._known[first.uid].ended_ms)
    over = world._known[first.uid]
    assert over.ended_ms > now_ms() + 30_000
    assert not over.end_estimated


async def test_a_pod_ends_when_its_server_did(cluster, machine, watching, kubernetes, eventually):  # noqa: F811
    await serving(cluster, machine)
    async with watching.world() as world, kubernetes.client() as api:
        (first,) = await alive(world)
        finished = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        terminated = {"exitCode": 137, "finishedAt": finished.isoformat().replace("+00:00", "Z")}
        container = {
            "name": "server", "state": {"terminated": terminated}, "ready": False, "restartCount": 0,
            "image": "i", "imageID": "i",
        }  # fmt: skip
        status = {"status": {"phase": "Failed", "containerStatuses": [container]}}
        await CoreV1Api(api).patch_namespaced_pod_status(first.pod, machine.namespace, status)

        async def ended() -> bool:
            return (await world.read()).replicas[first.uid].ended_ms is not None

        await eventually(ended)
        over = (await world.read()).replicas[first.uid]
        assert (over.ended_ms, over.end_estimated) == (milliseconds(finished), False)


async def test_an_end_is_remembered_by_the_collectors_that_follow(cluster, machine, watching, eventually):  # noqa: F811
    await serving(cluster, machine, replicas=2)
    async with watching.world() as world:
        first, second = await alive(world)
        await machine.api.delete("v1", "Pod", machine.namespace, first.pod)

        async def ended() -> bool:
            return (await world.read()).replicas[first.uid].ended_ms is not None

        await eventually(ended)
        seen_ms = now_ms()
        seen = (await world.read()).replicas[first.uid]
    await machine.api.delete("v1", "Pod", machine.namespace, second.pod)
    await eventually(lambda: second.pod not in machine.objects("Pod"))
    for _ in range(2):
        async with watching.world() as later:
            replicas = (await later.read()).replicas
        assert replicas[first.uid] == seen
        missed = replicas[second.uid]
        assert missed.end_estimated
        assert seen_ms - 10_000 <= missed.ended_ms <= seen_ms + A_SECOND_MS


async def test_another_installations_pods_are_not_seen(cluster, machine, watching):  # noqa: F811
    await serving(cluster, machine)
    watching._naming = Naming("elsewhere-", "nvidia.com/gpu")
    async with watching.world() as world:
        running = await world.read()
    assert (running.replicas, running.deployments) == ({}, {})
