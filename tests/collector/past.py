"""A cluster that Kubernetes and Prometheus tell of, and collectors that look at its past, on one clock."""

import asyncio
import contextlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from services.collector.adapters.world_kubernetes import Naming, WorldKubernetes
from services.collector.domain.counters import Reading
from services.collector.domain.samples import REQUESTS
from services.collector.domain.world import Gateway, Replica
from services.collector.scraper import Scraper
from services.collector.timeline import Timeline
from services.collector.watchers import Sampler
from services.deployer.adapters.kubernetes.manifests import workload
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.ports import Deployment
from so1s.errors import Unreachable
from so1s.events import Image, Resources, Workload
from so1s.events.envelope import Cause
from so1s.kubernetes import labels
from so1s.store import Store

SECOND_MS = 1000
WINDOW_MS = 60 * SECOND_MS
SETTLE_MS = 30 * SECOND_MS
SCRAPE_MS = 15 * SECOND_MS
DAY_MS = 86_400 * SECOND_MS
NOON_MS = 1_800_000_000_000
"""The start of a window."""

OPTIONS = Options("so1s-", "cluster.local", "nvidia.com/gpu", "")
WANTED = Workload(
    model="fraud",
    version="3",
    image=Image(reference="r/risk/fraud@sha256:" + "1" * 64, digest="sha256:" + "1" * 64, size_bytes=1),
    endpoint="fraud",
    user="airflow:risk_daily",
    labels={"team": "fraud-ds"},
    resources=Resources(cpu_millicores=1500, memory_mib=768, gpus=2),
)


class Mirror:
    """Of one kind of objects, complete and up to date."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._removed: list[Callable[[dict[str, Any]], None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._removed.clear()

    def on_removed(self, removed: Callable[[dict[str, Any]], None]) -> None:
        self._removed.append(removed)

    def add(self, body: dict[str, Any]) -> None:
        self.objects[body["metadata"]["namespace"], body["metadata"]["name"]] = body

    def remove(self, name: str) -> None:
        body = self.objects.pop(("so1s-risk", name))
        for removed in self._removed:
            removed(body)


class Cluster:
    """Deployments of one replica each, what they answer, and when Prometheus could be asked."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS
        self.prometheus_answers = True
        self.pods = Mirror()
        self.deployments = Mirror()
        self.answered: defaultdict[str, list[int]] = defaultdict(list)
        """When requests were answered, by cluster."""
        self._started = 0

    @contextlib.asynccontextmanager
    async def api(self) -> AsyncGenerator["Cluster"]:
        yield self

    def mirror(self, _: str, kind: str, *, label_selector: str) -> Mirror:
        assert label_selector
        return {"Pod": self.pods, "Deployment": self.deployments}[kind]

    def deploy(self, name: str, wanted: Workload = WANTED, revision: int = 1) -> None:
        """Apply a deployment, whose controller replaces and ends pods at once."""
        count = wanted.scaling.min_replicas
        deployment = Deployment("risk", name, revision, wanted, Cause(f"event-{revision}", "chain", "trace"))
        body = workload(deployment, OPTIONS) | {"status": {"readyReplicas": count}}
        body["spec"]["replicas"] = count
        self.deployments.add(body)
        template = body["spec"]["template"]
        fit = [each for each in self._pods_of(name) if each["spec"] == template["spec"]][:count]
        for each in self._pods_of(name):
            if each not in fit:
                self.pods.remove(each["metadata"]["name"])
        for _ in range(count - len(fit)):
            self._run(name, template)

    def remove(self, name: str) -> None:
        self.deployments.remove(name)
        for each in self._pods_of(name):
            self.pods.remove(each["metadata"]["name"])

    def _pods_of(self, name: str) -> list[dict[str, Any]]:
        found = self.pods.objects.values()
        return [each for each in found if each["metadata"]["labels"][labels.DEPLOYMENT] == name]

    def _run(self, name: str, template: dict[str, Any]) -> None:
        self._started += 1
        own = {"namespace": "so1s-risk", "name": f"{name}-{self._started}", "uid": f"u{self._started}"}
        started = datetime.fromtimestamp(self.now_ms / 1000, UTC).isoformat()
        status = {"phase": "Running", "startTime": started}
        self.pods.add({"metadata": template["metadata"] | own, "spec": template["spec"], "status": status})

    def answer(self, name: str, requests: int = 1) -> None:
        self.answered[f"risk--{name}"] += [self.now_ms] * requests

    def counted(self, cluster: str, until_ms: int) -> int:
        """What the gateway had counted when it was scraped last."""
        return bisect_right(self.answered[cluster], until_ms // SCRAPE_MS * SCRAPE_MS)


class GatewayOfPrometheus:
    """GatewayMetrics of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read(self, last: Mapping[str, Reading], at_ms: int) -> Mapping[str, Reading]:
        if not self._cluster.prometheus_answers:
            raise Unreachable("Prometheus is away")
        return {name: Reading(at_ms, {REQUESTS: self._cluster.counted(name, at_ms)}) for name in last}


class NoReplicas:
    """ReplicaMetrics of which nothing is known."""

    async def read(
        self, _: Sequence[Replica], __: Mapping[str, Reading], at_ms: int
    ) -> Mapping[str, Reading]:
        assert at_ms
        return {}


class Collector:
    """A collector's process."""

    def __init__(self, cluster: Cluster, store: Store, *, window_ms: int = WINDOW_MS) -> None:
        naming = Naming("so1s-", "nvidia.com/gpu")
        self._cluster, self._window_ms = cluster, window_ms
        self._looked_ms = 0
        self.world = WorldKubernetes(cluster.api, store, naming, lambda: cluster.now_ms)
        self._timeline = Timeline(
            store,
            lambda: cluster.now_ms,
            window_seconds=window_ms // SECOND_MS,
            settle_seconds=SETTLE_MS / SECOND_MS,
            reach_seconds=DAY_MS / SECOND_MS,
        )
        self._sampler = Sampler(
            store=store,
            world=self.world,
            scraper=Scraper(GatewayOfPrometheus(cluster), NoReplicas()),
            gateway=Gateway("so1s", "istio"),
            window_seconds=window_ms // SECOND_MS,
            now_ms=self._timeline.now_ms,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Collector"]:
        """Until it is stopped; what it sees of the world it sees at once."""
        following = asyncio.create_task(self.world.follow())
        try:
            await self.world.read()
            yield self
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def look(self) -> None:
        """Take in what runs, and look at the moments that have settled, if Prometheus answers."""
        await self.world.read()
        newest_ms = (self._cluster.now_ms - SETTLE_MS) // self._window_ms * self._window_ms
        while self._looked_ms < newest_ms:
            await self._timeline.follow(self._look)
            if not self._cluster.prometheus_answers:
                return

    async def _look(self) -> None:
        await self._sampler.look()
        self._looked_ms = self._timeline.now_ms()
