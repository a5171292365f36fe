"""The part of the composition root that samples a cluster."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import httpx

from services.collector.adapters.metrics_prometheus import (
    ENVOY,
    ISTIO,
    PrometheusGateway,
    PrometheusReplicas,
)
from services.collector.adapters.prometheus.api import Prometheus, TokenFile
from services.collector.adapters.prometheus.gpus import GPU_UTIL, GR_ENGINE_ACTIVE
from services.collector.adapters.prometheus.history import Freshness, History
from services.collector.adapters.world_kubernetes import Naming, WorldKubernetes
from services.collector.domain.world import Gateway
from services.collector.scraper import Scraper
from services.collector.settings import ClusterSettings, Settings
from services.collector.timeline import Timeline
from services.collector.watchers import Sampler
from so1s.kubernetes import connect
from so1s.loop import Loop
from so1s.store import Store

_FOLLOW_AGAIN_SECONDS = 1.0
_DIALECTS = {"istio": ISTIO, "envoy": ENVOY}
_GPU_METRICS = {each.name: each for each in (GPU_UTIL, GR_ENGINE_ACTIVE)}


def loops(settings: Settings, store: Store, now_ms: Callable[[], int]) -> list[Loop]:
    """The loop that watches what runs, and the one that samples it."""
    world = WorldKubernetes(
        partial(connect, settings.kubeconfig),
        store,
        Naming(settings.namespace_prefix, settings.gpu_resource),
        now_ms,
    )
    timeline = Timeline(
        store,
        now_ms,
        window_seconds=settings.window_seconds,
        settle_seconds=settings.settle_seconds,
        reach_seconds=settings.reach_seconds,
    )
    sampler = Sampler(
        store=store,
        world=world,
        scraper=_scraper(settings),
        gateway=Gateway(settings.operator_account, settings.gateway),
        window_seconds=settings.window_seconds,
        now_ms=timeline.now_ms,
    )
    return [
        Loop("follow", world.follow, every_seconds=_FOLLOW_AGAIN_SECONDS),
        Loop("sample", lambda: timeline.follow(sampler.look), every_seconds=0),
    ]


def _scraper(settings: ClusterSettings) -> Scraper:
    freshness = Freshness(int(settings.stale_seconds * 1000), int(settings.lookback_seconds * 1000))
    history = History(Prometheus(_http(settings)), freshness)
    dialect = _DIALECTS[settings.gateway_metrics]
    if settings.gateway_matchers is not None:
        dialect = replace(dialect, matchers=settings.gateway_matchers)
    prefix = settings.namespace_prefix
    gateway = PrometheusGateway(history, dialect, up=settings.gateway_up, namespace_prefix=prefix)
    gpu_metric = _GPU_METRICS[settings.gpu_metric]
    return Scraper(gateway, PrometheusReplicas(history, namespace_prefix=prefix, gpu_metric=gpu_metric))


def _http(settings: ClusterSettings) -> httpx.AsyncClient:
    token, ca_file = settings.prometheus_token, settings.prometheus_ca_file
    return httpx.AsyncClient(
        base_url=settings.prometheus_url,
        timeout=settings.prometheus_timeout_seconds,
        headers={"authorization": f"Bearer {token.get_secret_value()}"} if token else {},
        auth=TokenFile(settings.prometheus_token_file) if settings.prometheus_token_file else None,
        limits=httpx.Limits(max_keepalive_connections=0),  # a few queries in each window need none kept open
        verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
        trust_env=False,
    )
