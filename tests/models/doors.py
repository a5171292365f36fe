"""Before an image's server: nothing, an Envoy or an Istio, each as our router's adapters tell it to be."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx

from services.router.adapters.istio.manifests import Sharing
from services.router.adapters.mesh_envoy import EnvoyMesh
from services.router.domain.route import Arm
from so1s.kubernetes import connect
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.manifests import namespace
from tests.iotypes.door import Door
from tests.lab import outside
from tests.lab.istio_mesh.world import Mesh, own_address
from tests.models.ways import WAYS, Answer, Asked
from tests.router.gateway import Deployment, Envoy, eventually, free_ports, route, serve
from tests.served_images import served

SERVER, ENVOY, ISTIO = "a server", "Envoy (laptop)", "Istio (cluster)"
"""What the table calls the doors."""
_START_SECONDS = 900
_REQUEST_SECONDS = 60
_NAMESPACE = "models"


class Seen(NamedTuple):
    """Before which door a sample was sent, and how."""

    door: str
    way: str


class Gateway(NamedTuple):
    """What stands before servers."""

    name: str
    opened: Callable[[int], AbstractAsyncContextManager[Door]]
    """The door to the server at a port of this machine, while it is entered."""


async def answers(
    gateways: Sequence[Gateway], config: dict[str, Any], root: Path, asked: Asked
) -> dict[Seen, Answer]:
    """What the server of an unpacked image answers in each way, by itself and behind each gateway."""
    found: dict[Seen, Answer] = {}
    # Kubernetes takes no address of the loopback for a replica's.
    host = "0.0.0.0" if ISTIO in {each.name for each in gateways} else "127.0.0.1"
    with served(config, root, host=host) as url:
        port = httpx.URL(url).port
        assert port
        await _ready(url)
        for gateway in (Gateway(SERVER, _by_itself), *gateways):
            async with gateway.opened(port) as door:
                for way, send in WAYS.items():
                    found[Seen(gateway.name, way)] = await asyncio.to_thread(send, door, asked)
    return found


@asynccontextmanager
async def _by_itself(port: int) -> AsyncGenerator[Door]:
    yield Door(f"127.0.0.1:{port}")


class LaptopGateway:
    """An Envoy that runs from the first door on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._admin_port, self._port = free_ports(2)
        self._numbers = count(1)
        self._envoy: Envoy | None = None

    @asynccontextmanager
    async def opened(self, port: int) -> AsyncGenerator[Door]:
        """Route a host to a server as to a variant of a name that no other server had."""
        number = next(self._numbers)
        variant = Deployment(self._directory, "risk", f"server-{number}", [SimpleNamespace(port=port)])
        wanted = route("model", number, variant.list_replicas().arm(1))
        async with httpx.AsyncClient(trust_env=False) as http:
            mesh = EnvoyMesh(
                http,
                directory=self._directory / "envoy",
                gateway=("127.0.0.1", self._port),
                admin_port=self._admin_port,
                request_timeout_seconds=_REQUEST_SECONDS,
                health_wait_seconds=_START_SECONDS,
            )
            await mesh.apply([])
            self._envoy = self._envoy or Envoy(mesh.files.bootstrap, self._directory / "envoy.log")
            await serve(mesh, wanted)
        yield Door(f"127.0.0.1:{self._port}", wanted.host)

    def stop(self) -> None:
        """End the Envoy."""
        if self._envoy:
            self._envoy.stop()


class ClusterGateway:
    """A gateway that an istiod tells of a Service, whose one replica is a process of this machine."""

    def __init__(self, kubernetes: ControlPlane, istio: Istio) -> None:
        self._kubernetes = kubernetes
        self._istio = istio
        self._numbers = count(1)

    @asynccontextmanager
    async def opened(self, port: int) -> AsyncGenerator[Door]:
        """Route a host to a server as to a variant of a name that no other server had."""
        number = next(self._numbers)
        name = f"server-{number}"
        async with connect(self._kubernetes.kubeconfig) as api:
            for each in (
                namespace(_NAMESPACE),
                *outside.manifests(_NAMESPACE, name, own_address(), port),
            ):
                await api.apply(each, manager="test")
        wanted = route("model", number, Arm(name, 1, outside.url(_NAMESPACE, name)))
        async with httpx.AsyncClient(trust_env=False) as http, self._mesh(http) as mesh:
            await serve(mesh, wanted)
        yield Door(f"127.0.0.1:{self._istio.port}", wanted.host)

    def _mesh(self, http: httpx.AsyncClient) -> Mesh:
        """By the gateway that is there, as whoever may do everything."""
        sharing = Sharing(_NAMESPACE, self._istio.gateway, (), self._istio.domain, _REQUEST_SECONDS)
        client = partial(connect, self._kubernetes.kubeconfig)
        given = {"connect": client, "sharing": sharing, "gateway": None, "patience_seconds": 60}
        return Mesh(self._kubernetes, self._istio, _NAMESPACE, http, **given)


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:

        async def answers() -> bool:
            try:
                return (await http.get(f"{url}/v2/health/ready")).is_success
            except httpx.TransportError:
                return False

        await eventually(answers, _START_SECONDS)
