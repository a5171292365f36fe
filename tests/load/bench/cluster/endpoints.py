"""A thousand endpoints: how long they take to come, and what they cost while nothing changes."""

import asyncio
import time
from collections.abc import Sequence

from tests.load.bench.cluster.bare import BareRoutes
from tests.load.bench.cluster.deployments import MANY
from tests.load.bench.cluster.heard import applied
from tests.load.bench.cluster.site import Site, became_ready, service_of
from tests.load.bench.figure import Figure

STEPS = (340, 340)
"""Beside those that deployments made, about a thousand."""
_SECONDS = 600.0
_IDLE_SECONDS = 15.0
_PEER = "a bare server-side apply of the same routes"


async def measure(site: Site, present: int) -> list[Figure]:
    """Add endpoints in two steps, on the services of the deployments that are there."""
    figures: list[Figure] = []
    late, before = site.heard.degraded, site.usage("router")
    for step, number in enumerate(STEPS):
        names = [f"more-{step}-{each}" for each in range(number)]
        bare, own = await _bare(site, names)
        cpu = site.usage("router")
        seconds = await _ours(site, names)
        used = site.usage("router").since(cpu)
        what = f"{number} endpoints more, from {present}"
        figures += [
            Figure(f"{what} → all live", "s", seconds, _PEER, bare),
            Figure("  CPU of the router", "s", used, "of the bare client", own),
        ]
        present += number
    after = site.usage("router")
    growth = (after.memory_mib - before.memory_mib) * 1024 / sum(STEPS)
    return [
        *figures,
        Figure("told to be late first", "routes", site.heard.degraded - late),
        Figure(f"memory of the router, {present} endpoints", "MiB", after.memory_mib),
        Figure("  growth for each endpoint", "KiB", growth),
        Figure(f"CPU in a second of rest, {present} endpoints", "ms", await _idle(site)),
    ]


async def _bare(site: Site, names: Sequence[str]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process."""
    routes = BareRoutes(site, {name: service_of(name) for name in MANY[:1]})
    cpu = time.process_time()
    seconds = await routes.seconds_together(names)
    cpu = time.process_time() - cpu
    await routes.remove(names)
    return seconds, cpu


async def _ours(site: Site, names: Sequence[str]) -> float:
    began = time.perf_counter()
    services = (service_of(MANY[number % len(MANY)]) for number in range(len(names)))
    await site.publish(*map(became_ready, names, services))
    return await site.heard.last_of(map(applied, names), _SECONDS) - began


async def _idle(site: Site) -> float:
    """Milliseconds of the router's CPU in each second in which nothing changes."""
    before = site.usage("router")
    await asyncio.sleep(_IDLE_SECONDS)
    return site.usage("router").since(before) / _IDLE_SECONDS * 1000
