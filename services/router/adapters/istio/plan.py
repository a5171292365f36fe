"""What all routes together ask of the API server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.router.adapters.istio.manifests import (
    Gateway,
    Service,
    Sharing,
    destination_rule,
    gateway_key,
    gateway_object,
    other_hosts,
    other_hosts_key,
    route_key,
    rule_key,
    virtual_service,
)
from services.router.adapters.istio.objects import Key, Object
from services.router.domain.route import Route
from so1s.kubernetes import Refused


@dataclass
class Plan:
    """The objects that shall be, and which hosts depend on each."""

    objects: dict[Key, Object] = field(default_factory=dict)
    hosts: defaultdict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    impossible: dict[Key, str] = field(default_factory=dict)
    """Why a route cannot be said in Istio's words; its virtual service stays as it is."""

    def hosts_of(self, keys: Iterable[Key]) -> set[str]:
        """The hosts that depend on any of some objects."""
        return set().union(*(self.hosts[key] for key in keys if key in self.hosts))

    def add(self, key: Key, wanted: Object, hosts: Iterable[str]) -> None:
        """Plan an object."""
        self.objects[key] = wanted
        self.hosts[key].update(hosts)


def plan(routes: Sequence[Route], sharing: Sharing, gateway: Gateway | None) -> Plan:
    """Plan the objects of all routes, and the gateway's where it is the router's own."""
    planned = Plan()
    if gateway:
        hosts = [route.host for route in routes]
        planned.add(gateway_key(gateway), gateway_object(gateway, sharing), hosts)
    planned.add(other_hosts_key(sharing), other_hosts(sharing), [])
    for route in routes:
        _add_route(planned, route, sharing)
    return planned


def _add_route(planned: Plan, route: Route, sharing: Sharing) -> None:
    key = route_key(route, sharing)
    planned.hosts[key].add(route.host)
    try:
        wanted = virtual_service(route, sharing)
        services = [Service.of(arm) for arm in route.arms]
    except Refused as error:
        planned.impossible[key] = str(error)
        return
    planned.add(key, wanted, [])
    for service in services:
        planned.add(rule_key(service), destination_rule(service, sharing), [route.host])
