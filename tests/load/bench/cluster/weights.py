"""Changes of weights through Istio, beside a bare server-side apply of the same route."""

import asyncio
import time

from so1s.events import WeightsChanged
from tests.load.bench.cluster.bare import BareRoutes, live
from tests.load.bench.cluster.heard import applied
from tests.load.bench.cluster.site import Site, requested
from tests.load.bench.figure import Figure
from tests.load.bench.measure import interleaved, spread
from tests.scenarios.running import ACCOUNT

_CHANGES = 40
_ENDPOINT = "pair"
_VARIANTS = ("pair", "pair-next")
_SECONDS = 60.0
_PEER = "a bare server-side apply of the route"


class Weights:
    """Changes the weights of one endpoint, again and again."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._bare = BareRoutes(site, _VARIANTS)
        self._revision = len(_VARIANTS)
        self._bare_revision = 0

    async def deploy(self) -> None:
        """Make the endpoint with both variants."""
        for revision, each in enumerate(_VARIANTS, 1):
            await self._site.publish(requested(each, _ENDPOINT))
            await self._site.heard.last_of([applied(_ENDPOINT, revision)], _SECONDS)
        await self._theirs()

    async def measure(self, endpoints: int) -> list[Figure]:
        """Percentiles, while the router has so many endpoints."""
        ours, theirs = await interleaved(self._ours, self._theirs, rounds=_CHANGES)
        heard, serving = (spread(values) for values in zip(*ours, strict=True))
        bare = spread(theirs)
        what = f"weight change → live, {endpoints} endpoints"
        return [
            *(
                Figure(f"{what}, {name}", "ms", serving[name] * 1000, _PEER, bare[name] * 1000)
                for name in bare
            ),
            *(Figure(f"  acknowledged, {name}", "ms", heard[name] * 1000) for name in heard),
        ]

    async def _ours(self) -> tuple[float, float]:
        """Seconds until `RoutesApplied` is heard, and until the gateway answers with the revision."""
        self._revision += 1
        weights = dict(zip(_VARIANTS, (1 + self._revision % 99, 100), strict=True))
        host = f"{_ENDPOINT}--{ACCOUNT}.{self._site.domain}"
        began = time.perf_counter()
        await self._site.publish(WeightsChanged(account=ACCOUNT, endpoint=_ENDPOINT, weights=weights))
        heard, serving = await asyncio.gather(
            self._site.heard.last_of([applied(_ENDPOINT, self._revision)], _SECONDS),
            live(self._site, host, self._revision),
        )
        return heard - began, serving - began

    async def _theirs(self) -> float:
        self._bare_revision += 1
        return await self._bare.seconds(_ENDPOINT, self._bare_revision)
