"""The part of the composition root that puts the mesh of a cluster together."""

from __future__ import annotations

import ssl
from functools import partial

import httpx

from services.router.adapters.istio.gateways import GatewayService, Probe
from services.router.adapters.istio.manifests import Gateway, Sharing
from services.router.adapters.mesh_istio import IstioMesh
from services.router.settings import Settings
from so1s.kubernetes import connect
from so1s.loop import Loop

_FOLLOW_AGAIN_SECONDS = 1.0
_GATEWAY_NAME = "so1s"
_PROBE_TIMEOUT_SECONDS = 2.0
"""For the gateways' own answers, which take no longer than it takes to reach them."""


def mesh(settings: Settings) -> tuple[IstioMesh, list[Loop]]:
    """The mesh, and the loop that keeps it informed."""
    namespace, given = settings.istio_namespace, settings.istio_gateway
    sharing = Sharing(
        namespace=namespace,
        gateway=given or f"{namespace}/{_GATEWAY_NAME}",
        export_to=settings.istio_export_to,
        domain=settings.domain,
        timeout_seconds=settings.request_timeout_seconds,
    )
    istio = IstioMesh(
        partial(connect, settings.kubeconfig),
        _probe(settings),
        settings.istio_probes or _gateway_service(settings),
        sharing,
        None if given else _gateway(settings),
        health_wait_seconds=settings.health_wait_seconds,
    )
    return istio, [Loop("follow", istio.follow, every_seconds=_FOLLOW_AGAIN_SECONDS)]


def _gateway(settings: Settings) -> Gateway:
    return Gateway(
        settings.istio_namespace,
        _GATEWAY_NAME,
        selector=settings.istio_selector,
        domain=settings.domain,
        port=settings.gateway_port,
        credential=settings.istio_credential,
        bind=settings.istio_bind,
    )


def _gateway_service(settings: Settings) -> GatewayService:
    namespace, name = settings.istio_service.split("/")
    return GatewayService(namespace, name, settings.istio_service_port)


def _probe(settings: Settings) -> Probe:
    ca_file = settings.istio_probe_ca_file
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    http = httpx.AsyncClient(timeout=_PROBE_TIMEOUT_SECONDS, verify=verify, trust_env=False)
    return Probe(http, settings.probe_scheme)
