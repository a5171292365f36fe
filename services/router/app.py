"""The composition root: settings → mesh → reconciler → service."""

from __future__ import annotations

import httpx

from services.router import api
from services.router.adapters.mesh_envoy import EnvoyMesh
from services.router.domain.deadlines import Deadlines
from services.router.domain.route import PublicUrls
from services.router.handlers import consumer
from services.router.ports import Mesh
from services.router.reconciler import Reconciler
from services.router.settings import Settings
from services.router.watchers import Waits
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store

_PROBE_TIMEOUT_SECONDS = 2.0
"""For the gateway's own answers, which take no longer than it takes to reach it."""


def build(settings: Settings) -> Service:
    """Put the router together."""
    url = settings.database_url.get_secret_value()
    store = Store(url, producer="router", schema=settings.database_schema)
    urls = PublicUrls(settings.public_scheme, settings.domain, settings.callers_port)
    deadlines = Deadlines(
        weights=settings.weights_deadline_seconds,
        checks=settings.check_deadline_seconds,
        apply=settings.apply_deadline_seconds,
    )
    waits = Waits(store, deadlines)
    mesh, following = _mesh(settings)
    reconciler = Reconciler(store, mesh, waits, urls, settings.drift_seconds)
    loop = Loop("reconcile", reconciler.step, every_seconds=settings.poll_seconds)
    consumer.provide(deadlines, loop)
    return Service(
        "router",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.router.migrations",
        loops=[loop, *following],
        routes=api.routes(store, urls),
    )


def _mesh(settings: Settings) -> tuple[Mesh, list[Loop]]:
    """The mesh, and the loops that keep it informed."""
    if settings.mesh == "envoy":
        return _envoy(settings), []
    from services.router import app_istio  # the Kubernetes client takes a second to import

    return app_istio.mesh(settings)


def _envoy(settings: Settings) -> EnvoyMesh:
    return EnvoyMesh(
        httpx.AsyncClient(timeout=_PROBE_TIMEOUT_SECONDS),
        directory=settings.world_dir.absolute() / "envoy",
        gateway=(settings.gateway_host, settings.gateway_port),
        admin_port=settings.envoy_admin_port,
        request_timeout_seconds=settings.request_timeout_seconds,
        health_wait_seconds=settings.health_wait_seconds,
    )
