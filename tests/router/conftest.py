"""A router whose mesh is in memory, and one Envoy for the session; each test has its own accounts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from services.router.adapters.mesh_envoy import EnvoyMesh
from so1s.store import Store
from tests.router.driver import Clock, MemoryMesh, Router
from tests.router.gateway import Caller, Deployment, Envoy, Replica, free_ports
from tests.tables import make_tables


class World:
    """The one Envoy of the session, and what it is told."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.files = directory / "envoy"
        self.endpoints = directory / "endpoints"
        self.endpoints.mkdir()
        self.gateway_port, self.admin_port = free_ports(2)
        self.envoy: Envoy | None = None

    def mesh(self, http: httpx.AsyncClient, request_timeout_seconds: float = 10) -> EnvoyMesh:
        return EnvoyMesh(
            http,
            directory=self.files,
            gateway=("127.0.0.1", self.gateway_port),
            admin_port=self.admin_port,
            request_timeout_seconds=request_timeout_seconds,
            health_wait_seconds=1,
        )

    def run(self):
        if self.envoy is None:
            self.envoy = Envoy(self.files / "bootstrap.json", self.directory / "envoy.log")

    def stop(self):
        if self.envoy:
            self.envoy.stop()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


@pytest.fixture
async def mesh(world: World, http: httpx.AsyncClient) -> AsyncIterator[EnvoyMesh]:
    """A mesh that serves nothing yet."""
    mesh = world.mesh(http)
    await mesh.apply([])
    world.run()
    yield mesh
    await mesh.apply([])


@pytest.fixture
def caller(world: World, http: httpx.AsyncClient) -> Caller:
    return Caller(http, f"http://127.0.0.1:{world.gateway_port}")


class Deploy:
    """Starts replicas of the account `risk`."""

    def __init__(self, endpoints: Path):
        self.endpoints = endpoints
        self.started: list[Replica] = []

    def __call__(self, name: str, replicas: int = 1) -> Deployment:
        running = [self._start(f"{name}-{number}") for number in range(replicas)]
        return Deployment(self.endpoints, "risk", name, running).list_replicas()

    def again(self, killed: Replica) -> Replica:
        return self._start(f"{killed.name}-again", killed.port)

    def _start(self, name: str, port: int = 0) -> Replica:
        self.started.append(Replica(name, port))
        return self.started[-1]


@pytest.fixture
def deploy(world: World) -> Iterator[Deploy]:
    deploy = Deploy(world.endpoints)
    yield deploy
    for replica in deploy.started:
        replica.kill()


@pytest.fixture
def kafka(own_kafka):
    return own_kafka


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path, clock):
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/router.db", producer="router", clock=clock)
    await make_tables(store, "services.router.migrations")
    yield store
    await store.close()


@pytest.fixture
def router(store):
    return Router(store, MemoryMesh())
