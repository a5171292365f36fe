"""So1s as it runs in a cluster, for the tests of the whole chain."""

import uuid
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from so1s.blocking import wait_for
from so1s.kubernetes import connect
from so1s.kubernetes.paths import path
from so1s_lab.discovery import PodDiscovery, jobs
from so1s_lab.installation import Installation, Parts
from so1s_lab.platform import ClusterPlan
from so1s_lab.prometheus import Prometheus
from so1s_lab.runner import Runner
from tests.scenarios.running import ACCOUNT, Running


class InCluster(Running):
    """The platform on the lab's parts."""

    def __init__(
        self, directory: Path, installation: Installation, plan: type[ClusterPlan], **settings: Any
    ) -> None:
        self._installation = installation
        super().__init__(directory, partial(plan, world=installation.world), **settings)

    def living(self, deployment: str, account: str = ACCOUNT) -> list[dict[str, Any]]:
        """What a deployment's pods say of themselves."""
        found = self.run(self._pods(f"{self._installation.name}-{account}", deployment))
        running = [pod for pod in found if pod["status"].get("phase") in {"Pending", "Running"}]
        return [{"version": pod["metadata"]["labels"]["so1s.io/version"]} for pod in running]

    async def _pods(self, namespace: str, deployment: str) -> list[dict[str, Any]]:
        selector = {"labelSelector": f"so1s.io/deployment={deployment}"}
        async with connect(self._installation.kubeconfig) as api:
            return (await api.read(path("v1", "Pod", namespace), selector))["items"]


@pytest.fixture(scope="session")
def cluster_prometheus(lab: Runner, start, kubernetes, istio, node) -> Prometheus:
    """A Prometheus that finds what a cluster's would."""
    directory = lab.directory("cluster-prometheus")
    pods = PodDiscovery(directory, kubernetes)
    prometheus = Prometheus(directory, jobs=jobs(kubernetes, node, istio, pods.targets))
    start(pods)
    start(prometheus)
    return prometheus


@pytest.fixture(scope="session")
def parts(request: pytest.FixtureRequest) -> Parts:
    """Everything that a platform leans on."""
    other = {"postgres": "postgres_part", "prometheus": "cluster_prometheus"}
    names = [each.name for each in fields(Parts)]
    return Parts(**{name: request.getfixturevalue(other.get(name, name)) for name in names})


@pytest.fixture(scope="module")
def platform(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InCluster]:
    """So1s on the cluster; its services are processes of this machine.

    It ends with its module: two installations on one Kafka would take each other's events.
    """
    installation = Installation(f"w{uuid.uuid4().hex[:6]}", parts)
    yield from running(installation, tmp_path_factory.mktemp("platform"), ClusterPlan)


def running(installation: Installation, directory: Path, plan: type[ClusterPlan]) -> Iterator[InCluster]:
    """A platform while it runs."""
    wait_for(installation.prepare())
    made = InCluster(directory, installation, plan, window_seconds=5)
    try:
        made.start()
        yield made
        made.stop()
    finally:
        made.close()
