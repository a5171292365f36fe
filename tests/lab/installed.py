"""A deployer's adapter on a real API server with real controllers; kwok plays the kubelets."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.deployer.adapters.cluster_kubernetes import ClusterKubernetes
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.ports import Cluster
from so1s.events import Image
from so1s.kubernetes import Api, connect
from so1s_lab.control_plane import ControlPlane
from tests.deployer.conftest import deployment, settled, workload


class Kubernetes:
    """A control plane, as a test of the port may touch it; its namespace prefix keeps tests apart."""

    def __init__(self, kubeconfig: Any, api: Api) -> None:
        self._kubeconfig = kubeconfig
        self.api = api
        self.prefix = f"t{uuid.uuid4().hex[:6]}-"
        self.namespace = f"{self.prefix}risk"

    def image(self, version: str) -> Image:
        digest = "sha256:" + version.rjust(64, "0")
        return Image(reference=f"registry.test/risk/fraud@{digest}", digest=digest, size_bytes=1)

    def cluster(self, **changes: Any) -> Cluster:
        options = {"gpu_resource": "nvidia.com/gpu", "gpu_scheduler": "", "unschedulable_seconds": 0.2}
        standard = {"namespace_prefix": self.prefix, "cluster_domain": "cluster.local"} | options
        self.last = ClusterKubernetes(Options(**standard | changes), self._kubeconfig)
        return self.last

    def objects(self, kind: str) -> dict[str, dict[str, Any]]:
        found = self.last._mirrors[kind].objects.items()
        return {name: body for (namespace, name), body in found if namespace == self.namespace}

    def living(self) -> list[dict[str, Any]]:
        return [pod for pod in self.objects("Pod").values() if "deletionTimestamp" not in pod["metadata"]]

    def names(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.living()}

    async def patch(self, version: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        """An edit by another hand."""
        meta = {"namespace": self.namespace, "name": name}
        edit = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
        await self.api.apply(edit, manager="somebody")


@asynccontextmanager
async def installation(kubernetes: ControlPlane) -> AsyncGenerator[Kubernetes]:
    async with connect(kubernetes.kubeconfig) as api:
        made = Kubernetes(kubernetes.kubeconfig, api)
        yield made
        await api.delete("v1", "Namespace", None, made.namespace)


@pytest.fixture
async def machine(kubernetes: ControlPlane) -> AsyncGenerator[Kubernetes]:
    async with installation(kubernetes) as made:
        yield made


@pytest.fixture
async def cluster(machine: Kubernetes) -> AsyncGenerator[Cluster]:
    async with machine.cluster() as entered:
        yield entered


async def serving(cluster: Cluster, machine: Kubernetes, version: str = "1", **changes: Any) -> None:
    await cluster.apply(deployment(workload(machine.image(version), version, **changes)))
    await settled(cluster, ready=changes.get("replicas", 1))


def calls_of(cluster):
    """The kinds of what is written from now on."""
    calls = []
    apply = cluster._api.apply
    cluster._api.apply = lambda manifest, **rest: calls.append(manifest["kind"]) or apply(manifest, **rest)
    return calls
