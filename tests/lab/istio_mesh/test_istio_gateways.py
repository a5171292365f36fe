"""The router and its gateways on a real Istio: over TLS, and more than one of them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from services.router import app_istio
from services.router.adapters.istio.manifests import Gateway
from services.router.adapters.mesh_istio import IstioMesh
from services.router.domain.deadlines import Deadlines
from services.router.settings import Settings
from so1s.events import RoutesApplied, RoutesDegraded
from so1s.kubernetes import Api
from so1s_lab.gateway import Gateway as Envoy
from so1s_lab.istio import Istio
from so1s_lab.runner import Runner
from tests.lab.istio_mesh.relay import Relay
from tests.lab.istio_mesh.test_istio_router import joined, said, store  # noqa: F401 - fixtures
from tests.lab.istio_mesh.world import HOST, NETWORKING
from tests.router.driver import Router
from tests.router.gateway import eventually, free_ports, route, serve

OTHER_ADDRESS = "127.0.0.2"
OTHER = {"istio": "other-gateway"}


@asynccontextmanager
async def made_by_settings(settings: Settings) -> AsyncIterator[IstioMesh]:
    """A mesh as the router's composition root makes it."""
    mesh, (loop,) = app_istio.mesh(settings)
    following = asyncio.create_task(loop.run())
    try:
        yield mesh
    finally:
        following.cancel()
        await asyncio.gather(following, mesh._probe.http.aclose(), return_exceptions=True)


async def test_settings_alone_make_a_mesh_on_a_gateway_that_is_there_already(
    kubernetes, istio, namespace, deploy, api
):
    settings = Settings(
        database_url="sqlite+aiosqlite://",
        mesh="istio",
        kubeconfig=kubernetes.kubeconfig,
        istio_namespace=namespace,
        istio_gateway=istio.gateway,
        istio_export_to=[istio.gateway_namespace],
        istio_probes=[f"127.0.0.1:{istio.port}"],
    )
    async with made_by_settings(settings) as mesh:
        await serve(mesh, route("fraud", 5, deploy("fraud").arm(1)))
        assert await api.get(NETWORKING, "Gateway", namespace, "so1s") is None
        await mesh.apply([])


async def test_the_routers_own_gateway_serves_by_its_certificate_and_is_asked_over_https(
    kubernetes, istio, namespace, deploy
):
    (port,) = free_ports(1)
    settings = Settings(
        database_url="sqlite+aiosqlite://",
        mesh="istio",
        kubeconfig=kubernetes.kubeconfig,
        gateway_port=port,
        istio_namespace=namespace,
        istio_selector=istio.gateway_labels,
        istio_bind="127.0.0.1",
        istio_credential=istio.credential,
        istio_probes=[f"127.0.0.1:{port}"],
        istio_probe_ca_file=istio.ca_file,
    )
    async with made_by_settings(settings) as mesh:
        await serve(mesh, route("fraud", 5, deploy("fraud").arm(1)))
        trusting = ssl.create_default_context(cafile=istio.ca_file)
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as https:
            answer = await https.post(
                f"https://127.0.0.1:{port}/predict",
                headers={"host": HOST},
                extensions={"sni_hostname": HOST},
                content=b"{}",
            )
        assert (answer.status_code, answer.json()["replica"]) == (200, "fraud-0")
        assert answer.headers["x-so1s-revision"] == "5"
        await serve(mesh, gone=HOST)


@dataclass(frozen=True)
class TwoGateways:
    """Where two gateways of one Istio listen, and what lies between the other one and istiod."""

    port: int
    network: Relay

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{self.port}", f"{OTHER_ADDRESS}:{self.port}"]


def elsewhere(istio: Istio, name: str) -> dict:
    """Let the other gateway listen on an address of its own: both are on one machine."""
    address = {"address": {"socket_address": {"address": OTHER_ADDRESS}}}
    patch = {
        "applyTo": "LISTENER",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "MERGE", "value": address},
    }
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"namespace": istio.gateway_namespace, "name": name},
        "spec": {"workloadSelector": {"labels": OTHER}, "configPatches": [patch]},
    }


@pytest.fixture
async def gateways(istio: Istio, api: Api, namespace: str, tmp_path: Path) -> AsyncIterator[TwoGateways]:
    """The lab's gateway, and another one."""
    moved = elsewhere(istio, namespace)
    await api.apply(moved, manager="test")
    async with Relay(istio.discovery_port) as network:
        envoy = Envoy(
            tmp_path,
            istio.proxy(OTHER),
            discovery_port=network.port,
            ca_file=istio.ca_file,
            name="other-gateway",
        )
        with Runner(tmp_path / "other") as runner:
            await asyncio.to_thread(runner.start, envoy)
            yield TwoGateways(*free_ports(1), network)
            await asyncio.to_thread(runner.stop)
    await api.delete(moved["apiVersion"], moved["kind"], istio.gateway_namespace, namespace)


async def test_a_route_is_applied_once_both_gateways_have_it(gateways, make_mesh, namespace, store, deploy):  # noqa: F811
    own = Gateway(
        namespace,
        "so1s",
        selector={},
        domain="so1s.localhost",
        port=gateways.port,
        credential=None,
        bind="127.0.0.1",
    )
    async with make_mesh(gateway=own, gateways=gateways.addresses) as mesh:
        router = Router(store, mesh)
        await said(router, joined(deploy("fraud")))
        assert await mesh.served(HOST) == [1, 1]

        gateways.network.halt()
        router.deadlines(Deadlines(weights=600, checks=600, apply=3600))
        answers = await router.take(joined(deploy("fraud-next")))

        async def one_has_it() -> bool:
            answers.extend(await router.turn())
            return await mesh.served(HOST) == [2, 1]

        await eventually(one_has_it)
        assert answers == []
        router.deadlines(Deadlines(weights=600, checks=600, apply=0))
        (degraded,) = await said(router)
        assert (type(degraded), degraded.revision) == (RoutesDegraded, 2)
        assert (degraded.gateways_serving, degraded.gateways) == (1, 2)

        gateways.network.flow()
        (applied,) = await said(router)
        assert (type(applied), applied.revision) == (RoutesApplied, 2)
        assert await mesh.served(HOST) == [2, 2]
        await serve(mesh, gone=HOST)
