"""The collector, put together."""

from __future__ import annotations

import time

import httpx

from services.collector.adapters.metrics_envoy import EnvoyMetrics
from services.collector.adapters.metrics_processes import ProcessMetrics
from services.collector.adapters.world_directory import WorldDirectory
from services.collector.domain.world import Gateway
from services.collector.scraper import Scraper
from services.collector.settings import Settings
from services.collector.watchers import Sampler
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store

_SCRAPE_SECONDS = 2.0
"""Envoy answers in milliseconds; one that hangs shall not hold up what is sampled elsewhere."""


def build(settings: Settings) -> Service:
    """Put the service together from its settings."""
    store = Store(
        settings.database_url.get_secret_value(), producer="collector", schema=settings.database_schema
    )
    return Service(
        "collector",
        settings,
        store=store,
        migrations="services.collector.migrations",
        loops=_laptop(settings, store) if settings.source == "laptop" else _cluster(settings, store),
    )


def _laptop(settings: Settings, store: Store) -> list[Loop]:
    admin = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{settings.envoy_admin_port}", timeout=_SCRAPE_SECONDS
    )
    sampler = Sampler(
        store=store,
        world=WorldDirectory(settings.world_dir),
        scraper=Scraper(EnvoyMetrics(admin, _now_ms), ProcessMetrics(_now_ms)),
        gateway=Gateway(settings.operator_account, settings.gateway),
        window_seconds=settings.window_seconds,
        now_ms=_now_ms,
    )
    return [Loop("sample", lambda: sampler.watch(settings.scrape_seconds), every_seconds=0)]


def _cluster(settings: Settings, store: Store) -> list[Loop]:
    from services.collector import app_cluster  # the Kubernetes client takes a second to import

    return app_cluster.loops(settings, store, _now_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
