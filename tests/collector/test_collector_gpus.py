"""What is asked of Prometheus of GPUs, and what becomes of all else where it does not tell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.collector.adapters.metrics_prometheus import PrometheusReplicas
from services.collector.adapters.prometheus.api import Prometheus
from services.collector.adapters.prometheus.history import Freshness, History
from services.collector.domain.counters import Accrual, Reading, born
from services.collector.domain.samples import CPU_MICROSECONDS, GPU_MICROSECONDS
from services.collector.domain.world import Running, of_replica
from services.collector.scraper import Scraper
from so1s.errors import Unreachable
from tests.collector.cluster import REPLICA, START_MS

MINUTE_MS = 60_000
SCRAPE_MS = 15_000
FIVE_MINUTES_MS = 300_000
FRESHNESS = Freshness(stale_ms=45_000, lookback_ms=3_600_000)
FIRST, SECOND = (
    replace(REPLICA, uid=uid, pod=pod, started_ms=START_MS) for uid, pod in (("u1", "p1"), ("u2", "p2"))
)


def half_of(minutes: int) -> int:
    """Microseconds of one half of so many minutes, but for the first scrape, which speaks for nothing."""
    return (minutes * MINUTE_MS - SCRAPE_MS) * 500


class Answering:
    """A Prometheus whose pods have a half of a core and of a GPU each, by each scrape since the start."""

    def __init__(self) -> None:
        self.tells: Callable[[str, int, int], bool] = lambda *_: True
        """Whether, of a pod's GPU, it knows the sample of a moment at another one."""
        self.refuses = False
        """What is asked of GPUs."""
        self.asked_ms: list[int] = []
        """The spans of which it was asked for samples of GPUs."""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        form = httpx.QueryParams(request.content.decode())
        query, at_ms = form["query"], round(float(form["time"]) * 1000)
        if not query.startswith("DCGM"):
            return _success(self._cpu(query, at_ms))
        self.asked_ms.append(int(re.search(r"\[(\d+)ms\]$", query)[1]))
        if self.refuses:
            return httpx.Response(422, json={"status": "error", "error": "too many samples"})
        return _success([] if "exported_namespace" in query else self._gpus(at_ms))

    def _cpu(self, query: str, at_ms: int) -> list[dict[str, Any]]:
        if "container_cpu" not in query:
            return []
        offset = re.search(r"offset (\d+)ms", query)
        after, before = (at_ms - START_MS) / 2000, (at_ms - int(offset[1] if offset else 0) - START_MS) / 2000
        parts = {"after": after, "before": before, "gained": after - before if offset else after}
        return [
            {"metric": _pod(pod) | {"so1s_part": part}, "value": [at_ms / 1000, str(value)]}
            for pod in ("p1", "p2")
            for part, value in parts.items()
        ]

    def _gpus(self, at_ms: int) -> list[dict[str, Any]]:
        scrapes = range(max(START_MS, at_ms - self.asked_ms[-1] + 1), at_ms + 1)
        return [
            {"metric": _pod(pod) | {"UUID": f"GPU-{pod}"}, "values": values}
            for pod in ("p1", "p2")
            if (
                values := [
                    [ms / 1000, "50"]
                    for ms in scrapes[-scrapes[0] % SCRAPE_MS :: SCRAPE_MS]
                    if self.tells(pod, ms, at_ms)
                ]
            )
        ]


def _pod(pod: str) -> dict[str, str]:
    return {"namespace": "so1s-risk", "pod": pod}


def _success(result: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": {"result": result}})


class Gateway:
    """One of which nobody may know."""

    known = True

    async def read(self, *_: Any) -> Mapping[str, Reading]:
        if not self.known:
            raise Unreachable("Prometheus is away")
        return {}


class Collected:
    """What a collector takes, look by look."""

    def __init__(self, prometheus: Answering) -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(prometheus), base_url="http://prometheus")
        self.gateway = Gateway()
        self.running = {each.uid: each for each in (FIRST, SECOND)}
        replicas = PrometheusReplicas(History(Prometheus(http), FRESHNESS), namespace_prefix="so1s-")
        self._scraper = Scraper(self.gateway, replicas)

    async def look(self, *minutes: int) -> None:
        for minute in minutes:
            await self._scraper.scrape(Running(self.running, {}), START_MS + minute * MINUTE_MS)

    def of(self, uid: str) -> Accrual:
        return self._scraper.accrual(of_replica(uid), born(START_MS))

    def gpu_used(self, uid: str) -> int:
        return self.of(uid).integrals[GPU_MICROSECONDS]


@pytest.fixture
def prometheus() -> Answering:
    return Answering()


@pytest.fixture
def collected(prometheus) -> Collected:
    return Collected(prometheus)


async def test_a_gpu_that_is_silent_lets_prometheus_tell_no_more_of_all_others(prometheus, collected):
    prometheus.tells = lambda pod, ms, _: pod == "p2" or ms < START_MS + MINUTE_MS
    await collected.look(1, *range(2, 90))
    first, later = set(prometheus.asked_ms[:2]), set(prometheus.asked_ms[2:])
    assert first == later == {MINUTE_MS + FIVE_MINUTES_MS}
    assert collected.gpu_used("u2") == half_of(89)


async def test_a_replica_that_was_long_in_starting_lets_prometheus_tell_no_more_of_all_others(
    prometheus, collected
):
    second = collected.running.pop("u2")
    await collected.look(*range(1, 31))
    collected.running["u2"] = second
    await collected.look(31)
    assert set(prometheus.asked_ms) == {MINUTE_MS + FIVE_MINUTES_MS}


async def test_where_prometheus_does_not_tell_of_gpus_all_else_is_metered_and_they_follow(
    prometheus, collected
):
    await collected.look(1, 2)
    prometheus.refuses = True
    await collected.look(3, 4)
    assert collected.of("u1").increases[CPU_MICROSECONDS] == 4 * MINUTE_MS * 500
    assert collected.gpu_used("u1") == half_of(2)
    prometheus.refuses = False
    await collected.look(5)
    assert collected.gpu_used("u1") == half_of(5)


async def test_a_window_of_which_prometheus_does_not_tell_what_gpus_did_is_not_complete(
    prometheus, collected
):
    """Whether anything is lacking is not known where nothing was known before."""
    prometheus.refuses = True
    await collected.look(1)
    assert collected.of("u1").reset


async def test_the_first_samples_of_a_gpu_are_counted_where_they_come_late(prometheus, collected):
    late_ms = START_MS + 3 * MINUTE_MS
    prometheus.tells = lambda pod, ms, at_ms: pod == "p2" or at_ms > late_ms
    await collected.look(1, 2, 3, 4)
    assert collected.gpu_used("u1") == collected.gpu_used("u2") == half_of(4)
    assert (collected.of("u1").reset, collected.of("u2").reset) == (True, False)


async def test_a_moment_that_is_looked_at_again_for_its_gateway_takes_nothing_of_replicas_twice(collected):
    await collected.look(1)
    collected.gateway.known = False
    for _ in range(2):
        with pytest.raises(Unreachable):
            await collected.look(2)
    collected.gateway.known = True
    await collected.look(2, 3)
    taken = collected.of("u1")
    assert taken.increases[CPU_MICROSECONDS] == 3 * MINUTE_MS * 500
    assert collected.gpu_used("u1") == half_of(3)
    assert taken.readings == 3
