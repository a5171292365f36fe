"""What two readings of a replica, some seconds apart, say about the metrics that an autoscaler holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from services.deployer.domain.autoscaling import Metric, Sample
from so1s.events import Resources, Scaling


@dataclass(frozen=True, slots=True)
class Reading:
    """A replica's counters at one time."""

    at: float
    """Seconds since the epoch."""
    process: int
    """Pid: a new process counts from zero."""
    cpu_seconds: float | None = None
    requests: float | None = None
    """Predictions answered; None where they could not be read."""
    seconds_buckets: Mapping[float, float] = field(default_factory=dict)
    """Predictions answered within so many seconds, cumulative, by upper bound; `inf` counts all."""
    in_flight: float | None = None
    """Predictions in work or waiting; None where they could not be read."""


@dataclass(frozen=True, slots=True)
class Change:
    """The last two readings of a replica."""

    before: Reading | None
    after: Reading
    ready: bool

    @property
    def seconds(self) -> float | None:
        """The time between the two; None where they do not belong together."""
        if self.before is None or self.before.process != self.after.process:
            return None
        return self.after.at - self.before.at or None


def metrics(scaling: Scaling, resources: Resources, changes: Sequence[Change]) -> list[Metric]:
    """The metrics for which a target is set, one sample a replica."""
    values: dict[str, Callable[[Change], float | None]] = {
        "cpu_percent": partial(cpu_percent, reserved_millicores=resources.cpu_millicores),
        "gpu_percent": gpu_percent,
        "requests_per_second": requests_per_second,
        "concurrency": concurrency,
        "latency_p90_ms": partial(latency_ms, quantile=0.9),
        "latency_p99_ms": partial(latency_ms, quantile=0.99),
    }
    return [
        Metric(name, float(target), tuple(Sample(value(change), change.ready) for change in changes))
        for name, value in values.items()
        if (target := getattr(scaling, name)) is not None
    ]


def cpu_percent(change: Change, reserved_millicores: int) -> float | None:
    """Used processor time as a percentage of what is reserved; 100 is all of it."""
    used = _growth(change, "cpu_seconds")
    if used is None or not change.seconds:
        return None
    return used / change.seconds / (reserved_millicores / 1000) * 100


def gpu_percent(_change: Change) -> float | None:
    """Never known: a process says nothing of the GPUs that it uses."""
    return None


def requests_per_second(change: Change) -> float | None:
    """Predictions answered per second."""
    answered = _growth(change, "requests")
    return None if answered is None or not change.seconds else answered / change.seconds


def concurrency(change: Change) -> float | None:
    """Predictions in work or waiting."""
    return change.after.in_flight


def latency_ms(change: Change, quantile: float) -> float | None:
    """The quantile of the time to answer; 0 where nothing was asked, for then nobody waits.

    As Prometheus' `histogram_quantile`: linear within a bucket, and the largest finite bound for
    what lies above it.
    """
    if change.before is None or not change.seconds or change.after.requests is None:
        return None
    earlier = change.before.seconds_buckets
    counts = sorted(
        (bound, count - earlier.get(bound, 0.0)) for bound, count in change.after.seconds_buckets.items()
    )
    if not counts or counts[-1][1] <= 0:
        return 0.0
    return _interpolated(counts, quantile * counts[-1][1]) * 1000


def _interpolated(counts: Sequence[tuple[float, float]], rank: float) -> float:
    """The value at a rank of cumulative buckets."""
    lower, below = 0.0, 0.0
    for bound, count in counts:
        if count >= rank and count > below:
            upper = lower if math.isinf(bound) else bound
            return lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def _growth(change: Change, counter: str) -> float | None:
    if change.before is None or not change.seconds:
        return None
    before, after = getattr(change.before, counter), getattr(change.after, counter)
    return None if before is None or after is None else max(0.0, after - before)
