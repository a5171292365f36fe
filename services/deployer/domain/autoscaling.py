"""The Horizontal Pod Autoscaler of Kubernetes, as a pure function.

The formula, its tolerance and its treatment of pods without metrics are those of
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details,
the stabilisation window and the scaling policies those of
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from so1s.events.workload import ScalingBehavior

TOLERANCE = 0.1
"""A ratio this near to 1 changes nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One replica's value of a metric; None where it could not be read."""

    value: float | None
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a deployment, and the average that is to be held."""

    name: str
    target: float
    """Above 0, in the samples' unit."""
    samples: tuple[Sample, ...]
    """One per replica that is not about to end."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Within a period the number may move by so many replicas or by that share, whichever is more."""

    replicas: int = 0
    percent: int = 0
    period_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Behavior:
    """How fast the number may move; the defaults are Kubernetes' own."""

    scale_up_window_seconds: float = 0.0
    """The lowest recommendation within it holds, so that a peak does not cost replicas."""
    scale_down_window_seconds: float = 300.0
    """The highest recommendation within it holds, so that a dip does not cost replicas."""
    scale_up: Limit = Limit(replicas=4, percent=100)
    scale_down: Limit = Limit(percent=100)


@dataclass(frozen=True, slots=True)
class History:
    """What the autoscaler remembers of a deployment."""

    recommendations: tuple[tuple[float, int], ...] = ()
    """(seconds since the epoch, replicas)."""
    moves: tuple[tuple[float, int], ...] = ()
    """(seconds since the epoch, replicas more or less)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there shall be, and why."""

    replicas: int
    reason: str
    history: History = field(repr=False)


def behavior_for(scaling: ScalingBehavior, default: Behavior) -> Behavior:
    """How fast the number may move: as it is said, and where nothing is said by default."""
    up, down = scaling.scale_up_replicas_per_minute, scaling.scale_down_replicas_per_minute
    said = {
        "scale_up_window_seconds": scaling.scale_up_window_seconds,
        "scale_down_window_seconds": scaling.scale_down_window_seconds,
        "scale_up": up and Limit(replicas=up, period_seconds=60),
        "scale_down": down and Limit(replicas=down, period_seconds=60),
    }
    return replace(default, **{name: value for name, value in said.items() if value is not None})


def replicas_for(current: int, metric: Metric) -> int | None:
    """How many replicas bring a metric's average to its target; None where no ready replica has a value.

    `ceil(current * average / target)`, unless the ratio is within the tolerance. Replicas without
    a value count as exactly on target where the others ask for fewer replicas, and as idle where
    they ask for more; those not ready yet count as idle then. Where that turns the direction
    around, nothing changes.
    """
    known = [sample.value for sample in metric.samples if sample.ready and sample.value is not None]
    if not known:
        return None
    ratio = sum(known) / len(known) / metric.target
    assumed = _assumed(metric, ratio)
    cautious = sum([*known, *assumed]) / (len(known) + len(assumed)) / metric.target
    if _tolerable(cautious) or (ratio - 1) * (cautious - 1) < 0:
        return current
    wanted = math.ceil(_exact(cautious * (len(known) + len(assumed))))
    return max(wanted, current) if cautious > 1 else min(wanted, current)


def _assumed(metric: Metric, ratio: float) -> list[float]:
    missing = sum(sample.ready and sample.value is None for sample in metric.samples)
    if ratio > 1:
        return [0.0] * (missing + sum(not sample.ready for sample in metric.samples))
    return [metric.target] * missing


def _tolerable(ratio: float) -> bool:
    return _exact(abs(ratio - 1)) <= TOLERANCE


def _exact(number: float) -> float:
    # Binary fractions: 3 * 1.1 is 3.3000000000000003, and its ceiling must not depend on that.
    return round(number, 9)


def recommend(current: int, metrics: Sequence[Metric]) -> tuple[int, str]:
    """The most that any metric asks for, and its name.

    A metric that cannot be read forbids to scale down: what it would have asked for is not known.
    """
    answers = [(replicas_for(current, metric), metric.name) for metric in metrics]
    known = [(count, name) for count, name in answers if count is not None]
    if not known:
        return current, "no metric can be read"
    count, name = max(known)
    if len(known) < len(answers) and count < current:
        return current, "a metric cannot be read"
    return count, name


def decide(
    current: int,
    bounds: tuple[int, int],
    metrics: Sequence[Metric],
    *,
    history: History,
    behavior: Behavior,
    now: float,
) -> Decision:
    """How many replicas there shall be now.

    Args:
        current: how many there are meant to be.
        bounds: the least and the most.
        metrics: as read just now; without any, the number is the least.
        history: of the last decision.
        behavior: limits of speed.
        now: seconds since the epoch.
    """
    if not metrics:
        return Decision(bounds[0], "a fixed number", History())
    wanted, reason = recommend(current, metrics)
    recommendations = (*history.recommendations, (now, wanted))
    stable = _stabilised(current, recommendations, behavior, now)
    limited = _limited(current, stable, history.moves, behavior, now)
    replicas = min(max(limited, bounds[0]), bounds[1])
    moves = ((now, replicas - current),) if replicas != current else ()
    return Decision(replicas, reason, _recent(recommendations, (*history.moves, *moves), behavior, now))


def _stabilised(
    current: int, recommendations: tuple[tuple[float, int], ...], behavior: Behavior, now: float
) -> int:
    """The number, moved no further than every recommendation of the window in that direction asks for."""
    newest = recommendations[-1:]
    up = _within(recommendations[:-1], now - behavior.scale_up_window_seconds) + newest
    down = _within(recommendations[:-1], now - behavior.scale_down_window_seconds) + newest
    return min(max(current, min(count for _, count in up)), max(count for _, count in down))


def _limited(
    current: int, wanted: int, moves: tuple[tuple[float, int], ...], behavior: Behavior, now: float
) -> int:
    """The number, moved no further than is left of the period's limit."""
    if wanted > current:
        limit = behavior.scale_up
        start = current - _moved(moves, now - limit.period_seconds)
        most = max(start + limit.replicas, math.ceil(_exact(start * (1 + limit.percent / 100))))
        return min(wanted, max(most, current))
    if wanted < current:
        limit = behavior.scale_down
        start = current - _moved(moves, now - limit.period_seconds)
        least = min(start - limit.replicas, math.floor(_exact(start * (1 - limit.percent / 100))))
        return max(wanted, min(least, current))
    return current


def _moved(moves: tuple[tuple[float, int], ...], since: float) -> int:
    return sum(change for _, change in _within(moves, since))


def _recent(
    recommendations: tuple[tuple[float, int], ...],
    moves: tuple[tuple[float, int], ...],
    behavior: Behavior,
    now: float,
) -> History:
    """What the next decisions look at."""
    window = max(behavior.scale_up_window_seconds, behavior.scale_down_window_seconds)
    period = max(behavior.scale_up.period_seconds, behavior.scale_down.period_seconds)
    return History(_within(recommendations, now - window), _within(moves, now - period))


def _within(entries: tuple[tuple[float, int], ...], since: float) -> tuple[tuple[float, int], ...]:
    return tuple(entry for entry in entries if entry[0] > since)
