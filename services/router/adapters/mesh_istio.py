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
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from services.router.adapters.istio.cluster import Cluster, Following
from services.router.adapters.istio.endpoints import takes_traffic
from services.router.adapters.istio.gateways import GatewayService, Probe
from services.router.adapters.istio.manifests import (
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    Gateway,
    Sharing,
    destinations,
)
from services.router.adapters.istio.objects import Comparison, Key, Object, Objects
from services.router.adapters.istio.plan import Plan, Planner
from services.router.adapters.istio.refusals import Refusals
from services.router.domain.route import Route
from so1s.kubernetes import Api, Refused
from so1s.kubernetes.errors import Conflict, NotFound

_T = TypeVar("_T")
_R = TypeVar("_R")

_AT_ONCE = 16
"""Requests to the API server at a time: more of them only queue before its admission webhooks."""


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
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._plan = Plan()
        self._refusals = Refusals(clock)
        self._waiting_since: dict[str, float] = {}

    async def follow(self) -> None:
        """Follow what is in the API server, until cancelled or until it says no."""
        await self._following.run()

    async def apply(self, routes: Sequence[Route]) -> Sequence[str]:
        """Write what differs: rules, then routes whose replicas are ready; then remove what is not told."""
        cluster = await self._following.cluster(self._patience_seconds)
        self._plan = planned = self._planner.plan(routes)
        present = cluster.objects.present()
        differing = self._comparison.differing(present, planned.objects)
        strangers = present.keys() - planned.objects.keys() - planned.impossible.keys()
        self._refusals.keep(planned.hosts.keys())
        for key, why in planned.impossible.items():
            self._refusals.note(key, {}, why)
        routing = {key for key in differing if key.kind == VIRTUAL_SERVICE}
        await self._put(cluster, differing - routing, present)
        await self._put(cluster, await self._able(cluster, routing, present), present)
        await self._remove(cluster, strangers, present)
        removed = {host for key in strangers for host in _hosts(key, present[key])}
        return sorted(removed | planned.hosts_of(differing | planned.impossible.keys()))

    async def served(self, host: str) -> Sequence[int | None]:
        """Ask every gateway."""
        cluster = await self._following.cluster(self._patience_seconds)
        return await self._probe.revisions(cluster.gateways(), host)

    def refusals(self) -> Mapping[str, str]:
        """Why hosts do not get the route that `apply` was told last: it will not be taken as it is."""
        return self._refusals.reasons(self._plan.hosts)

    async def _able(
        self, cluster: Cluster, routing: Iterable[Key], present: Mapping[Key, Object]
    ) -> set[Key]:
        """The routes whose fresh services all have a replica that takes traffic, or waited long enough."""
        fresh = {key: self._fresh(key, present.get(key)) for key in routing}
        services = sorted(set().union(*fresh.values()))
        ready = await self._each(services, lambda host: takes_traffic(cluster.api, host))
        waiting = {host for host, is_ready in zip(services, ready, strict=True) if not is_ready}
        now = self._clock()
        self._waiting_since = {host: self._waiting_since.get(host, now) for host in waiting}
        late = {h for h, since in self._waiting_since.items() if now - since >= self._health_wait_seconds}
        return {key for key, hosts in fresh.items() if not hosts & (waiting - late)}

    def _fresh(self, key: Key, before: Object | None) -> set[str]:
        """The services that a route sends traffic to, and the one before did not."""
        return destinations(self._plan.objects[key]) - (destinations(before) if before else set())

    async def _put(self, cluster: Cluster, keys: Iterable[Key], present: Mapping[Key, Object]) -> None:
        told = [(key, self._plan.objects[key]) for key in keys]
        due = [(key, wanted) for key, wanted in told if not self._refusals.hold_back(key, wanted)]
        await self._each(due, lambda each: self._put_one(cluster.objects, *each, present.get(each[0])))

    async def _put_one(self, objects: Objects, key: Key, wanted: Object, seen: Object | None) -> None:
        try:
            await objects.put(key, wanted, seen)
        except Conflict:
            return  # another hand was faster; the watch tells what it did, and the next round undoes it
        except (Refused, NotFound) as error:
            self._refusals.note(key, wanted, str(error))
        else:
            self._refusals.forget(key)

    async def _remove(self, cluster: Cluster, strangers: set[Key], present: Mapping[Key, Object]) -> None:
        """Routes first, then rules that no route needs any more."""
        if not strangers:
            return
        rules = {key for key in strangers if key.kind == DESTINATION_RULE}
        others = [key for key in strangers if key not in rules]
        await self._each(others, lambda key: cluster.objects.delete(key, present[key]))
        left = [found for key, found in cluster.objects.present().items() if key.kind == VIRTUAL_SERVICE]
        in_use: set[str] = set().union(*map(destinations, left))
        idle = [key for key in rules if present[key].get("spec", {}).get("host") not in in_use]
        await self._each(idle, lambda key: cluster.objects.delete(key, present[key]))

    async def _each(self, items: Iterable[_T], do: Callable[[_T], Awaitable[_R]]) -> list[_R]:
        """Do something to each, some at a time; the first error is raised once all are done."""

        async def one(item: _T) -> _R:
            async with self._limit:
                return await do(item)

        done = await asyncio.gather(*map(one, items), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in done if not isinstance(outcome, BaseException)]


def _hosts(key: Key, found: Object) -> list[str]:
    return found.get("spec", {}).get("hosts", []) if key.kind == VIRTUAL_SERVICE else []
