"""Deployments, alone and many at once, beside a bare server-side apply of the same manifests."""

import time
from collections.abc import Sequence
from statistics import median

from tests.load.bench.cluster.bare import BareDeployments
from tests.load.bench.cluster.heard import applied, ready
from tests.load.bench.cluster.site import Site, requested
from tests.load.bench.figure import Figure
from tests.load.bench.measure import interleaved

ALONE = [f"alone-{number}" for number in range(20)]
MANY = [f"many-{number}" for number in range(300)]
_PEER = "a bare server-side apply of the same manifests"
_SECONDS = 300.0


async def one_by_one(site: Site) -> list[Figure]:
    """How long one takes while nothing else happens."""
    async with BareDeployments(site.api) as bare:
        names = iter(ALONE)
        others = iter(ALONE)
        await _timed(site, ["first"])  # it makes the account's namespace
        ours, theirs = await interleaved(
            lambda: _timed(site, [next(names)]), lambda: bare.seconds([next(others)]), rounds=len(ALONE)
        )
    return [
        Figure("a deployment → ready, p50", "s", median(each for each, _ in ours), _PEER, median(theirs)),
        Figure("a deployment → ready, max", "s", max(each for each, _ in ours), _PEER, max(theirs)),
        Figure("  and routed by Istio, p50", "s", median(each for _, each in ours)),
    ]


async def at_once(site: Site) -> list[Figure]:
    """How long 300 take together, and what they cost."""
    async with BareDeployments(site.api) as bare:
        own = time.process_time()
        theirs = await bare.seconds(MANY)
        own = time.process_time() - own
    late, before = site.heard.degraded, {name: site.usage(name) for name in ("deployer", "router")}
    until_ready, until_routed = await _timed(site, MANY)
    after = {name: site.usage(name) for name in before}
    cpu = {name: after[name].since(before[name]) for name in before}
    many = f"{len(MANY)} deployments at once"
    return [
        Figure(f"{many} → all ready", "s", until_ready, _PEER, theirs),
        Figure(f"{many} → all routed", "s", until_routed),
        Figure("  told to be late first", "routes", site.heard.degraded - late),
        Figure("  CPU of the deployer", "s", cpu["deployer"], "of the bare client", own),
        Figure("  CPU of the router", "s", cpu["router"]),
        Figure("  memory of the deployer then", "MiB", after["deployer"].memory_mib),
        Figure("  growth for each deployment", "KiB", _growth(before, after)),
    ]


async def _timed(site: Site, names: Sequence[str]) -> tuple[float, float]:
    """Seconds until all are ready, and until all are routed."""
    began = time.perf_counter()
    await site.publish(*map(requested, names))
    is_ready = await site.heard.last_of(map(ready, names), _SECONDS)
    routed = await site.heard.last_of(map(applied, names), _SECONDS)
    return is_ready - began, routed - began


def _growth(before, after) -> float:
    return (after["deployer"].memory_mib - before["deployer"].memory_mib) * 1024 / len(MANY)
