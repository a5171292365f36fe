"""What Istio's gateway counts, as Prometheus scrapes it and a collector reads it."""

import contextlib
import time
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import httpx
import pytest

from services.collector.adapters.metrics_prometheus import ENVOY, PrometheusGateway
from services.collector.adapters.prometheus.api import Prometheus
from services.collector.adapters.prometheus.history import Freshness, History
from services.collector.domain.counters import Reading, born
from services.collector.domain.samples import ERRORS, REQUESTS, bucket
from so1s.errors import TemporaryError
from tests.lab.istio_mesh.conftest import api, caller, deploy, http, make_mesh, mesh  # noqa: F401 - fixtures
from tests.lab.istio_mesh.world import HOST
from tests.router.gateway import route, serve


@pytest.fixture
async def gateway(istio, prometheus, namespace: str) -> AsyncGenerator[PrometheusGateway]:
    """What is known of the test's own namespace, as if an account had it."""
    address = urlsplit(istio.admin_url).netloc
    prometheus.scrape("gateway", address, labels={"__metrics_path__": "/stats/prometheus"})
    prefix = namespace.removesuffix(namespace[-4:])
    async with httpx.AsyncClient(base_url=prometheus.url, trust_env=False) as client:
        history = History(Prometheus(client), Freshness(stale_ms=5_000, lookback_ms=60_000))
        yield PrometheusGateway(history, ENVOY, up='up{job="gateway"}', namespace_prefix=prefix)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def begin(gateway, eventually) -> Reading:
    """Of a variant that is made now: Prometheus knows the gateway."""

    async def known() -> bool:
        with contextlib.suppress(TemporaryError):
            return await gateway.read({}, now_ms()) is not None
        return False

    await eventually(known)
    return born(now_ms())


@pytest.fixture
async def called(begin, mesh, deploy, caller) -> int:  # noqa: F811
    """How many times a variant was called through the gateway."""
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(1)))
    for _ in range(7):
        await caller.call(HOST)
    return 7


async def test_each_request_is_counted_once_with_its_final_answer(
    begin, called, namespace, gateway, eventually
):
    cluster = f"{namespace[-4:]}--fraud"

    async def counted() -> Reading:
        found = await gateway.read({cluster: begin}, now_ms())
        return (found or {}).get(cluster, begin)

    async def all_counted() -> bool:
        counters = (await counted()).counters
        return counters.get(REQUESTS, 0) >= called and counters.get(bucket(float("inf")), 0) >= called

    await eventually(all_counted)
    counters = (await counted()).counters
    assert (counters[REQUESTS], counters.get(ERRORS, 0)) == (called, 0)
    assert counters[bucket(float("inf"))] == called
