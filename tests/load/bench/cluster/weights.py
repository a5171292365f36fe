"""Changes of weights through Istio, beside a bare server-side apply of the same route."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from so1s.events import Event, WeightsChanged
from tests.load.bench.cluster.bare import BareRoutes, live, shares
from tests.load.bench.cluster.heard import applied
from tests.load.bench.cluster.site import Site
from tests.load.bench.figure import Figure
from tests.load.bench.measure import interleaved, spread
from tests.scenarios.running import ACCOUNT

_CHANGES = 40
PAIR = ("pair", "pair-next")
"""The variants of the endpoint of the first one's name."""
_SECONDS = 60.0
PEER = "a bare server-side apply of the route"

Change = tuple[float, float]
"""Seconds until `RoutesApplied` is heard, and until the gateway answers with the revision."""


class Weights:
    """Changes the weights of one endpoint, again and again."""

    def __init__(self, site: Site, services: Mapping[str, str]) -> None:
        """Describe the endpoint.

        Args:
            site: where it is.
            services: of its two variants, by name; the endpoint bears the name of the first one.
        """
        self._site = site
        self._variants = tuple(services)
        self._endpoint = self._variants[0]
        self._bare = BareRoutes(site, services)
        self._revision = len(services)
        self._bare_revision = 0

    @property
    def hosts(self) -> tuple[str, str]:
        """Where callers find ours, and the peer's."""
        return f"{self._endpoint}--{ACCOUNT}.{self._site.domain}", self._bare.host(self._endpoint)

    async def attach(self, events: Iterable[Event]) -> None:
        """Say what makes each variant a part of the endpoint, and let both take traffic once.

        A route waits until Kubernetes shows a ready pod of each service. Where that is ready as soon as its
        Service is there, as kwok's are, the controller may look again after a second only: "EndpointSlice
        informer cache is out of date". That is no part of a change of weights.
        """
        for revision, each in enumerate(events, 1):
            await self._site.publish(each)
            await self._site.heard.last_of([applied(self._endpoint, revision)], _SECONDS)
        await self.turns(1)

    async def turns(self, rounds: int) -> tuple[list[Change], list[float]]:
        """How long each of some changes takes, and how long each of the peer's, in seconds."""
        return await interleaved(self._ours, self._theirs, rounds=rounds)

    async def measure(self, endpoints: int) -> list[Figure]:
        """Percentiles, while the router has so many endpoints."""
        ours, theirs = await self.turns(_CHANGES)
        heard, serving = (spread(values) for values in zip(*ours, strict=True))
        bare = spread(theirs)
        what = f"weight change → live, {endpoints} endpoints"
        return [
            *(
                Figure(f"{what}, {name}", "ms", serving[name] * 1000, PEER, bare[name] * 1000)
                for name in bare
            ),
            *(Figure(f"  acknowledged, {name}", "ms", heard[name] * 1000) for name in heard),
        ]

    async def _ours(self) -> Change:
        self._revision += 1
        weights = dict(zip(self._variants, shares(self._revision), strict=True))
        host, _ = self.hosts
        began = time.perf_counter()
        await self._site.publish(WeightsChanged(account=ACCOUNT, endpoint=self._endpoint, weights=weights))
        heard, serving = await asyncio.gather(
            self._site.heard.last_of([applied(self._endpoint, self._revision)], _SECONDS),
            live(self._site, host, self._revision),
        )
        return heard - began, serving - began

    async def _theirs(self) -> float:
        self._bare_revision += 1
        return await self._bare.seconds(self._endpoint, self._bare_revision)
