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
    impossible: dict[Key, Refused] = field(default_factory=dict)
    """Why a route cannot be said in Istio's words; its virtual service stays as it is."""

    def hosts_of(self, keys: Iterable[Key]) -> set[str]:
        """The hosts that depend on any of some objects."""
        return set().union(*(self.hosts[key] for key in keys if key in self.hosts))

    def add(self, objects: dict[Key, Object], hosts: Iterable[str]) -> None:
        """Plan some objects, on which some hosts depend."""
        self.objects.update(objects)
        for key in objects:
            self.hosts[key].update(hosts)


class Planner:
    """Plans routes; what a route becomes is kept while it is planned again and again."""

    def __init__(self, sharing: Sharing, gateway: Gateway | None) -> None:
        """Plan for a gateway of the router's own, or for one that is there already."""
        self._sharing = sharing
        self._gateway = {gateway_key(gateway): gateway_object(gateway, sharing)} if gateway else {}
        self._other = {other_hosts_key(sharing): other_hosts(sharing)}
        self._known: dict[Route, dict[Key, Object] | Refused] = {}

    def plan(self, routes: Sequence[Route]) -> Plan:
        """Plan the objects of all routes."""
        self._known = {route: self._known.get(route) or _objects(route, self._sharing) for route in routes}
        planned = Plan()
        planned.add(self._gateway, [route.host for route in routes])
        planned.add(self._other, [])
        for route, objects in self._known.items():
            if isinstance(objects, Refused):
                planned.impossible[route_key(route, self._sharing)] = objects
                planned.hosts[route_key(route, self._sharing)].add(route.host)
            else:
                planned.add(objects, [route.host])
        return planned


def _objects(route: Route, sharing: Sharing) -> dict[Key, Object] | Refused:
    """What a route becomes, or why it cannot."""
    try:
        services = [Service.of(arm) for arm in route.arms]
        wanted = {route_key(route, sharing): virtual_service(route, sharing)}
    except Refused as error:
        return error
    return wanted | {rule_key(service): destination_rule(service, sharing) for service in services}
