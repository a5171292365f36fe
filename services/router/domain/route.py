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


@dataclass(frozen=True)
class PublicUrls:
    """Where callers find endpoints."""

    scheme: str
    domain: str
    port: int

    def host(self, endpoint: Endpoint) -> str:
        """The host name of an endpoint, such as `fraud--risk.so1s.localhost`."""
        return f"{host_label(endpoint.name, endpoint.account)}.{self.domain}"

    def url(self, endpoint: Endpoint) -> str:
        """Where an endpoint answers, without a path."""
        usual = {"http": 80, "https": 443}[self.scheme]
        port = "" if self.port == usual else f":{self.port}"
        return f"{self.scheme}://{self.host(endpoint)}{port}"


def route_of(endpoint: Endpoint, host: str) -> Route:
    """The route of an endpoint that is not removed."""
    arms = tuple(Arm(v.deployment, v.weight, v.service) for v in endpoint.attached)
    return Route(endpoint.account, endpoint.name, host, endpoint.revision, arms)
