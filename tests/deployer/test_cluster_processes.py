"""What the laptop's cluster promises beyond the port: files that others read, and clean processes."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import httpx
import psutil
import pytest

from services.deployer.adapters.processes.launcher import WORLD_VARIABLE
from services.deployer.adapters.processes.process import Process, spawn
from services.deployer.adapters.processes.shutdown import end_all
from so1s.events import Scaling
from tests.deployer.conftest import ask, deployment, in_background, seen, settled, until, workload

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def raw(machine, kind):
    return [json.loads(path.read_text()) for path in (machine.world.root / kind).glob("*.json")]


async def test_replicas_are_recorded_for_the_collector(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", labels={"team": "fraud-ds"})))
    await settled(cluster, ready=1)
    [record] = raw(machine, "replicas")
    assert (
        record
        | {
            "account": "risk",
            "deployment": "fraud",
            "revision": 1,
            "model": "fraud",
            "version": "1",
            "endpoint": "fraud",
            "user": "jiho",
            "labels": {"team": "fraud-ds"},
            "resources": {"cpu_millicores": 100, "memory_mib": 64, "gpus": 0},
            "restarts": 0,
            "ended_at": None,
            "event_id": "event-1",
            "correlation_id": "upload",
            "traceparent": "00-trace",
        }
        == record
    )
    assert psutil.Process(record["pid"]).create_time() == pytest.approx(record["pid_started_at"])
    assert record["started_at"] <= record["ready_at"]
    assert record["ready_at"].endswith("Z")
    assert raw(machine, "deployments") == [
        {
            "account": "risk",
            "deployment": "fraud",
            "revision": 1,
            "model": "fraud",
            "version": "1",
            "endpoint": "fraud",
            "desired": 1,
            "ready": 1,
            "restarts": 0,
            "retiring": False,
        }
    ]


async def test_an_ended_replica_stays_on_record_and_its_deployment_does_not(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    await settled(cluster, ready=1)
    await cluster.remove("risk", "fraud")

    async def gone():
        return await seen(cluster) is None

    await until(gone)
    [record] = raw(machine, "replicas")
    assert (record["pid"], record["ready_at"]) == (None, None)
    assert record["ended_at"] > record["started_at"]
    assert raw(machine, "deployments") == raw(machine, "endpoints") == []


async def test_what_replicas_do_not_bear_is_recorded_anew_without_a_restart(cluster, machine):
    image = machine.image("1")
    await cluster.apply(deployment(workload(image, "1")))
    await settled(cluster, ready=1)
    [before] = machine.living()
    await cluster.apply(deployment(workload(image, "1", endpoint="risks", labels={"team": "b"}), revision=2))
    await settled(cluster, ready=1, revision=2)
    [after] = machine.living()
    assert (after.endpoint, after.labels, after.revision) == ("risks", {"team": "b"}, 2)
    assert (after.uid, after.pid, after.event_id) == (before.uid, before.pid, "event-1")


async def test_a_replica_sees_its_image_and_nothing_of_ours(cluster, machine, monkeypatch):
    monkeypatch.setenv("SO1S_SLACK_TOKEN", "secret")
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    now = await settled(cluster, ready=1)
    about = await ask(now.url)
    assert about["marker"] == "from the image"
    assert "SO1S_SLACK_TOKEN" not in about["environment"]
    assert about["environment"]["OMP_NUM_THREADS"] == "1"
    assert about["environment"]["SO1S_RUNTIME_ACCOUNT"] == "risk"
    assert about["environment"]["SO1S_RUNTIME_DEPLOYMENT"] == "fraud"
    assert not any("site-packages" in path for path in about["path"])
    assert about["sid"] == about["pid"]


async def test_the_mesh_is_told_of_ready_replicas_alone(cluster, machine):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2)))
    await settled(cluster, ready=2)
    assert sorted(machine.traffic()) == sorted(record.url for record in machine.living())
    machine.processes()[0].suspend()

    async def one_left():
        return len(machine.traffic()) == 1

    await until(one_left)


async def test_an_old_replica_stays_in_the_mesh_until_the_new_one_was_there_for_a_while(machine):
    async with machine.cluster(min_ready_seconds=3.0) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1")))
        await settled(cluster, ready=1)
        (old,) = machine.traffic()
        await cluster.apply(deployment(workload(machine.image("2"), "2"), revision=2))
        both_since = await until(_once(lambda: len(machine.traffic()) == 2))
        old_left = await until(_once(lambda: old not in machine.traffic()))
        assert old_left - both_since >= 1.5  # on a busy machine the moments are seen late


def _once(condition):
    """When a condition holds: the time, by the monotonic clock."""

    async def moment():
        return time.monotonic() if condition() else None

    return moment


async def test_a_request_in_flight_is_answered_though_the_drain_is_shorter(machine):
    async with machine.cluster(drain_seconds=0.0) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1")))
        now = await settled(cluster, ready=1)
        async with in_background(ask(now.url, "/predict?seconds=2")) as asking:
            await until(lambda: _in_flight(now.url))
            await cluster.remove("risk", "fraud")
            assert (await asking)["version"] == "1"


async def _in_flight(url):
    async with httpx.AsyncClient(trust_env=False) as http:
        return "http_requests_in_flight 1" in (await http.get(f"{url}/metrics")).text


async def test_a_process_that_no_record_names_is_ended(machine):
    environment = {WORLD_VARIABLE: str(machine.world.root)}
    orphan = spawn(
        [sys.executable, "-c", "import time; time.sleep(60)"], environment, machine.world.log("lost")
    )
    async with machine.cluster():
        assert await orphan.ended_within(60)


async def test_a_process_of_another_world_is_left_alone(machine, tmp_path):
    other = spawn(SLEEP, {WORLD_VARIABLE: str(tmp_path / "another")}, tmp_path / "log")
    async with machine.cluster():
        await end_all(machine.options)
        assert other.is_running()
    other.kill()
    assert await other.ended_within(60)


async def test_a_replica_that_died_unseen_is_recorded_as_ended_and_another_starts(machine):
    wanted = deployment(workload(machine.image("1"), "1"))
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=1)
    [lost] = machine.living()
    lost.process.kill()
    assert await lost.process.ended_within(60)
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=1)
    [new] = machine.living()
    assert new.uid != lost.uid
    [record] = [each for each in machine.world.replicas() if each.uid == lost.uid]
    assert lost.started_at < record.ended_at <= new.started_at


async def test_a_drain_goes_on_after_the_adapter_is_made_again(machine):
    async with machine.cluster(drain_seconds=3.0) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1")))
        await settled(cluster, ready=1)
        await cluster.remove("risk", "fraud")

        async def leaving():
            return machine.living()[0].leaving_at

        await until(leaving)
    assert len(machine.processes()) == 1
    async with machine.cluster() as cluster:

        async def gone():
            return await seen(cluster) is None

        await until(gone)
    assert machine.living() == []


async def test_down_ends_every_replica_and_the_next_start_brings_them_back(machine):
    wanted = deployment(workload(machine.image("1"), "1", replicas=2))
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=2)
    processes = machine.processes()
    assert await end_all(machine.options) == 2
    assert not any(process.is_running() for process in processes)
    assert machine.living() == machine.traffic() == []
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=2)


async def test_a_used_pid_is_not_taken_for_a_replica(machine):
    wanted = deployment(workload(machine.image("1"), "1"))
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=1)
    [record] = machine.living()
    earlier = Process(record.pid, record.pid_started_at - 3600)
    assert record.process.is_running()
    assert not earlier.is_running()
    earlier.kill()
    assert record.process.is_running()


async def test_a_log_is_bounded_while_it_is_written(machine):
    async with machine.cluster(log_most_bytes=2000) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1")))
        await settled(cluster, ready=1)
        [record] = machine.living()
        path = machine.world.log(record.uid)
        with path.open("a") as log:
            log.writelines(f"line {number}\n" for number in range(500))

        async def short():
            return path.stat().st_size < 2000

        await until(short)
        assert (await cluster.logs("risk", "fraud", 2))[-1] == f"{record.uid} line 499"


async def test_load_brings_replicas_and_quiet_takes_them_away(cluster, machine):
    scaling = Scaling(min_replicas=1, max_replicas=3, requests_per_second=1.0)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    await settled(cluster, ready=1)

    async def load():
        while True:
            for url in machine.traffic():
                await ask(url)
            await asyncio.sleep(0.02)

    async with in_background(load()):
        assert (await settled(cluster, ready=3)).desired == 3
    assert (await settled(cluster, ready=1)).desired == 1


async def test_requests_in_work_bring_replicas_no_faster_than_is_said(cluster, machine):
    scaling = Scaling(max_replicas=3, concurrency=1, scale_up_replicas_per_minute=1)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    await settled(cluster, ready=1)
    answered = 0

    async def load():
        nonlocal answered
        while True:
            for url in machine.traffic()[-1:]:  # none while no replica answers its probes in time
                await ask(url, "/predict?seconds=0.1")
                answered += 1
            await asyncio.sleep(0.01)

    async with in_background(asyncio.gather(*(load() for _ in range(8)))):
        await settled(cluster, ready=2)
        enough = answered + 80  # in the time of four decisions, each of which asks for more

        async def are_answered():
            return answered >= enough

        await until(are_answered)
        assert (await settled(cluster, ready=2)).desired == 2
    assert (await settled(cluster, ready=1)).desired == 1
