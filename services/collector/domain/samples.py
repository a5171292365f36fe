"""From what accrued to the events that say so.

What accrued since the last sample belongs to the newest window. The windows before it, if any, were
missed: they are a `gap`, exact in what was reserved, and the newest one is `partial`. So a sum over
windows is neither more nor less than what was counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.collector.domain.counters import Accrual, Scrapes
from services.collector.domain.grid import Span, windows
from services.collector.domain.histogram import quantile
from services.collector.domain.world import Deployment, Gateway, Replica
from so1s.events import GatewaySampled, HealthSampled, UsageCorrected, UsageSampled
from so1s.events.usage import ListedMeter, Quality

GATEWAY = "gateway"
"""The `replica` of a sample of requests."""
CPU_MICROSECONDS = "cpu_microseconds"
MEMORY_BYTES = "memory_bytes"
GPU_MICROSECONDS = "gpu_microseconds"
REQUESTS = "requests"
ERRORS = "errors"
_BUCKET = "latency_ms_le_"
_MEBIBYTE = 2**20
_TIMELY = 5
"""A reading that is late by a fifth of a window says too little of where the window ended."""


@dataclass(frozen=True)
class Portion:
    """What one window holds of a subject."""

    window: Span
    alive: Span
    """The part of the window in which the subject lived and was not sampled before."""
    accrual: Accrual | None
    """None in a window in which nothing was read."""

    @property
    def quality(self) -> Quality:
        """Whether the accrual speaks for all of this window and for no other."""
        if self.accrual is None:
            return "gap"
        on_time = self._on_time(self.accrual.since_ms, self.alive.start_ms)
        on_time &= self._on_time(self.accrual.last.at_ms, self.alive.end_ms)
        return "complete" if on_time and not self.accrual.reset else "partial"

    @property
    def requests(self) -> int:
        """How many were counted."""
        return self.accrual.increases.get(REQUESTS, 0) if self.accrual else 0

    def _on_time(self, read_ms: int, due_ms: int) -> bool:
        return due_ms <= read_ms <= due_ms + self.window.length_ms // _TIMELY


def portions(life: Span, accrual: Accrual, boundary_ms: int, window_seconds: int) -> list[Portion]:
    """Cut a life at the windows that closed until `boundary_ms`; the newest takes what accrued."""
    closed = windows(life.start_ms, boundary_ms, window_seconds)
    alive = [(window, window.intersection(life)) for window in closed if window.overlap_ms(life)]
    newest = accrual if accrual.readings else None
    return [
        Portion(window, part, newest if index == len(alive) else None)
        for index, (window, part) in enumerate(alive, start=1)
    ]


def replica_samples(replica: Replica, found: list[Portion], *, window_seconds: int) -> list[UsageSampled]:
    """Sample what a replica reserved and used."""
    return [
        UsageSampled(
            **_names(replica, portion.window, window_seconds),
            replica=replica.uid,
            quantities=reserved(replica, portion.alive.length_ms) | used(portion.accrual),
            gpu_used=gpu_used(portion.accrual),
            quality=_quality(replica, portion),
        )
        for portion in found
    ]


def _quality(replica: Replica, portion: Portion) -> Quality:
    """The window of an end that nobody saw is not complete, whatever was read."""
    unsure = replica.end_estimated and portion.alive.end_ms == replica.ended_ms
    return "partial" if unsure and portion.quality == "complete" else portion.quality


def corrections(
    replica: Replica, ended_ms: int, sampled: Span, *, window_seconds: int
) -> list[UsageCorrected]:
    """Correct what was sampled past the end of a replica, where the end became known later."""
    life = Span(replica.started_ms, ended_ms)
    return [
        UsageCorrected(
            **_names(replica, window, window_seconds),
            replica=replica.uid,
            quantities=reserved(replica, life.overlap_ms(window)),
            quality="partial",
        )
        for window in windows(sampled.start_ms, sampled.end_ms, window_seconds)
    ]


def request_samples(replica: Replica, found: list[Portion], *, window_seconds: int) -> list[UsageSampled]:
    """Sample the requests that a variant answered; its newest replica says whose they are."""
    return [
        UsageSampled(
            **_names(replica, portion.window, window_seconds),
            replica=GATEWAY,
            quantities={} if portion.accrual is None else {"requests": portion.requests},
            quality=portion.quality,
        )
        for portion in found
    ]


def health_sample(
    deployment: Deployment | None, newest: Portion, *, window_seconds: int
) -> HealthSampled | None:
    """Sample how a variant fares; None without an endpoint, after its removal, and where nothing was read."""
    if deployment is None or deployment.endpoint is None or newest.accrual is None:
        return None
    increases = newest.accrual.increases
    return HealthSampled(
        account=deployment.account,
        endpoint=deployment.endpoint,
        variant=deployment.deployment,
        model=deployment.model,
        version=deployment.version,
        window_start=newest.window.start,
        window_seconds=window_seconds,
        requests=newest.requests,
        errors=increases.get(ERRORS, 0),
        **_latencies(increases),
        replicas_ready=deployment.ready,
        replicas_desired=deployment.desired,
        restarts=deployment.restarts,
    )


def gateway_sample(
    gateway: Gateway, scrapes: Scrapes, window: Span, *, window_seconds: int
) -> GatewaySampled:
    """Sample whether the gateway answered; it was asked."""
    return GatewaySampled(
        account=gateway.account,
        gateway=gateway.name,
        window_start=window.start,
        window_seconds=window_seconds,
        scrapes=scrapes.asked,
        answered=scrapes.answered,
    )


def reserved(replica: Replica, alive_ms: int) -> dict[ListedMeter, int]:
    """What a replica reserved in a time."""
    return {
        "cpu_reserved": replica.cpu_millicores * alive_ms,
        "memory_reserved": replica.memory_mib * alive_ms,
        "gpu_reserved": replica.gpus * alive_ms,
    }


def used(accrual: Accrual | None) -> dict[ListedMeter, int]:
    """What a process used; nothing where nothing was read."""
    if accrual is None:
        return {}
    # A microsecond of one core is a millicore-millisecond.
    return {
        "cpu_used": accrual.increases.get(CPU_MICROSECONDS, 0),
        "memory_used": accrual.integrals.get(MEMORY_BYTES, 0) // _MEBIBYTE,
    }


def gpu_used(accrual: Accrual | None) -> int | None:
    """For how many milliseconds of one GPU the GPUs worked; None where nobody measured that."""
    worked = None if accrual is None else accrual.integrals.get(GPU_MICROSECONDS)
    return None if worked is None else worked // 1000


def bucket(bound_ms: float) -> str:
    """The name of the counter of answers that took at most `bound_ms`."""
    return f"{_BUCKET}{bound_ms}"


def _latencies(increases: Any) -> dict[str, float | None]:
    buckets = {
        float(name.removeprefix(_BUCKET)): count
        for name, count in increases.items()
        if name.startswith(_BUCKET)
    }
    return {f"latency_p{percent}_ms": quantile(percent / 100, buckets) for percent in (50, 90, 99)}


def _names(replica: Replica, window: Span, window_seconds: int) -> dict[str, Any]:
    return {
        "account": replica.account,
        "deployment": replica.deployment,
        "model": replica.model,
        "version": replica.version,
        "window_start": window.start,
        "window_seconds": window_seconds,
        "user": replica.user,
        "labels": dict(replica.labels),
    }
