"""What the router is told by its environment, each field as `SO1S_FIELD`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from so1s.settings import ServiceSettings


class Settings(ServiceSettings):
    """The settings of a router."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - settings are read, never written
    """An SQLAlchemy URL; a router owns state, so it must be said."""
    domain: str = "so1s.localhost"
    """Hosts are `ENDPOINT--ACCOUNT.DOMAIN`. Names under `localhost` need no DNS in browsers and curl."""
    public_scheme: Literal["http", "https"] = "http"
    """What callers speak with the gateway, or with the load balancer before it."""
    public_port: int | None = Field(default=None, ge=1, le=65535)
    """Where callers reach the gateway; `gateway_port` where it is absent."""
    gateway_host: str = "127.0.0.1"
    """Where the gateway listens."""
    gateway_port: int = Field(default=8080, ge=1, le=65535)
    envoy_admin_port: int = Field(default=9901, ge=1, le=65535)
    """Envoy's admin interface, on 127.0.0.1 only: it can stop Envoy."""
    world_dir: Path = Path(".so1s/world")
    """Envoy's files lie in its directory `envoy`."""
    request_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long a caller waits at most, retries included: a slow model answers within it."""
    health_wait_seconds: float = Field(default=10.0, gt=0)
    """How long a host keeps its former route while the next one's replicas fail their health checks."""
    apply_deadline_seconds: float = Field(default=15.0, gt=0)
    """After it a route that not every gateway answers is `RoutesDegraded`; above `health_wait_seconds`."""
    weights_deadline_seconds: float = Field(default=600.0, gt=0)
    """How long weights wait for a variant: long enough for a build and a rollout."""
    check_deadline_seconds: float = Field(default=600.0, gt=0)
    """How long a ready version waits for the verdicts of the checks that it requires."""
    poll_seconds: float = Field(default=0.1, gt=0)
    """How soon a change that another replica recorded reaches the gateways."""
    drift_seconds: float = Field(default=1.0, gt=0)
    """How often the mesh is compared with the recorded routes."""

    @property
    def callers_port(self) -> int:
        """The port of the URLs that callers are told."""
        return self.public_port or self.gateway_port
