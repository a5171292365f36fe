"""The mesh of a cluster: Istio, told by objects in the API server.

Objects, each labelled `app.kubernetes.io/managed-by: so1s-router` and `app.kubernetes.io/instance`:

- one Gateway for the wildcard host, unless an existing one is named;
- one VirtualService for each endpoint: the revision's own path, then the weighted arms;
- one DestinationRule for each variant's Service, beside that Service;
- one VirtualService that answers 404 for hosts that no endpoint has.

An arm is the Service that `DeploymentReady.service` names as `k8s://HOST:PORT`. Its pods are Istio's
concern: scaling and rolling need nothing of the router.

What can be counted, for the collector: the gateway's `istio_requests_total` and
`istio_request_duration_milliseconds` (`reporter="source"`) have a variant's Service as
`destination_service`, and Envoy's own statistics have it in the cluster `outbound|PORT||HOST`. The endpoint
is the route's name, `ENDPOINT--ACCOUNT`: a Telemetry with the tag `so1s_endpoint: xds.route_name` adds it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

from services.router import metrics
from services.router.adapters.istio.attempts import Attempts
from services.router.adapters.istio.cluster import Cluster, Following
from services.router.adapters.istio.endpoints import slices_key, takes_traffic
from services.router.adapters.istio.gateways import GatewayService, Probe
from services.router.adapters.istio.manifests import (
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    Gateway,
    Sharing,
    destinations,
)
from services.router.adapters.istio.objects import Comparison, Key, Object
from services.router.adapters.istio.plan import Plan, Planner
from services.router.domain.route import Route
from services.router.ports import Failure
from so1s.kubernetes import Api

_T = TypeVar("_T")


class IstioMesh:
    """Drives the gateways of an Istio mesh; `follow` must run beside its other methods.

    Args:
        connect: opens a client of the Kubernetes API.
        probe: asks gateways what they serve.
        gateways: `HOST:PORT` of each, where they do not change; else the Service before them.
        sharing: what the objects of all endpoints have in common.
        gateway: the Gateway that they are bound to, where it is the router's own.
        health_wait_seconds: how long a host keeps its former route while the next one's replicas are
            not ready; after that a route to none is better than a wrong one.
        patience_seconds: how long a method waits for `follow` to have begun.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Api]],
        probe: Probe,
        gateways: Sequence[str] | GatewayService,
        sharing: Sharing,
        gateway: Gateway | None,
        *,
        health_wait_seconds: float,
        patience_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._following = Following(connect, gateways, sharing, gateway, clock)
        self._planner = Planner(sharing, gateway)
        self._comparison = Comparison()
        self._probe = probe
        self._health_wait_seconds = health_wait_seconds
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._plan = Plan()
        self._attempts = Attempts(clock)
        self._waiting_since: dict[str, float] = {}
        self._told: set[Key] = set()
        self._strangers: set[Key] = set()

    async def follow(self) -> None:
        """Follow what is in the API server, until cancelled or until it says no."""
        await self._following.run()

    async def apply(self, routes: Sequence[Route], *, keep_strangers: bool = False) -> Sequence[str]:
        """Write what differs: rules, then routes whose replicas are ready; then remove what is not told."""
        cluster = await self._following.cluster(self._patience_seconds)
        self._plan = planned = self._planner.plan(routes)
        present = cluster.objects.present()
        differing = self._comparison.differing(present, planned.objects)
        idle = present.keys() - planned.objects.keys() - planned.impossible.keys()
        self._told |= planned.hosts.keys()
        self._strangers = idle - self._told if keep_strangers else set()
        routing = {key for key in differing if key.kind == VIRTUAL_SERVICE}
        fresh = {key: self._fresh(key, present.get(key)) for key in routing}
        leaving = {key: _hosts(key, present[key]) for key in idle - self._strangers}
        self._attempts.begin({**planned.hosts, **self._asked(fresh), **leaving})
        for key, why in planned.impossible.items():
            self._attempts.note(key, {}, why)
        await self._put(cluster, differing - routing, present)
        await self._put(cluster, await self._able(cluster, fresh), present)
        await self._remove(cluster, leaving.keys(), present)
        metrics.FAILING.set(len(self._attempts))
        return sorted(planned.hosts_of(differing | planned.impossible.keys()).union(*leaving.values()))

    async def served(self, host: str) -> Sequence[int | None]:
        """Ask every gateway."""
        cluster = await self._following.cluster(self._patience_seconds)
        return await self._probe.revisions(cluster.gateways(), host)

    def failures(self) -> Mapping[str, Failure]:
        """Why hosts do not get the route that `apply` was told last, or do not go."""
        return self._attempts.failures()

    def strangers(self) -> Sequence[str]:
        """Objects with this router's labels that no call told of, and that stay."""
        return sorted(f"{key.kind} {key.namespace}/{key.name}" for key in self._strangers)

    def _fresh(self, key: Key, before: Object | None) -> set[str]:
        """The services that a route sends traffic to, and the one before did not."""
        return destinations(self._plan.objects[key]) - (destinations(before) if before else set())

    def _asked(self, fresh: Mapping[Key, set[str]]) -> dict[Key, set[str]]:
        """The hosts that wait to hear of the replicas of each service."""
        asked: defaultdict[Key, set[str]] = defaultdict(set)
        for key, services in fresh.items():
            for service in services:
                asked[slices_key(service)] |= self._plan.hosts[key]
        return asked

    async def _able(self, cluster: Cluster, fresh: Mapping[Key, set[str]]) -> set[Key]:
        """The routes whose fresh services all have a replica that takes traffic, or waited long enough."""
        services = sorted(set().union(*fresh.values()))
        asked = [(slices_key(each), None, partial(takes_traffic, cluster.api, each)) for each in services]
        ready = await self._each(asked)
        waiting = {host for host, is_ready in zip(services, ready, strict=True) if not is_ready}
        now = self._clock()
        self._waiting_since = {host: self._waiting_since.get(host, now) for host in waiting}
        late = {h for h, since in self._waiting_since.items() if now - since >= self._health_wait_seconds}
        return {key for key, hosts in fresh.items() if not hosts & (waiting - late)}

    async def _put(self, cluster: Cluster, keys: Iterable[Key], present: Mapping[Key, Object]) -> None:
        told = [(key, self._plan.objects[key]) for key in keys]
        put = cluster.objects.put
        await self._each((key, wanted, partial(put, key, wanted, present.get(key))) for key, wanted in told)

    async def _remove(self, cluster: Cluster, keys: Collection[Key], present: Mapping[Key, Object]) -> None:
        """Routes first, then rules that no route needs any more."""
        if not keys:
            return
        delete = cluster.objects.delete
        rules = {key for key in keys if key.kind == DESTINATION_RULE}
        others = [key for key in keys if key not in rules]
        await self._each((key, None, partial(delete, key, present[key])) for key in others)
        left = [found for key, found in cluster.objects.present().items() if key.kind == VIRTUAL_SERVICE]
        in_use: set[str] = set().union(*map(destinations, left))
        idle = [key for key in rules if present[key].get("spec", {}).get("host") not in in_use]
        await self._each((key, None, partial(delete, key, present[key])) for key in idle)

    async def _each(
        self, calls: Iterable[tuple[Key, Object | None, Callable[[], Awaitable[_T]]]]
    ) -> list[_T | None]:
        return await asyncio.gather(*(self._attempts.make(*call) for call in calls))


def _hosts(key: Key, found: Object) -> list[str]:
    return found.get("spec", {}).get("hosts", []) if key.kind == VIRTUAL_SERVICE else []
