"""A gateway's Istio, what it is told, and who calls it."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import httpx
import pytest

from so1s.kubernetes import Api, connect
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from tests.lab.istio_mesh.world import HOST, Deploy, Mesh, permissions, user_of
from tests.router.gateway import Caller, serve


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def caller(istio: Istio, http: httpx.AsyncClient) -> Caller:
    return Caller(http, istio.url)


@pytest.fixture
def deploy(kubernetes: ControlPlane, namespace: str) -> Iterator[Deploy]:
    deploy = Deploy(kubernetes.kubeconfig, namespace)
    yield deploy
    for replica in deploy.started:
        replica.kill()


@pytest.fixture
async def api(kubernetes: ControlPlane) -> AsyncIterator[Api]:
    async with connect(kubernetes.kubeconfig) as api:
        yield api


@pytest.fixture
async def make_mesh(
    kubernetes: ControlPlane, istio: Istio, namespace: str, http: httpx.AsyncClient, api: Api
) -> AsyncIterator[Callable[..., Mesh]]:
    """Makes meshes that may do what the router may do in a cluster."""
    user = user_of(namespace)
    for manifest in permissions(namespace, user):
        await api.apply(manifest, manager="test")
    yield partial(Mesh, kubernetes, istio, namespace, http)
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        await api.delete("rbac.authorization.k8s.io/v1", kind, None, user)


@pytest.fixture
async def mesh(make_mesh: Callable[..., Mesh]) -> AsyncIterator[Mesh]:
    """A mesh that serves nothing yet, by a Gateway of its own."""
    async with make_mesh() as mesh:
        yield mesh
        await serve(mesh, gone=HOST)  # the next test's first revision of it shall not be this one's
