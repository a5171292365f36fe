"""What the router is told by its environment, each field as `SO1S_FIELD`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from so1s.settings import ServiceSettings

_QUALIFIED = r"^[a-z0-9-]+/[a-z0-9.-]+$"


class IstioSettings(ServiceSettings):
    """What `mesh = "istio"` needs."""

    kubeconfig: Path | None = None
    """How to reach the API server; as the pod's own service account where it is absent."""
    istio_namespace: str = "so1s"
    """Of the endpoints' objects; a second So1s in a cluster has another one."""
    istio_gateway: str | None = Field(default=None, pattern=_QUALIFIED)
    """`NAMESPACE/NAME` of a Gateway that is there already; the router makes one where it is absent."""
    istio_selector: dict[str, str] = {"istio": "ingressgateway"}
    """The labels of the gateway's pods, for the router's own Gateway. That one listens on `gateway_port`."""
    istio_bind: str | None = None
    """The address that the router's own Gateway listens on; all of its pods' where it is absent."""
    istio_credential: str | None = None
    """The Secret of the wildcard certificate, in the namespace of the gateway's pods: with one the
    router's own Gateway speaks HTTPS, without one plain HTTP."""
    istio_export_to: tuple[str, ...] = ()
    """The namespaces whose gateways may see the objects; Istio's default, all, where there is none."""
    istio_probes: list[str] = []
    """`HOST:PORT` of each gateway, to ask which revision it serves; a Service's pods where it is empty."""
    istio_service: str = Field(default="istio-system/istio-ingressgateway", pattern=_QUALIFIED)
    """`NAMESPACE/NAME` of the Service before the gateway's pods."""
    istio_service_port: str = "http2"
    """The name of its port for endpoints; Istio's own charts call that for HTTPS `https`."""
    istio_probe_scheme: Literal["http", "https"] | None = None
    """What the gateway's pods speak on that port; where it is absent, HTTPS if a certificate is named."""
    istio_probe_ca_file: Path | None = None
    """PEM file of the authority of the gateway's certificate; the system's where it is absent."""

    @property
    def probe_scheme(self) -> Literal["http", "https"]:
        """What gateways are asked by."""
        return self.istio_probe_scheme or ("https" if self.istio_credential else "http")


class Settings(IstioSettings):
    """The settings of a router."""

    mesh: Literal["envoy", "istio"] = "envoy"
    """What routes the traffic: an Envoy of this machine, or the Istio of a cluster."""
    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - settings are read, never written
    """An SQLAlchemy URL; a router owns state, so it must be said."""
    domain: str = "so1s.localhost"
    """Hosts are `ENDPOINT--ACCOUNT.DOMAIN`. Names under `localhost` need no DNS in browsers and curl."""
    public_scheme: Literal["http", "https"] = "http"
    """What callers speak with the gateway, or with the load balancer before it."""
    public_port: int | None = Field(default=None, ge=1, le=65535)
    """Where callers reach the gateway; `gateway_port` where it is absent."""
    gateway_host: str = "127.0.0.1"
    """Where this machine's Envoy listens."""
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
