"""A real Prometheus whose past a test makes up, and a collector that goes through it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.collector.adapters.metrics_prometheus import (
    ISTIO,
    PrometheusGateway,
    PrometheusReplicas,
)
from services.collector.adapters.prometheus.api import Prometheus
from services.collector.adapters.prometheus.gpus import GPU_UTIL
from services.collector.adapters.prometheus.history import Freshness, History
from services.collector.domain.world import Gateway
from services.collector.scraper import Scraper
from services.collector.timeline import Timeline
from services.collector.watchers import Sampler
from so1s.events import UsageSampled
from tests.collector.cluster import DEPLOYMENT, REPLICA, FakeCluster, FakeWorld
from tests.collector.conftest import said, store  # noqa: F401 - fixtures
from tests.lab.missing import skipped_where_missing
from tests.lab.recorded import Values, recorded

WINDOW = 60
SETTLE = 10
BEGIN = int(time.time()) // 7200 * 7200 - 2 * 86_400
"""Two days ago."""
MINUTES = 20
FRESHNESS = Freshness(stale_ms=45_000, lookback_ms=600_000)
HOST = "fraud.so1s-risk.svc.cluster.local"
POD = replace(REPLICA, pod="fraud-1", started_ms=BEGIN * 1000)
CPU = 'container_cpu_usage_seconds_total{namespace="so1s-risk",pod="fraud-1",container="server",id="a"}'
MEMORY = 'container_memory_working_set_bytes{namespace="so1s-risk",pod="fraud-1",container="server",id="a"}'
UP = 'up{job="gateway",instance="a"}'
UP_TOO = 'up{job="gateway",instance="b"}'


def requests(instance: str = "a", code: int = 200, deployment: str = "fraud") -> str:
    host = HOST.replace("fraud", deployment)
    return (
        f'istio_requests_total{{reporter="source",destination_service="{host}",'
        f'response_code="{code}",instance="{instance}"}}'
    )


def latency(bound: str) -> str:
    return (
        f'istio_request_duration_milliseconds_bucket{{reporter="source",destination_service="{HOST}",'
        f'le="{bound}",instance="a"}}'
    )


def always(value: float) -> Values:
    return lambda _: value


def growing(by_second: float, begin: float = 0) -> Values:
    return lambda second: begin + second * by_second


def between(values: Values, first: int, last: int) -> Values:
    return lambda second: values(second) if first <= second <= last else None


def without(values: Values, first: int, last: int) -> Values:
    return lambda second: None if first < second < last else values(second)


class Collector:
    """A collector that goes through the past, window by window."""

    def __init__(self, url: str, cursors: Any, cluster: FakeCluster, dialect: Any) -> None:
        self.url, self.store, self._cluster, self._dialect = url, cursors, cluster, dialect
        self.gpu_metric = GPU_UTIL
        self.clock_ms = 0

    async def go(self, first: int, last: int) -> None:
        """Start anew, and look at each window's end from one minute to another."""
        timeline = Timeline(
            self.store,
            lambda: self.clock_ms,
            window_seconds=WINDOW,
            settle_seconds=SETTLE,
            reach_seconds=86_400,
        )
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            history = History(Prometheus(http), FRESHNESS)
            gateway = PrometheusGateway(
                history, self._dialect, up='up{job="gateway"}', namespace_prefix="so1s-"
            )
            replicas = PrometheusReplicas(history, namespace_prefix="so1s-", gpu_metric=self.gpu_metric)
            sampler = Sampler(
                store=self.store,
                world=FakeWorld(self._cluster),
                scraper=Scraper(gateway, replicas),
                gateway=Gateway("so1s", "istio"),
                window_seconds=WINDOW,
                now_ms=timeline.now_ms,
            )
            self.clock_ms = (BEGIN + first * WINDOW + SETTLE) * 1000
            await timeline.follow(sampler.look)
            self.clock_ms = (BEGIN + last * WINDOW + SETTLE) * 1000
            while timeline.now_ms() + SETTLE * 1000 < self.clock_ms:
                await timeline.follow(sampler.look)


@pytest.fixture
def past(store):  # noqa: F811
    """Makes a past, and a collector of one deployment with one replica: `past({series: values})`."""
    cluster = FakeCluster()
    cluster.run(POD)
    cluster.deploy(DEPLOYMENT)
    opened = []

    def make(
        series: dict[str, Values], dialect: Any = ISTIO, *, minutes: int = MINUTES
    ) -> tuple[Collector, FakeCluster]:
        server = recorded(series, BEGIN, minutes * 60)
        with skipped_where_missing():
            prometheus = server.__enter__()
        opened.append(server)
        return Collector(prometheus.url, store, cluster, dialect), cluster

    yield make
    for server in opened:
        server.__exit__(None, None, None)


@pytest.fixture
def usage(said) -> Callable[..., Any]:  # noqa: F811
    """What was said of a replica, by minute."""

    async def read(replica: str, deployment: str = "fraud") -> dict[int, UsageSampled]:
        of = (deployment, replica)
        events = [each.event for each in await said(UsageSampled)]
        found = [each for each in events if (each.deployment, each.replica) == of]
        minutes = [(int(each.window_start.timestamp()) - BEGIN) // WINDOW for each in found]
        assert sorted(minutes) == sorted(set(minutes)), "a window was said twice"
        return dict(zip(minutes, found, strict=True))

    return read


def counted(found: dict[int, UsageSampled], meter: str = "requests") -> dict[int, int | None]:
    return {minute: each.quantities.get(meter) for minute, each in found.items()}
