"""kwok: plays the kubelets of nodes that do not exist, whose pods run at once and do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernetes_asyncio.client import ApiClient, CoreV1Api

from so1s_lab.apiserver import ApiServer
from so1s_lab.command import command
from so1s_lab.go import CONTROL_PLANE, GoProgram
from so1s_lab.manifests import Manifest, create
from so1s_lab.nodes import Pool, takes_pods
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

_MODULE = "sigs.k8s.io/kwok"
PROGRAM = GoProgram(f"{_MODULE}/cmd/kwok", module=_MODULE)
_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
_FAKE = "kwok.x-k8s.io/node"
_NODES_READY_SECONDS = 20.0


class Kwok:
    """Plays every node that bears its annotation."""

    name = "kwok"
    version = PROGRAM.version

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._port = any_port()
        self._binary = Path()
        self._stages: list[Path] = []

    def prepare(self) -> None:
        """Build it, and take the stages of a node's and a pod's life from its source."""
        self._binary = PROGRAM.build()
        self._stages = [CONTROL_PLANE.file(_MODULE, f"kustomize/stage/{path}") for path in _STAGES]

    def unit(self) -> Unit:
        """Nodes keep their Leases, or the node controller would find them dead."""
        stages = [f"--config={path}" for path in self._stages]
        line = command(
            self._binary,
            *stages,
            kubeconfig=self._server.kubeconfig("kwok", group="system:masters"),
            manage_nodes_with_annotation_selector=f"{_FAKE}=fake",
            node_lease_duration_seconds=40,
            server_address=f"127.0.0.1:{self._port}",
            cidr="10.244.0.1/16",
        )
        return Unit(self.name, line, answers(f"http://127.0.0.1:{self._port}/healthz"))


@dataclass(frozen=True)
class NodePool(Pool):
    """Fake nodes for the pods of one test."""

    count: int
    gpus: int
    """Of each node."""

    @property
    def nodes(self) -> list[str]:
        """Their names."""
        return [f"{self.name}-{number}" for number in range(self.count)]

    def manifests(self) -> list[Manifest]:
        """The nodes' manifests."""
        return [fake_node(name, gpus=self.gpus, pool=self) for name in self.nodes]


async def add_nodes(api: ApiClient, manifests: Sequence[Manifest]) -> None:
    """Make nodes, and return when pods may be placed on them.

    Raises:
        TimeoutError: kwok does not play them.
    """
    await create(api, *manifests)
    core = CoreV1Api(api)
    async with asyncio.timeout(_NODES_READY_SECONDS):
        for name in (each["metadata"]["name"] for each in manifests):
            while not takes_pods(await core.read_node(name)):  # noqa: ASYNC110 - it is asked, it does not tell
                await asyncio.sleep(0.02)


def fake_node(name: str, *, gpus: int = 4, pool: Pool | None = None) -> Manifest:
    """The manifest of a node that kwok plays."""
    room = {"cpu": "64", "memory": "256Gi", "pods": "1000", "nvidia.com/gpu": str(gpus)}
    labels = {"kubernetes.io/hostname": name, **(pool.selector if pool else {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {_FAKE: "fake"}, "labels": labels},
        "spec": {"taints": [pool.taint] if pool else []},
        "status": {"capacity": room, "allocatable": room},
    }
