"""What every adapter of the `World` port promises, of deployments that a deployer's own adapter made.

A module that makes a `machine` runs them: where a deployer and a collector see the same replicas.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Protocol

from services.collector.domain.world import Replica, Running
from services.collector.ports import World
from services.deployer.ports import Cluster
from so1s.events import Image
from tests.deployer.conftest import deployment, workload

LABELS = {"team": "fraud-ds"}


class Machine(Protocol):
    """Where deployments run."""

    unsure_ms: int
    """To so much the adapter knows when a replica began or ended."""
    forgets: bool
    """Whether nobody knows when a replica ended that no collector saw."""

    @property
    def now_ms(self) -> int:
        """By the collectors' clock."""
        ...

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass where that takes none; elsewhere it passes anyway."""

    async def deploy(self, name: str = "fraud", version: str = "1", **changes: Any) -> None:
        """Have a deployment; a change of one is its next revision."""

    async def remove(self, name: str = "fraud") -> None: ...

    async def is_gone(self, name: str = "fraud") -> bool:
        """Whether nothing of it runs any more."""
        ...

    def world(self) -> AbstractAsyncContextManager[World]:
        """As a collector sees it that starts now."""
        ...


class Deployer:
    """A machine on which an adapter of the deployer's runs, by this machine's clock."""

    def __init__(self, cluster: Cluster, image: Callable[[str], Image]) -> None:
        self._cluster, self._image, self._revision = cluster, image, 0

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def pass_seconds(self, seconds: int) -> None: ...

    async def deploy(self, name: str = "fraud", version: str = "1", **changes: Any) -> None:
        self._revision += 1
        wanted = workload(self._image(version), version, **{"labels": LABELS} | changes)
        await self._cluster.apply(deployment(wanted, self._revision, name))

    async def remove(self, name: str = "fraud") -> None:
        await self._cluster.remove("risk", name)

    async def is_gone(self, name: str = "fraud") -> bool:
        return all(each.deployment != name for each in await self._cluster.observe())


def alive(running: Running) -> list[Replica]:
    return [each for each in running.replicas.values() if each.ended_ms is None]


def serves(replicas: int, version: str = "1") -> Callable[[Running], bool]:
    """Whether `fraud` has so many replicas, all of that version, and says so."""

    def holds(running: Running) -> bool:
        fraud = running.deployments.get("risk--fraud")
        told = fraud and (fraud.version, fraud.desired, fraud.ready)
        versions = [each.version for each in alive(running) if each.deployment == "fraud"]
        return told == (version, replicas, replicas) and versions == [version] * replicas

    return holds


def nothing_lives(running: Running) -> bool:
    return not running.deployments and not alive(running)


class Seen:
    """A world, and what is waited for in it."""

    def __init__(self, world: World, eventually: Callable[..., Awaitable[None]]) -> None:
        self._world, self._eventually = world, eventually

    async def once(self, holds: Callable[[Running], bool]) -> Running:
        """What runs once this is so."""
        running = await self._world.read()

        async def look() -> bool:
            nonlocal running
            running = await self._world.read()
            return holds(running)

        await self._eventually(look)
        return running


async def test_nothing_runs_where_nothing_was_deployed_yet(machine):
    async with machine.world() as world:
        running = await world.read()
    assert (running.replicas, running.deployments) == ({}, {})


async def test_what_runs_is_told_with_whose_it_is_and_what_it_reserves(machine, eventually):
    before_ms = machine.now_ms
    await machine.deploy(replicas=2)
    async with machine.world() as world:
        running = await Seen(world, eventually).once(serves(2))
    assert len(running.replicas) == 2
    for replica in running.replicas.values():
        assert (replica.account, replica.deployment, replica.model) == ("risk", "fraud", "fraud")
        assert (replica.user, replica.labels, replica.cause.event_id) == ("jiho", LABELS, "event-1")
        assert (replica.cpu_millicores, replica.memory_mib, replica.gpus) == (100, 64, 0)
        assert before_ms - machine.unsure_ms <= replica.started_ms <= machine.now_ms
    fraud = running.deployments["risk--fraud"]
    assert (fraud.account, fraud.model, fraud.endpoint, fraud.restarts) == ("risk", "fraud", "fraud", 0)


async def test_a_removed_deployment_is_gone_and_its_replicas_stay_with_their_end(machine, eventually):
    await machine.deploy()
    async with machine.world() as world:
        seen = Seen(world, eventually)
        began = (await seen.once(serves(1))).variants["risk--fraud"]
        assert began.ended_ms is None
        machine.pass_seconds(7)
        before_ms = machine.now_ms
        await machine.remove()
        variant = (await seen.once(nothing_lives)).variants["risk--fraud"]
    assert (variant.deployment, variant.started_ms) == (None, began.started_ms)
    assert before_ms - machine.unsure_ms <= variant.ended_ms <= machine.now_ms
    assert not any(each.end_estimated for each in variant.replicas)


async def test_a_replica_too_many_ends_and_the_others_live_on(machine, eventually):
    await machine.deploy(replicas=2)
    async with machine.world() as world:
        seen = Seen(world, eventually)
        before = (await seen.once(serves(2))).replicas
        machine.pass_seconds(7)
        before_ms = machine.now_ms
        await machine.deploy(replicas=1)
        running = await seen.once(serves(1))
    assert running.replicas.keys() == before.keys()
    (ended,) = (each for each in running.replicas.values() if each.ended_ms is not None)
    assert before_ms - machine.unsure_ms <= ended.ended_ms <= machine.now_ms
    assert not ended.end_estimated


async def test_a_new_version_has_replicas_of_its_own_and_the_old_ones_end(machine, eventually):
    await machine.deploy()
    async with machine.world() as world:
        seen = Seen(world, eventually)
        (old,) = (await seen.once(serves(1))).replicas.values()
        machine.pass_seconds(7)
        await machine.deploy(version="2")
        running = await seen.once(serves(1, "2"))
    (new,) = alive(running)
    assert (new.version, new.cause.event_id) == ("2", "event-2")
    over = running.replicas[old.uid]
    assert over == replace(old, ended_ms=over.ended_ms, pid=None, pid_started_at=None)
    assert running.variants["risk--fraud"].ended_ms is None


async def test_replicas_that_live_on_bear_what_their_deployment_is_given_anew(machine, eventually):
    await machine.deploy()
    async with machine.world() as world:
        seen = Seen(world, eventually)
        (before,) = (await seen.once(serves(1))).replicas.values()
        await machine.deploy(labels={"team": "risk-ds"}, user="mina")
        await seen.once(lambda running: {each.user for each in alive(running)} == {"mina"})
        running = await seen.once(serves(1))
    assert running.replicas == {before.uid: replace(before, labels={"team": "risk-ds"}, user="mina")}


def _only_churn_is_left(running) -> bool:
    """A deployment and its replicas go one after the other."""
    is_alone = [each.deployment for each in alive(running)] == ["churn"]
    return is_alone and running.deployments.keys() == {"risk--churn"}


async def test_a_collector_that_starts_later_knows_of_the_same_lives(machine, eventually):
    await machine.deploy("churn")
    await machine.deploy()
    async with machine.world() as world:
        seen = Seen(world, eventually)
        await seen.once(serves(1))
        machine.pass_seconds(7)
        await machine.remove()
        before = await seen.once(_only_churn_is_left)
    machine.pass_seconds(3600)
    async with machine.world() as world:
        assert await world.read() == before


async def test_what_ends_while_no_collector_runs_has_an_end_all_the_same(machine, eventually):
    await machine.deploy()
    async with machine.world() as world:
        (lost,) = (await Seen(world, eventually).once(serves(1))).replicas.values()
    machine.pass_seconds(7)
    await machine.remove()
    await eventually(machine.is_gone)
    for _ in range(2):
        async with machine.world() as world:
            over = (await Seen(world, eventually).once(nothing_lives)).replicas[lost.uid]
        assert lost.started_ms <= over.ended_ms <= machine.now_ms
        assert over.end_estimated == machine.forgets


async def test_a_deployment_that_comes_back_is_one_variant_with_all_its_replicas(machine, eventually):
    await machine.deploy()
    async with machine.world() as world:
        seen = Seen(world, eventually)
        await seen.once(serves(1))
        machine.pass_seconds(7)
        await machine.remove()
        await seen.once(nothing_lives)
        machine.pass_seconds(60)
        await machine.deploy()
        variant = (await seen.once(serves(1))).variants["risk--fraud"]
    assert variant.deployment is not None
    assert variant.ended_ms is None
    first, second = variant.replicas
    assert first.uid != second.uid
    assert first.ended_ms <= second.started_ms + machine.unsure_ms
