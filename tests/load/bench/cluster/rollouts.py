"""Pods that answer are replaced and added under load, beside the same manifests applied by hand."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, Protocol, Self

import httpx
from pydantic import SecretStr

from services.deployer.adapters.kubernetes import manifests, names
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.ports import Deployment
from so1s.events import Image, ImageBuilt, Resources, Scaling
from so1s.events.envelope import Cause
from so1s_lab.base_image import push_base
from so1s_lab.installation import SYSTEM, pull_secret
from so1s_lab.manifests import Manifest
from so1s_lab.node import Node
from so1s_lab.registry import Registry
from tests.load.bench import servers
from tests.load.bench.callers import callers
from tests.load.bench.cluster.bare import BareRoutes
from tests.load.bench.cluster.heard import ready
from tests.load.bench.cluster.site import Parts, Site, requested, running
from tests.load.bench.cluster.under_load import meanwhile
from tests.load.bench.figure import Figure
from tests.scenarios.running import ACCOUNT
from tests.served_images import build_of, settings_in, uploaded

_NAME = "rolled"
_ROUNDS = 5
_PER_SECOND = 50
_SECONDS = 120.0
_MANAGER = "bench"
_PEER = "the same manifests applied by hand"
_SMALL = Resources(cpu_millicores=50, memory_mib=256)
_BARE_PREFIX = "bare-"
_SECRET = (SYSTEM, "registry")


class Pods(Protocol):
    """A deployment, however it is made."""

    host: str

    async def become(self, image: Image, replicas: int) -> float:
        """Seconds until it has so many ready replicas of an image, and no others."""
        ...


async def measure(parts: Parts, directory: Path) -> list[Figure]:
    """How long it takes, and what callers saw meanwhile.

    Raises:
        MissingPartError: this machine cannot have a real node.
    """
    node = Node(parts.runner.directory("node"), parts.kubernetes)
    registry = Registry(parts.runner.directory("registry"))
    await asyncio.to_thread(parts.runner.start, node, registry)
    first, second = await _images(registry, directory)
    pool: dict[str, Any] = {"node_selector": node.pool.selector, "tolerations": node.pool.tolerations}
    async with AsyncExitStack() as stack:
        told = pool | {"image_pull_secret": f"{SYSTEM}/registry"}
        site = await stack.enter_async_context(running(parts, directory, told))
        secret = await site.api.apply(pull_secret(registry), manager=_MANAGER)
        both = (_Ours(site), await stack.enter_async_context(_ByHand(site, pool, secret)))
        for each in both:
            await each.become(first, 1)
        await BareRoutes(site, {_NAME: _service(_BARE_PREFIX)}).seconds(_NAME, 1)
        hosts = [each.host for each in both]
        await asyncio.gather(*(_answers(site, host) for host in hosts))
        url = f"{site.gateway}/predict"
        async with callers(url, hosts, servers.body(), per_second=_PER_SECOND) as seen:
            grown = [[await _grow(each, first) for each in both] for _ in range(_ROUNDS)]
            for each in both:
                await each.become(first, 2)
            versions = itertools.islice(itertools.cycle((second, first)), _ROUNDS)
            rolled = [[await each.become(image, 2) for each in both] for image in versions]
    return [
        *_figures("one replica more under load → ready", grown),
        *_figures("two replicas of another version under load → ready", rolled),
        *meanwhile(*(seen[host] for host in hosts), _PEER),
    ]


class _Ours:
    """By events."""

    def __init__(self, site: Site) -> None:
        self.host = f"{_NAME}--{ACCOUNT}.{site.domain}"
        self._site = site
        self._revision = 0

    async def become(self, image: Image, replicas: int) -> float:
        began = time.perf_counter()
        await self._site.publish(requested(_NAME, before=self._revision, **_workload(image, replicas)))
        self._revision += 1
        return await self._site.heard.last_of([ready(_NAME, self._revision)], _SECONDS) - began


class _ByHand:
    """By server-side apply of what the deployer would apply, in a namespace that it does not look at."""

    def __init__(self, site: Site, pool: dict[str, Any], secret: Manifest) -> None:
        self.host = f"{_NAME}--bare.{site.domain}"
        self._api = site.api
        self._options = Options(_BARE_PREFIX, "cluster.local", "", "", image_pull_secret=_SECRET, **pool)
        self._secret = secret
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        shared = manifests.of_account(ACCOUNT, self._options)
        for each in (*shared, manifests.pull_secret(ACCOUNT, self._options, self._secret)):
            await self._apply(each)
        selector = f"app.kubernetes.io/managed-by={_MANAGER}"
        mirror = self._api.mirror("apps/v1", "Deployment", label_selector=selector)
        mirror.on_change(self._changed.set)
        self._live = await self._stack.enter_async_context(mirror)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def become(self, image: Image, replicas: int) -> float:
        began = time.perf_counter()
        workload = requested(_NAME, **_workload(image, replicas)).workload
        wanted = Deployment(ACCOUNT, _NAME, 1, workload, Cause("1", "1"))
        manifest = manifests.workload(wanted, self._options)
        manifest["spec"]["replicas"] = replicas
        made = await self._apply(manifest)
        for each in manifests.beside(wanted, self._options, made):
            await self._apply(each)
        async with asyncio.timeout(_SECONDS):
            while not self._has(replicas, made["metadata"]["generation"]):
                self._changed.clear()
                await self._changed.wait()
        return time.perf_counter() - began

    def _has(self, replicas: int, generation: int) -> bool:
        status = self._live.objects.get((self._options.namespace(ACCOUNT), _NAME), {}).get("status", {})
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
        return status.get("observedGeneration", 0) >= generation and counts == {replicas}

    async def _apply(self, manifest: Manifest) -> Manifest:
        """Under another manager's label, which keeps it out of the deployer's watches."""
        renamed = json.loads(json.dumps(manifest).replace(names.MANAGER, _MANAGER))
        return await self._api.apply(renamed, manager=_MANAGER)


async def _grow(pods: Pods, image: Image) -> float:
    seconds = await pods.become(image, 2)
    await pods.become(image, 1)
    return seconds


async def _images(registry: Registry, directory: Path) -> list[Image]:
    """Two versions of a model, built and pushed."""
    base = await push_base(registry)
    told = {
        "image_registry": f"{registry.url}/bench",
        "image_registry_user": registry.username,
        "image_registry_password": SecretStr(registry.password),
        "base_image": base,
    }
    return [await _image(directory / f"built-{seed}", seed, told) for seed in (1, 2)]


async def _image(directory: Path, seed: int, told: dict[str, Any]) -> Image:
    model = servers.write_forest(directory / "written.onnx", seed).read_bytes()
    built = (
        await build_of(settings_in(directory, **told), uploaded(directory, "model.onnx", model, "fraud"))
    )[-1]
    assert isinstance(built, ImageBuilt), built
    return built.image


async def _answers(site: Site, host: str) -> None:
    """Return once callers get predictions of a host."""
    async with asyncio.timeout(_SECONDS):
        while True:
            asked = site.http.post(f"{site.gateway}/predict", content=servers.body(), headers={"host": host})
            if (await asked).status_code == httpx.codes.OK:
                return
            await asyncio.sleep(0.05)


def _workload(image: Image, replicas: int) -> dict[str, Any]:
    scaling = Scaling(min_replicas=replicas, max_replicas=replicas)
    return {"image": image, "scaling": scaling, "resources": _SMALL, "version": image.digest[-8:]}


def _service(prefix: str) -> str:
    return f"k8s://{_NAME}.{prefix}{ACCOUNT}.svc.cluster.local:80"


def _figures(what: str, rounds: Iterable[Iterable[float]]) -> list[Figure]:
    ours, theirs = zip(*rounds, strict=True)
    return [
        Figure(f"{what}, p50", "s", median(ours), _PEER, median(theirs)),
        Figure(f"{what}, max", "s", max(ours), _PEER, max(theirs)),
    ]
