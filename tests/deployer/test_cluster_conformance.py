"""What every adapter of the `Cluster` port promises; replicas are real."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import httpx
import psutil

from so1s.events import Scaling
from tests.deployer.conftest import deployment, in_background, seen, settled, until, workload


async def test_an_applied_deployment_becomes_ready_and_answers_at_its_url(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2)))
    now = await settled(cluster, ready=2)
    assert (await machine.ask(now.url))["version"] == "1"
    assert (now.desired, now.ready, now.restarts, now.trouble) == (2, 2, 0, None)


async def test_applying_again_replaces_no_replica(cluster, machine):
    wanted = workload(machine.image("1"), "1")
    await cluster.apply(deployment(wanted))
    await settled(cluster, ready=1)
    before = machine.names()
    await cluster.apply(deployment(wanted))
    await cluster.apply(deployment(wanted, revision=2))
    await settled(cluster, ready=1, revision=2)
    assert machine.names() == before


async def test_scaling_keeps_the_replicas_that_stay(cluster, machine):
    image = machine.image("1")
    await cluster.apply(deployment(workload(image, "1", replicas=1)))
    await settled(cluster, ready=1)
    first = machine.names()
    await cluster.apply(deployment(workload(image, "1", replicas=3), revision=2))
    await settled(cluster, ready=3, revision=2)
    three = machine.names()
    assert first < three
    await cluster.apply(deployment(workload(image, "1", replicas=1), revision=3))
    await settled(cluster, ready=1, revision=3)
    assert machine.names() < three


async def test_a_rolling_update_never_has_fewer_ready_replicas_than_desired(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2)))
    await settled(cluster, ready=2)
    counts = []

    async def count() -> None:
        while True:
            counts.append((await seen(cluster)).ready)
            await asyncio.sleep(0.005)

    async with in_background(count()):
        await cluster.apply(deployment(workload(machine.image("2"), "2", replicas=2), revision=2))
        await settled(cluster, ready=2, revision=2)
    assert min(counts) == 2


async def test_a_rollout_to_fewer_replicas_keeps_those_that_serve_until_the_new_ones_can(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=4)))
    await settled(cluster, ready=4)
    fewer = deployment(workload(machine.image("2"), "2", replicas=1), revision=2)
    before = []

    async def smaller() -> bool:
        await cluster.apply(fewer)
        now = await seen(cluster)
        if now.outdated or not now.updated:
            before.append(now.ready)
        return (now.revision, now.updated, now.total) == (2, 1, 1)

    await until(smaller)
    assert min(before) == 4


async def test_no_request_fails_while_versions_roll_and_replicas_scale(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2)))
    await settled(cluster, ready=2)
    versions = []

    async def call():
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            while True:
                found, seen_at = machine.traffic(), time.monotonic()
                await asyncio.sleep(0.1)  # a mesh follows a little late
                for url in found:
                    if time.monotonic() - seen_at > machine.drain_seconds / 2:
                        break  # so late a mesh is promised nothing
                    answer = await http.get(f"{url}/predict?seconds=0.02")
                    versions.append(answer.raise_for_status().json()["version"])

    async def load():
        async with asyncio.TaskGroup() as callers:
            for _ in range(4):
                callers.create_task(call())

    async with in_background(load()) as loading:
        await cluster.apply(deployment(workload(machine.image("2"), "2", replicas=2), revision=2))
        await settled(cluster, ready=2, revision=2)
        await cluster.apply(deployment(workload(machine.image("2"), "2", replicas=1), revision=3))
        await settled(cluster, ready=1, revision=3)
        assert not loading.done(), loading.exception()
    assert versions[0] == "1"
    assert versions[-1] == "2"


async def test_a_static_update_never_has_replicas_of_two_versions(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", strategy="static")))
    await settled(cluster, ready=1)
    versions = []

    async def watch() -> None:
        while True:
            versions.append(machine.versions())
            await asyncio.sleep(0.005)

    async with in_background(watch()):
        await cluster.apply(deployment(workload(machine.image("2"), "2", strategy="static"), revision=2))
        await settled(cluster, ready=1, revision=2)
    assert all(len(each) <= 1 for each in versions)


async def test_a_candidate_is_ready_beside_the_deployment_and_takes_no_traffic(cluster, machine):
    stable = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(stable)
    await settled(cluster, ready=1)
    now = await _staged(cluster, stable, workload(machine.image("2"), "2", replicas=5))
    assert (now.desired, now.updated, now.ready) == (2, 2, 3)
    assert (await machine.ask(now.url))["version"] == "2"
    assert machine.serving() == ["1"]


async def test_a_candidate_that_is_applied_is_taken_over(cluster, machine):
    stable = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(stable)
    await settled(cluster, ready=1)
    wanted = workload(machine.image("2"), "2")
    await _staged(cluster, stable, wanted)
    await cluster.apply(deployment(wanted, revision=2))
    now = await settled(cluster, ready=1, revision=2)
    assert not now.candidate
    await until(lambda: _serve(machine, ["2"]))
    assert (await machine.ask(now.url))["version"] == "2"


async def test_a_candidate_that_is_none_any_more_ends_and_the_deployment_serves_on(cluster, machine):
    stable = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(stable)
    await settled(cluster, ready=1)
    await _staged(cluster, stable, workload(machine.image("2"), "2"))
    serving = []

    async def watch() -> None:
        while True:
            serving.append(machine.serving())
            await asyncio.sleep(0.005)

    async with in_background(watch()):
        await cluster.apply(stable)
        await settled(cluster, ready=1)
    assert all(each == ["1"] for each in serving)


async def test_a_candidate_gives_way_to_a_later_one(cluster, machine):
    stable = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(stable)
    await settled(cluster, ready=1)
    await _staged(cluster, stable, workload(machine.image("2"), "2"))
    now = await _staged(cluster, stable, workload(machine.image("3"), "3"), revision=3)

    async def is_later() -> bool:  # a cluster tells of an endpoint that ends a moment after it ended
        return (await machine.ask(now.url))["version"] == "3"

    await until(is_later)
    assert machine.serving() == ["1"]


async def test_a_candidate_that_crashes_is_told_of_while_the_deployment_serves(cluster, machine):
    stable = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(stable)
    await settled(cluster, ready=1)
    broken = deployment(workload(machine.image("2", crash="no such tensor"), "2"), revision=2)
    await cluster.apply(replace(stable, candidate=broken))
    assert (await until(lambda: _trouble(cluster))).reason == "crash_loop"
    assert machine.serving() == ["1"]


async def test_what_serves_is_looked_after_beside_a_candidate_that_was_found_again(machine):
    stable = deployment(workload(machine.image("1"), "1"))
    async with machine.cluster() as cluster:
        await cluster.apply(stable)
        await settled(cluster, ready=1)
        wanted = workload(machine.image("2"), "2")
        await _staged(cluster, stable, wanted)
    [lost] = machine.processes("1")
    lost.kill()
    await asyncio.to_thread(psutil.wait_procs, [lost], timeout=60)
    async with machine.cluster() as cluster:
        now = await _staged(cluster, stable, wanted)
        assert (await machine.ask(now.url))["version"] == "2"
        await until(lambda: _serve(machine, ["1"]))


async def test_a_replica_that_dies_is_started_again_and_counted(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    await settled(cluster, ready=1)
    machine.processes()[0].kill()

    async def recovered() -> bool:
        now = await seen(cluster)
        return now.restarts == 1 and now.updated == 1

    await until(recovered)
    assert await machine.ask((await seen(cluster)).url)


async def test_a_replica_that_hangs_is_killed_and_started_again(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    await settled(cluster, ready=1)
    machine.processes()[0].suspend()

    async def recovered() -> bool:
        now = await seen(cluster)
        return now.restarts == 1 and now.updated == 1

    await until(recovered)


async def test_a_version_that_crashes_is_told_of_while_the_old_one_serves(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    await settled(cluster, ready=1)
    await cluster.apply(deployment(workload(machine.image("2", crash="no such tensor"), "2"), revision=2))
    trouble = await until(lambda: _trouble(cluster))
    assert trouble.reason == "crash_loop"
    now = await seen(cluster)
    assert (now.updated, now.ready) == (0, 1)
    assert any("no such tensor" in line for line in await cluster.logs("risk", "fraud", 20))
    assert machine.serving() == ["1"]


async def test_a_version_that_crashes_takes_no_replica_though_it_asks_for_fewer(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=3)))
    await settled(cluster, ready=3)
    wide = Scaling(min_replicas=1, max_replicas=2, concurrency=1)
    broken = workload(machine.image("2", crash="no such tensor"), "2", scaling=wide)
    await cluster.apply(deployment(broken, revision=2))
    assert (await until(lambda: _trouble(cluster))).reason == "crash_loop"
    assert machine.serving() == ["1"] * 3


async def test_a_deployment_recovers_from_a_bad_version_by_the_next_one(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1", crash="broken"), "1")))
    await until(lambda: _trouble(cluster))
    await cluster.apply(deployment(workload(machine.image("2"), "2"), revision=2))
    assert (await settled(cluster, ready=1, revision=2)).trouble is None


async def test_an_image_that_is_not_there_is_told_of(cluster, machine):
    missing = machine.missing_image()
    await cluster.apply(deployment(workload(missing, "1")))
    trouble = await until(lambda: _trouble(cluster))
    assert trouble.reason == "image"
    assert missing.digest in trouble.message


async def test_a_removed_deployment_is_gone_and_removing_it_again_is_no_error(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2)))
    await settled(cluster, ready=2)
    processes = machine.processes()
    await cluster.remove("risk", "fraud")
    await until(lambda: _gone(cluster))
    _, running = await asyncio.to_thread(psutil.wait_procs, processes, timeout=60)
    assert not running
    await cluster.remove("risk", "fraud")
    await cluster.remove("risk", "never-was")


async def test_a_removed_deployment_can_be_applied_again(cluster, machine):
    wanted = workload(machine.image("1"), "1")
    await cluster.apply(deployment(wanted))
    await settled(cluster, ready=1)
    await cluster.remove("risk", "fraud")
    await cluster.apply(deployment(wanted, revision=2))
    await settled(cluster, ready=1, revision=2)


async def test_replicas_outlive_the_adapter_and_are_found_again(machine):
    wanted = deployment(workload(machine.image("1"), "1", replicas=2))
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=2)
    before = {process.pid for process in machine.processes()}
    assert len(before) == 2
    async with machine.cluster() as cluster:
        assert (await seen(cluster)).ready == 2
        await cluster.apply(wanted)
        await settled(cluster, ready=2)
        assert {process.pid for process in machine.processes()} == before


async def test_a_replica_that_was_found_again_is_looked_after(machine):
    wanted = deployment(workload(machine.image("1"), "1"))
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=1)
    async with machine.cluster() as cluster:
        machine.processes()[0].kill()

        async def recovered() -> bool:
            now = await seen(cluster)
            return now.restarts == 1 and now.ready == 1

        await until(recovered)


async def test_changes_are_told_to_who_watches(cluster, machine):
    changed = asyncio.Event()
    cluster.watch(changed.set)
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    await settled(cluster, ready=1)
    changed.clear()
    machine.processes()[0].kill()
    async with asyncio.timeout(60):
        await changed.wait()


async def _staged(cluster, stable, wanted, revision=2):
    """The deployment once another version is ready as its candidate."""
    candidate = deployment(wanted, revision)
    await cluster.apply(replace(stable, candidate=candidate))

    async def ready():
        now = await seen(cluster)
        full = now.updated == now.desired and now.ready > now.updated
        return now if (now.revision, now.candidate) == (revision, True) and full else None

    return await until(ready)


async def _serve(machine, versions):
    return machine.serving() == versions


async def _trouble(cluster):
    now = await seen(cluster)
    return now and now.trouble


async def _gone(cluster):
    return await seen(cluster) is None
