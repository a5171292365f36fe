"""Routes: what gateways are told of an endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from services.router.domain.endpoint import Endpoint
from so1s.events.names import host_label


@dataclass(frozen=True)
class Arm:
    """Where one variant's share of the traffic goes."""

    variant: str
    weight: int
    service: str


@dataclass(frozen=True)
class Route:
    """An endpoint's host and the weighted arms behind it, at one revision.

    Where no arm has weight, the host answers 503.
    """

    account: str
    endpoint: str
    host: str
    revision: int
    arms: tuple[Arm, ...]


def host_of(endpoint: str, account: str, domain: str) -> str:
    """The host name of an endpoint, such as `fraud--risk.so1s.localhost`."""
    return f"{host_label(endpoint, account)}.{domain}"


def route_of(endpoint: Endpoint, domain: str) -> Route:
    """The route of an endpoint that is not removed."""
    host = host_of(endpoint.name, endpoint.account, domain)
    arms = tuple(Arm(v.deployment, v.weight, v.service) for v in endpoint.attached)
    return Route(endpoint.account, endpoint.name, host, endpoint.revision, arms)
