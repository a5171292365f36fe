"""Changes of weights while callers lean on the endpoint, beside a bare server-side apply of the route."""

from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from so1s_lab.manifests import namespace
from tests.lab import outside
from tests.lab.istio_mesh.world import own_address
from tests.load.bench import servers
from tests.load.bench.callers import Seen, callers
from tests.load.bench.cluster.site import Site, became_ready
from tests.load.bench.cluster.weights import PEER, Weights
from tests.load.bench.figure import Figure
from tests.load.bench.measure import percentiles

_VARIANTS = ("busy", "busy-next")
_NAMESPACE = "bench-servers"
_CHANGES = 100
_PER_SECOND = 100
"""To each of two hosts: a part of what a core answers, so that the machine is busy and not full."""


async def measure(site: Site, directory: Path) -> list[Figure]:
    """Percentiles of changes, and what callers saw meanwhile."""
    model = servers.model_directory(directory / "served")
    async with AsyncExitStack() as stack:
        for name in _VARIANTS:
            await _serve(site, name, stack.enter_context(servers.ours(model, "0.0.0.0")))
        services = {name: outside.url(_NAMESPACE, name) for name in _VARIANTS}
        weights = Weights(site, services)
        await weights.attach(became_ready(_VARIANTS[0], services[name], name) for name in _VARIANTS)
        url, hosts = f"{site.gateway}/predict", weights.hosts
        async with callers(url, hosts, servers.body(), per_second=_PER_SECOND) as seen:
            changes, bare = await weights.turns(_CHANGES)
    ours, theirs = (seen[host] for host in hosts)
    heard, live = (percentiles(each) for each in zip(*changes, strict=True))
    peer = percentiles(bare)
    what = f"weight change under {_PER_SECOND} requests/s → live"
    return [
        *(Figure(f"{what}, {p}", "ms", live[p] * 1000, PEER, peer[p] * 1000) for p in peer),
        *(Figure(f"  acknowledged, {p}", "ms", heard[p] * 1000) for p in heard),
        *meanwhile(ours, theirs, PEER),
    ]


def meanwhile(ours: Seen, theirs: Seen, peer: str) -> list[Figure]:
    """What callers saw of both hosts."""
    requests = f"  failed of {ours.answered + ours.failed:,} requests meanwhile"
    first = f", first with {ours.first_error}" if ours.failed else ""
    return [
        Figure(requests + first, "requests", ours.failed, peer, theirs.failed),
        Figure("  answers meanwhile, p99", "ms", ours.p99_ms, peer, theirs.p99_ms),
    ]


async def _serve(site: Site, name: str, url: str) -> None:
    """Let Istio know a server of this machine as the one pod of a Service."""
    await servers.answers(url)
    port = httpx.URL(url).port
    assert port
    for each in (namespace(_NAMESPACE), *outside.manifests(_NAMESPACE, name, own_address(), port)):
        await site.api.apply(each, manager="bench")
