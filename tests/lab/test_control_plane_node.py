import base64
import json
import shutil
import tarfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes_asyncio.client import CoreV1Api, CustomObjectsApi, V1Pod

from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.node import PAUSE, PAUSE_IMAGE, Node
from so1s_lab.oci import write_image
from so1s_lab.registry import Registry
from tests.lab.pushing import push

PORT = 8080
LABELS = {"app": "server"}


class Server:
    """A pod of the real node that answers with its name."""

    def __init__(self, core: CoreV1Api, namespace: str, node: Node, eventually) -> None:
        self._core = core
        self._namespace = namespace
        self._node = node
        self._eventually = eventually

    async def run(self, image: str = PAUSE_IMAGE, **spec: Any) -> V1Pod:
        """The pod, once it is ready."""
        manifest = {"metadata": {"name": "server", "labels": LABELS}, "spec": self._spec(image) | spec}
        await self._core.create_namespaced_pod(self._namespace, manifest)
        await self._eventually(self._is_ready)
        return await self._pod()

    async def log(self) -> str:
        """What it printed."""
        return await self._core.read_namespaced_pod_log("server", self._namespace)

    async def _pod(self) -> V1Pod:
        return await self._core.read_namespaced_pod("server", self._namespace)

    async def _is_ready(self) -> bool:
        conditions = (await self._pod()).status.conditions or []
        return any(each.type == "Ready" and each.status == "True" for each in conditions)

    def _spec(self, image: str) -> dict[str, Any]:
        container = {
            "name": "server",
            "image": image,
            "args": [f":{PORT}"],
            "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
            "securityContext": {"runAsNonRoot": True, "readOnlyRootFilesystem": True},
            "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
        }
        return {
            "containers": [container],
            "nodeSelector": self._node.pool.selector,
            "tolerations": self._node.pool.tolerations,
            "terminationGracePeriodSeconds": 1,
        }


@pytest.fixture
async def core(kubernetes: ControlPlane) -> AsyncGenerator[CoreV1Api]:
    async with kubernetes.client() as api:
        yield CoreV1Api(api)


@pytest.fixture
def server(core: CoreV1Api, namespace: str, node: Node, eventually) -> Server:
    return Server(core, namespace, node, eventually)


async def test_a_pod_on_the_real_node_runs_answers_and_shows_its_log(server: Server) -> None:
    pod = await server.run()
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{pod.status.pod_ip}:{PORT}/")
    assert answer.text == "server\n"
    assert f"server answers on :{PORT}" in await server.log()


async def test_the_real_node_pulls_an_image_with_the_password_of_its_namespace(
    server: Server, registry: Registry, core: CoreV1Api, namespace: str, tmp_path: Path
) -> None:
    digest = await push(_layout(tmp_path), registry, "lab/server")
    password = {"auths": {registry.host: {"username": registry.username, "password": registry.password}}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps(password).encode()).decode()}
    secret = {"metadata": {"name": "registry"}, "type": "kubernetes.io/dockerconfigjson", "data": data}
    await core.create_namespaced_secret(namespace, secret)
    pod = await server.run(f"{registry.host}/lab/server@{digest}", imagePullSecrets=[{"name": "registry"}])
    assert pod.status.container_statuses[0].image_id.endswith(digest)


def _layout(directory: Path) -> Path:
    """An image made here, unpacked; it must differ from the node's own, which needs no password."""
    binary = Path(shutil.copy(PAUSE.build(), directory / "server"))
    archive = directory / "image.tar"
    write_image(archive, reference="server", binary=binary)
    with tarfile.open(archive) as packed:
        packed.extractall(directory / "layout", filter="data")
    return directory / "layout"


async def test_the_gateway_serves_a_pod_of_the_real_node(
    server: Server, istio: Istio, core: CoreV1Api, namespace: str, eventually
) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": PORT}]
    service = {"metadata": {"name": "server"}, "spec": {"selector": LABELS, "ports": ports}}
    await core.create_namespaced_service(namespace, service)
    await server.run()
    host = f"{namespace}.so1s.localhost"
    await CustomObjectsApi(core.api_client).create_namespaced_custom_object(
        "networking.istio.io", "v1", namespace, "virtualservices", _virtual_service(host, istio.gateway)
    )
    async with httpx.AsyncClient(base_url=istio.url, headers={"host": host}, trust_env=False) as http:

        async def served() -> bool:
            return (await http.get("/")).text == "server\n"

        await eventually(served)


def _virtual_service(host: str, gateway: str) -> dict[str, Any]:
    route = [{"destination": {"host": "server"}}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "server"},
        "spec": {"hosts": [host], "gateways": [gateway], "http": [{"route": route}]},
    }
