from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from services.deployer.adapters.cluster_processes import ClusterProcesses
from services.deployer.adapters.processes.options import Options
from services.deployer.adapters.processes.shutdown import end_all
from services.deployer.adapters.processes.world import ReplicaRecord, World
from services.deployer.alarm import Alarm
from services.deployer.domain.autoscaling import Behavior
from services.deployer.domain.capacity import Capacity
from services.deployer.domain.observation import Observation
from services.deployer.domain.options import Defaults
from services.deployer.domain.probes import ProbeRules
from services.deployer.domain.restart import Backoff
from services.deployer.handlers import consumer
from services.deployer.ports import Cluster, Deployment
from so1s.events import Image, Resources, Scaling, Workload
from so1s.events.envelope import Cause
from so1s.store import Store
from so1s.testing import run
from tests.deployer.stand_in import Layout
from tests.tables import make_tables

QUICK = {
    "probes": ProbeRules(period_seconds=0.1, timeout_seconds=2.0, startup_seconds=60),
    "backoff": Backoff(first_seconds=0.05, most_seconds=0.1, stable_seconds=30),
    "behavior": Behavior(scale_down_window_seconds=0.5),
    "autoscale_period_seconds": 0.25,
    "min_ready_seconds": 0.1,
    "drain_seconds": 0.4,
    "grace_seconds": 5.0,
}


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """What the condition answers once that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := await condition()):
        assert time.monotonic() < deadline, "the condition did not come about"
        await asyncio.sleep(0.05)
    return answer


def workload(image: Image, version: str, **changes: Any) -> Workload:
    scaling = changes.pop("replicas", None)
    if scaling:
        changes["scaling"] = Scaling(min_replicas=scaling, max_replicas=scaling)
    small = Resources(cpu_millicores=100, memory_mib=64)
    standard = {"model": "fraud", "endpoint": "fraud", "user": "jiho", "resources": small}
    return Workload(**standard | {"image": image, "version": version} | changes)


def deployment(wanted: Workload, revision: int = 1, name: str = "fraud") -> Deployment:
    cause = Cause(f"event-{revision}", "upload", "00-trace")
    return Deployment("risk", name, revision, wanted, cause)


class Processes:
    """The machine under `cluster_processes`, as a conformance test may touch it."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory / "images")
        capacity = Capacity(cpu_millicores=2000, memory_mib=4096, gpus=0)
        self.options = Options(directory / "world", directory / "unpacked", capacity, **QUICK)
        self.world = World(self.options.world)
        self.drain_seconds = self.options.drain_seconds

    def image(self, version: str, **behaviour: Any) -> Image:
        return self.layout.image(version, **behaviour)

    def cluster(self, **changes: Any) -> Cluster:
        """A new adapter on the same world, as a deployer that starts again makes one."""
        return ClusterProcesses(replace(self.options, **changes))

    def traffic(self) -> list[str]:
        """Where the mesh is told to find `risk/fraud`."""
        text = self.world.endpoints("risk", "fraud").read_text()
        [assignment] = json.loads(text)["resources"]
        assert assignment["@type"].endswith("envoy.config.endpoint.v3.ClusterLoadAssignment")
        assert assignment["cluster_name"] == "risk--fraud"
        found = [each["endpoint"]["address"] for each in assignment["endpoints"][0]["lb_endpoints"]]
        addresses = [each["socket_address"] for each in found]
        return [f"http://{each['address']}:{each['port_value']}" for each in addresses]

    def serving(self) -> list[str]:
        """The versions that the mesh is sent to: one for each replica."""
        versions = {record.url: record.version for record in self.living()}
        return sorted(versions[url] for url in self.traffic())

    def versions(self) -> set[str]:
        """Of all replicas that are there, also of those that are about to end."""
        return {record.version for record in self.living()}

    def missing_image(self) -> Image:
        """One that nobody made."""
        digest = f"sha256:{'0' * 64}"
        return Image(reference=f"oci:{self.layout.root}@{digest}", digest=digest, size_bytes=0)

    async def ask(self, url: str) -> dict[str, Any]:
        """What the deployment answers at a url of `observe`."""
        return await ask(url)

    def living(self) -> list[ReplicaRecord]:
        return [record for record in self.world.replicas() if not record.ended_at]

    def names(self) -> set[str]:
        return {record.uid for record in self.living()}

    def processes(self, version: str = "") -> list[psutil.Process]:
        """Those of all servers, or of a version's."""
        wanted = [record for record in self.living() if version in {"", record.version}]
        return [psutil.Process(record.pid) for record in wanted if record.pid]


@pytest.fixture(params=["processes"])
async def machine(request, tmp_path):
    """Each adapter's world; one more adapter is one more parameter."""
    made = {"processes": Processes}[request.param](tmp_path)
    yield made
    await end_all(replace(made.options, grace_seconds=0))


@pytest.fixture
async def cluster(machine):
    async with machine.cluster() as entered:
        yield entered


@pytest.fixture
async def store(tmp_path):
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/deployer.db", producer="deployer")
    await make_tables(store, "services.deployer.migrations")
    yield store
    await store.close()


async def seen(cluster: Cluster, name: str = "fraud") -> Observation | None:
    return next((each for each in await cluster.observe() if each.deployment == name), None)


async def settled(cluster: Cluster, ready: int, revision: int = 1) -> Observation:
    """The deployment once it has so many ready replicas of the revision, and no others."""

    async def check() -> Observation | None:
        now = await seen(cluster)
        wanted = now and (now.revision, now.updated, now.total) == (revision, ready, ready)
        return now if wanted else None

    return await until(check)


async def ask(url: str, path: str = "/predict") -> dict[str, Any]:
    # Without verify=False each client loads the authorities: 30 ms of the loop that probes replicas, too.
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as http:
        return (await http.get(url + path)).raise_for_status().json()


@contextlib.asynccontextmanager
async def in_background(work: Awaitable[Any]):
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def tell(store):
    async def tell(event, defaults=None, chain="test"):
        provide = [defaults or Defaults(), Alarm()]
        return await run(consumer, event, event_id=chain, store=store, provide=provide)

    return tell


@pytest.fixture
def deployer(machine, store):
    from tests.deployer.reconciled import Deployer  # which needs what is above

    return Deployer(machine, store)
