"""The `World` of a real cluster, as a collector sees it; kwok plays the kubelets."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from kubernetes_asyncio.client import CoreV1Api

from services.collector.adapters.world_kubernetes import Naming, WorldKubernetes
from services.collector.domain.grid import milliseconds
from services.collector.domain.world import Replica
from services.deployer.ports import Cluster
from so1s.kubernetes import connect
from so1s.store import Store
from so1s_lab.control_plane import ControlPlane
from tests.collector.conftest import store  # noqa: F401 - fixtures
from tests.collector.world_conformance import (  # noqa: F401 - the port's conformance suite
    Deployer,
    Seen,
    serves,
    test_a_collector_that_starts_later_knows_of_the_same_lives,
    test_a_deployment_that_comes_back_is_one_variant_with_all_its_replicas,
    test_a_new_version_has_replicas_of_its_own_and_the_old_ones_end,
    test_a_removed_deployment_is_gone_and_its_replicas_stay_with_their_end,
    test_a_replica_too_many_ends_and_the_others_live_on,
    test_nothing_runs_where_nothing_was_deployed_yet,
    test_replicas_that_live_on_bear_what_their_deployment_is_given_anew,
    test_what_ends_while_no_collector_runs_has_an_end_all_the_same,
    test_what_runs_is_told_with_whose_it_is_and_what_it_reserves,
)
from tests.lab.installed import Kubernetes, installation


class Watched(Deployer):
    """A cluster, whose collectors follow one another on the same store."""

    unsure_ms = 1_000  # Kubernetes tells times to the second
    forgets = True

    def __init__(self, kubernetes: Kubernetes, cluster: Cluster, kubeconfig: str, kept: Store) -> None:
        super().__init__(cluster, kubernetes.image)
        self.kubernetes = kubernetes
        self.naming = Naming(kubernetes.prefix, "nvidia.com/gpu")
        self.ahead_ms = 0
        """By how much the collectors' clock is ahead."""
        self._connect, self._kept = partial(connect, kubeconfig), kept

    @property
    def now_ms(self) -> int:
        return super().now_ms + self.ahead_ms

    @contextlib.asynccontextmanager
    async def world(self) -> AsyncGenerator[WorldKubernetes]:
        made = WorldKubernetes(self._connect, self._kept, self.naming, lambda: self.now_ms)
        following = asyncio.create_task(made.follow())
        try:
            yield made
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def delete(self, replica: Replica) -> None:
        await self.kubernetes.api.delete("v1", "Pod", self.kubernetes.namespace, replica.pod)


@pytest.fixture
async def machine(kubernetes: ControlPlane, store) -> AsyncGenerator[Watched]:  # noqa: F811
    async with installation(kubernetes) as made, made.cluster() as cluster:
        yield Watched(made, cluster, kubernetes.kubeconfig, store)


async def first_replica(world: WorldKubernetes, eventually) -> Replica:
    (replica,) = (await Seen(world, eventually).once(serves(1))).replicas.values()
    return replica


async def test_a_removal_is_known_exactly_however_seldom_the_world_is_read(machine, eventually, monkeypatch):
    monkeypatch.setattr("services.collector.adapters.world_kubernetes._TAKE_EVERY_SECONDS", 0.05)
    await machine.deploy()
    async with machine.world() as world:
        first = await first_replica(world, eventually)
        machine.ahead_ms = 60_000
        ahead_ms = machine.now_ms - 30_000
        await eventually(lambda: world._watched_until_ms > ahead_ms)
        await machine.delete(first)
        await eventually(lambda: world._known[first.uid].ended_ms)
    over = world._known[first.uid]
    assert over.ended_ms > ahead_ms
    assert not over.end_estimated


async def test_a_pod_ends_when_its_server_did(machine, kubernetes, eventually):
    await machine.deploy()
    async with machine.world() as world, kubernetes.client() as api:
        first = await first_replica(world, eventually)
        finished = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        terminated = {"exitCode": 137, "finishedAt": finished.isoformat().replace("+00:00", "Z")}
        container = {
            "name": "server", "state": {"terminated": terminated}, "ready": False, "restartCount": 0,
            "image": "i", "imageID": "i",
        }  # fmt: skip
        status = {"status": {"phase": "Failed", "containerStatuses": [container]}}
        namespace = machine.kubernetes.namespace
        await CoreV1Api(api).patch_namespaced_pod_status(first.pod, namespace, status)
        running = await Seen(world, eventually).once(lambda now: now.replicas[first.uid].ended_ms is not None)
    over = running.replicas[first.uid]
    assert (over.ended_ms, over.end_estimated) == (milliseconds(finished), False)


async def test_a_pod_that_is_deleted_ends_when_it_goes_and_another_takes_its_place(machine, eventually):
    await machine.deploy()
    async with machine.world() as world:
        first = await first_replica(world, eventually)
        before_ms = machine.now_ms
        await machine.delete(first)
        running = await Seen(world, eventually).once(
            lambda now: now.replicas[first.uid].ended_ms is not None and serves(1)(now)
        )
    over = running.replicas[first.uid]
    assert before_ms - machine.unsure_ms <= over.ended_ms <= machine.now_ms
    assert not over.end_estimated
    assert {each.pod for each in running.replicas.values()} >= machine.kubernetes.names()


async def test_another_installations_pods_are_not_seen(machine, eventually):
    await machine.deploy()
    await eventually(machine.kubernetes.names)
    machine.naming = Naming("elsewhere-", "nvidia.com/gpu")
    async with machine.world() as world:
        running = await world.read()
    assert (running.replicas, running.deployments) == ({}, {})
