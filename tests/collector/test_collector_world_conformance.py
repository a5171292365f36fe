"""What every adapter of the `World` port promises: the records are the deployer's own, on either machine."""

import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from services.collector.adapters.world_directory import WorldDirectory
from services.collector.ports import World
from services.deployer.adapters.processes.world import DeploymentRecord, ReplicaRecord
from services.deployer.adapters.processes.world import World as Records
from so1s.store import Store
from tests.collector.past import NOON_MS, SECOND_MS, WANTED, Cluster, Collector


class Machine(Protocol):
    """Where deployments of one replica run."""

    now_ms: int

    def deploy(self, name: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def world(self) -> contextlib.AbstractAsyncContextManager[World]:
        """As a collector sees it that starts now."""
        ...


class Laptop:
    """One machine, whose deployer records what runs."""

    def __init__(self, root: Path) -> None:
        self.now_ms = NOON_MS
        self._root, self._records = root, Records(root)

    def deploy(self, name: str) -> None:
        shared = {"account": "risk", "deployment": name, "revision": 1, "endpoint": WANTED.endpoint}
        shared |= {"model": WANTED.model, "version": WANTED.version}
        self._records.write_deployment(DeploymentRecord(**shared, desired=1))
        self._records.write_replica(
            ReplicaRecord(
                **shared,
                uid=f"u{len(self._records.replicas()) + 1}",
                user=WANTED.user,
                labels=WANTED.labels,
                resources=WANTED.resources,
                started_at=self._now(),
                image=WANTED.image.reference,
                template="t",
                event_id="e",
                correlation_id="c",
                traceparent="t",
            )
        )

    def remove(self, name: str) -> None:
        for each in self._records.replicas():
            if each.deployment == name and each.ended_at is None:
                self._records.write_replica(each.ended(self._now()))
        self._records.forget_deployment("risk", name)

    @contextlib.asynccontextmanager
    async def world(self) -> AsyncGenerator[World]:
        yield WorldDirectory(self._root)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)


class Kubernetes(Cluster):
    """A cluster, whose watches tell."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    @contextlib.asynccontextmanager
    async def world(self) -> AsyncGenerator[World]:
        async with Collector(self, self._store).running() as collector:
            yield collector.world


@pytest.fixture(params=["laptop", "kubernetes"])
def machine(request, tmp_path, store) -> Machine:
    return Laptop(tmp_path / "world") if request.param == "laptop" else Kubernetes(store)


async def test_what_runs_is_told_with_whose_it_is_and_what_it_reserves(machine):
    machine.deploy("fraud")
    async with machine.world() as world:
        running = await world.read()
    (replica,) = running.replicas.values()
    assert (replica.account, replica.deployment, replica.model, replica.version) == (
        "risk",
        "fraud",
        WANTED.model,
        WANTED.version,
    )
    assert (replica.user, replica.labels, replica.cause.event_id) == (WANTED.user, WANTED.labels, "e")
    assert (replica.cpu_millicores, replica.memory_mib, replica.gpus) == (1500, 768, 2)
    assert (replica.started_ms, replica.ended_ms) == (NOON_MS, None)
    assert running.deployments["risk--fraud"].endpoint == "fraud"


async def test_a_removed_deployment_is_gone_and_its_replicas_stay_with_their_end(machine):
    machine.deploy("fraud")
    async with machine.world() as world:
        began = (await world.read()).variants["risk--fraud"]
        assert began.ended_ms is None
        machine.now_ms += 7 * SECOND_MS
        machine.remove("fraud")
        running = await world.read()
    assert not running.deployments
    variant = running.variants["risk--fraud"]
    assert (variant.deployment, variant.started_ms) == (None, NOON_MS)
    assert variant.ended_ms == NOON_MS + 7 * SECOND_MS


async def test_a_collector_that_starts_later_knows_of_the_same_lives(machine):
    machine.deploy("fraud")
    machine.deploy("churn")
    async with machine.world() as world:
        await world.read()
        machine.now_ms += 7 * SECOND_MS
        machine.remove("fraud")
        seen = await world.read()
    machine.now_ms += 3600 * SECOND_MS
    async with machine.world() as world:
        assert await world.read() == seen


async def test_a_deployment_that_comes_back_is_one_variant_with_all_its_replicas(machine):
    machine.deploy("fraud")
    async with machine.world() as world:
        await world.read()
        machine.now_ms += 7 * SECOND_MS
        machine.remove("fraud")
        await world.read()
        machine.now_ms += 60 * SECOND_MS
        machine.deploy("fraud")
        variant = (await world.read()).variants["risk--fraud"]
    assert variant.deployment is not None
    assert variant.ended_ms is None
    first, second = variant.replicas
    assert (first.ended_ms, second.started_ms) == (NOON_MS + 7 * SECOND_MS, NOON_MS + 67 * SECOND_MS)
