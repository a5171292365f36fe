"""The same objects, by server-side apply and nothing else."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

import httpx

from services.deployer.adapters.kubernetes import manifests, names
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.pod import Pod
from services.deployer.ports import Deployment
from services.router.adapters.istio.manifests import REVISION_PATH, Sharing, virtual_service
from services.router.domain.route import Arm, Route
from so1s.events.envelope import Cause
from so1s.kubernetes import Api
from tests.load.bench.cluster.site import BARE, Site, requested
from tests.scenarios.running import ACCOUNT

_MANAGER = "bench"
_OPTIONS = Options(
    namespace_prefix="bare-", cluster_domain="cluster.local", gpu_resource="", gpu_scheduler=""
)
_AT_ONCE = 16
"""Objects that are applied at the same time, as our services do."""
_SECONDS = 300.0

Manifest = dict[str, object]


class BareDeployments:
    """Applies what the deployer applies, in a namespace that it does not look at."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        for each in manifests.of_account(ACCOUNT, _OPTIONS):
            await self._apply(each)
        self._pods = self._api.mirror("v1", "Pod", label_selector=f"app.kubernetes.io/managed-by={_MANAGER}")
        self._pods.on_change(self._changed.set)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._pods)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def seconds(self, deployments: Sequence[str]) -> float:
        """How long some deployments take, together, until each has a ready pod."""
        began = time.perf_counter()
        await asyncio.gather(*map(self._deploy, deployments))
        await self._until(lambda: set(deployments) <= self._ready())
        return time.perf_counter() - began

    async def _deploy(self, name: str) -> None:
        wanted = Deployment(ACCOUNT, name, 1, requested(name).workload, Cause("1", "1"))
        async with self._turns:
            live = await self._apply(manifests.workload(wanted, _OPTIONS))
            for each in manifests.beside(wanted, _OPTIONS, live):
                await self._apply(each)

    async def _apply(self, manifest: Manifest) -> Manifest:
        """Apply it under another manager's label, which keeps it out of the deployer's watches."""
        renamed = json.loads(json.dumps(manifest).replace(names.MANAGER, _MANAGER))
        return await self._api.apply(renamed, manager=_MANAGER)

    def _ready(self) -> set[str]:
        pods = [each for each in self._pods.objects.values() if Pod(each).ready]
        return {each["metadata"]["labels"][names.DEPLOYMENT] for each in pods}

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class BareRoutes:
    """Applies what the router applies, in a namespace that it does not look at."""

    def __init__(self, site: Site, services: Mapping[str, str]) -> None:
        """Route to services by the names of their variants: one, or two whose weights change."""
        self._site = site
        self._services = services
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._sharing = Sharing(
            BARE, site.parts.istio.gateway, export_to=(), domain=site.domain, timeout_seconds=60
        )

    async def seconds(self, endpoint: str, revision: int) -> float:
        """How long one route takes from its apply until the gateway answers with it."""
        began = time.perf_counter()
        await self._route(endpoint, revision)
        return time.perf_counter() - began

    async def seconds_together(self, endpoints: Sequence[str]) -> float:
        """How long new routes take, together, until the gateway answers with each."""
        began = time.perf_counter()
        await asyncio.gather(*(self._in_turn(each) for each in endpoints))
        return time.perf_counter() - began

    async def remove(self, endpoints: Iterable[str]) -> None:
        """Let routes go."""
        for each in endpoints:
            meta = virtual_service(self._wanted(each, 1), self._sharing)["metadata"]
            await self._site.api.delete(
                "networking.istio.io/v1", "VirtualService", meta["namespace"], meta["name"]
            )

    async def _in_turn(self, endpoint: str) -> None:
        async with self._turns:
            await self._site.api.apply(
                virtual_service(self._wanted(endpoint, 1), self._sharing), manager=_MANAGER
            )
        async with self._turns:
            await live(self._site, self.host(endpoint), 1)

    async def _route(self, endpoint: str, revision: int) -> None:
        manifest = virtual_service(self._wanted(endpoint, revision), self._sharing)
        await self._site.api.apply(manifest, manager=_MANAGER)
        await live(self._site, self.host(endpoint), revision)

    def _wanted(self, endpoint: str, revision: int) -> Route:
        arms = zip(self._services, shares(revision), self._services.values(), strict=False)
        return Route("bare", endpoint, self.host(endpoint), revision, tuple(Arm(*each) for each in arms))

    def host(self, endpoint: str) -> str:
        """Where callers find it."""
        return f"{endpoint}--bare.{self._site.domain}"


def shares(revision: int) -> tuple[int, int]:
    """The weights of two variants, others at each revision: what is said twice is one event."""
    return revision, 1000


async def live(site: Site, host: str, revision: int) -> float:
    """Return once the gateway answers with a route's revision: when, by `time.perf_counter`.

    Raises:
        TimeoutError: it does not.
    """
    async with asyncio.timeout(_SECONDS):
        while True:
            try:
                answer = await site.http.get(site.gateway + REVISION_PATH, headers={"host": host})
                if answer.is_success and answer.json()["revision"] >= revision:
                    return time.perf_counter()
            except httpx.TransportError:
                pass  # it changes its listener
            await asyncio.sleep(0.001)
