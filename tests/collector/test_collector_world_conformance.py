"""The `World` of a laptop, and that of a cluster on a clock of the test's own."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from services.collector.adapters.world_directory import WorldDirectory
from services.collector.ports import World
from services.deployer.adapters.processes.shutdown import end_all
from services.deployer.domain.observation import Observation
from services.deployer.ports import Cluster as DeployersCluster
from services.deployer.ports import Deployment
from so1s.events import Image
from so1s.store import Store
from tests.collector.past import SECOND_MS, Cluster, Collector
from tests.collector.world_conformance import (  # noqa: F401 - the port's conformance suite
    Deployer,
    Machine,
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
from tests.deployer.conftest import Processes


def image(version: str) -> Image:
    digest = f"sha256:{version:0>64}"
    return Image(reference=f"r/risk/fraud@{digest}", digest=digest, size_bytes=1)


class Laptop(Deployer):
    """One machine, whose deployer runs processes and records them."""

    unsure_ms = 1
    forgets = False

    def __init__(self, processes: Processes, cluster: DeployersCluster) -> None:
        super().__init__(cluster, processes.image)
        self._root = processes.world.root

    @contextlib.asynccontextmanager
    async def world(self) -> AsyncGenerator[World]:
        yield WorldDirectory(self._root)


class Controllers:
    """Does at once what a deployer asks of a cluster."""

    def __init__(self, told: Cluster) -> None:
        self._told = told

    async def apply(self, wanted: Deployment) -> None:
        self._told.deploy(wanted.name, wanted.workload, wanted.revision)

    async def remove(self, account: str, name: str) -> None:
        assert account == "risk"
        self._told.remove(name)

    async def observe(self) -> list[Observation]:
        return []


class Kubernetes(Deployer):
    """A cluster, whose watches tell, on a clock of the test's own."""

    unsure_ms = 0
    forgets = True

    def __init__(self, store: Store) -> None:
        self._told, self._store = Cluster(), store
        super().__init__(Controllers(self._told), image)

    @property
    def now_ms(self) -> int:
        return self._told.now_ms

    def pass_seconds(self, seconds: int) -> None:
        self._told.now_ms += seconds * SECOND_MS

    @contextlib.asynccontextmanager
    async def world(self) -> AsyncGenerator[World]:
        async with Collector(self._told, self._store).running() as collector:
            yield collector.world


@pytest.fixture(params=["laptop", "kubernetes"])
async def machine(request, tmp_path, store) -> AsyncGenerator[Machine]:
    if request.param == "kubernetes":
        yield Kubernetes(store)
        return
    processes = Processes(tmp_path)
    async with processes.cluster(drain_seconds=0.0) as cluster:
        yield Laptop(processes, cluster)
    await end_all(replace(processes.options, grace_seconds=0))
