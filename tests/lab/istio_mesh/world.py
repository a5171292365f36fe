"""A world for tests of the router's mesh: replicas behind Kubernetes Services, and their gateway's Istio."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from services.router.adapters.istio.gateways import Probe
from services.router.adapters.istio.manifests import Gateway, Sharing
from services.router.adapters.mesh_istio import IstioMesh
from services.router.domain.route import Arm, Route
from so1s.blocking import wait_for
from so1s.errors import Unreachable
from so1s.kubernetes import Api, connect
from so1s.loop import Loop
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from tests.lab.missing import end_for_want_of
from tests.router.gateway import Replica, eventually


def own_address() -> str:
    """An address of this machine that is not of its loopback, as EndpointSlices may not name one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel chooses the address it would use
        except OSError:
            end_for_want_of(
                "an address beside this machine's loopback, which Kubernetes takes for no replica"
            )
        return probe.getsockname()[0]


HOST = "fraud--risk.so1s.localhost"
NETWORKING = "networking.istio.io/v1"
WRITE = ["list", "watch", "create", "patch", "update", "delete"]
ANYWHERE = [
    {"apiGroups": ["networking.istio.io"], "resources": ["destinationrules"], "verbs": WRITE},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]
"""What the router may do in the namespaces of accounts."""
AT_HOME = [
    {"apiGroups": ["networking.istio.io"], "resources": ["virtualservices", "gateways"], "verbs": WRITE}
]
"""What it may do in the namespace of its own objects."""


def permissions(namespace: str, user: str) -> list[dict[str, Any]]:
    """Let a user do what the router must be able to do, and nothing else."""
    api = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "apiGroup": api, "name": user}]
    roles = [("ClusterRole", {}, ANYWHERE), ("Role", {"namespace": namespace}, AT_HOME)]
    return [
        each
        for kind, where, rules in roles
        for each in (
            {"apiVersion": f"{api}/v1", "kind": kind, "metadata": {"name": user, **where}, "rules": rules},
            {
                "apiVersion": f"{api}/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": user, **where},
                "subjects": subjects,
                "roleRef": {"apiGroup": api, "kind": kind, "name": user},
            },
        )
    ]


@asynccontextmanager
async def connect_as(kubeconfig: Path, user: str) -> AsyncIterator[Api]:
    """The API server as a user without the administrator's permissions."""
    async with connect(kubeconfig) as api:
        api._http.set_default_header("Impersonate-User", user)
        yield api


async def apply(kubeconfig: Path, *manifests: dict[str, Any]) -> None:
    async with connect(kubeconfig) as api:
        for manifest in manifests:
            await api.apply(manifest, manager="test")


@dataclass
class Service:
    """The Service of a variant with one replica at most."""

    kubeconfig: Path
    namespace: str
    name: str
    replicas: list[Replica] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    def arm(self, weight: int) -> Arm:
        return Arm(self.name, weight, f"k8s://{self.host}:80")

    def list_replicas(self) -> "Service":
        """Tell Kubernetes which replicas are ready, as its own controller does for a Service with pods."""
        wait_for(apply(self.kubeconfig, self._service(), self._slice()))
        return self

    def _service(self) -> dict[str, Any]:
        ports = [{"name": "http", "port": 80}]
        return {"apiVersion": "v1", "kind": "Service", "metadata": self._meta(), "spec": {"ports": ports}}

    def _slice(self) -> dict[str, Any]:
        labels = {"labels": {"kubernetes.io/service-name": self.name}}
        addresses = sorted({each.address for each in self.replicas})
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": self._meta() | labels,
            "addressType": "IPv4",
            "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
            "ports": [{"name": "http", "port": each.port} for each in self.replicas[:1]],
        }

    def _meta(self) -> dict[str, Any]:
        return {"namespace": self.namespace, "name": self.name}


class ServiceOfSome(Service):
    """The Service of a variant with more replicas than this machine has addresses.

    Istio tells a Service's replicas apart by their addresses; those of a ServiceEntry have ports as well.
    """

    def _service(self) -> dict[str, Any]:
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": self._meta(),
            "spec": {
                "hosts": [self.host],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "resolution": "STATIC",
                "location": "MESH_INTERNAL",
                "endpoints": [
                    {"address": each.address, "ports": {"http": each.port}} for each in self.replicas
                ],
            },
        }


class Deploy:
    """Starts replicas, each variant's behind a Service of its own."""

    def __init__(self, kubeconfig: Path, namespace: str):
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.address = own_address()
        self.started: list[Replica] = []

    def __call__(self, name: str, replicas: int = 1) -> Service:
        running = [self.start(f"{name}-{number}") for number in range(replicas)]
        kind = Service if replicas <= 1 else ServiceOfSome
        return kind(self.kubeconfig, self.namespace, name, running).list_replicas()

    def start(self, name: str) -> Replica:
        self.started.append(Replica(name, address=self.address))
        return self.started[-1]


def user_of(namespace: str) -> str:
    """As whom a test's mesh speaks with the API server."""
    return f"router-of-{namespace}"


class Mesh(IstioMesh):
    """A mesh in a test's namespaces, and what keeps it informed."""

    def __init__(
        self,
        kubernetes: ControlPlane,
        istio: Istio,
        namespace: str,
        http: httpx.AsyncClient,
        bind: str = "127.0.0.1",
        **given: Any,
    ):
        own = Gateway(
            namespace,
            "so1s",
            selector=istio.gateway_labels,
            domain="so1s.localhost",
            port=istio.port,
            credential=None,
            bind=bind,
        )
        parts = {
            "connect": partial(connect_as, kubernetes.kubeconfig, user_of(namespace)),
            "probe": Probe(http, "http"),
            "gateways": [f"127.0.0.1:{istio.port}"],
            "sharing": Sharing(namespace, f"{namespace}/so1s", (), "so1s.localhost", timeout_seconds=10),
            "gateway": own,
            "health_wait_seconds": 1,
            "patience_seconds": 0.2,
        } | given
        super().__init__(**parts)

    async def __aenter__(self):
        self.begin()
        await eventually(self.takes)
        return self

    def begin(self) -> None:
        # Again and again, since an API server takes a moment to know what a new user may do.
        follow = Loop("follow", self.follow, every_seconds=0.1)
        self.following = asyncio.create_task(follow.run())

    async def __aexit__(self, *_):
        self.following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.following

    async def takes(self, *routes: Route) -> bool:
        try:
            await self.apply(routes)
        except Unreachable:
            return False
        return True
