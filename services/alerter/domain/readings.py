"""What one window of health says of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import pairwise
from math import floor

from pydantic import AwareDatetime

from services.alerter.domain.rules import DeadLettersKept, GatewayAway, RestartLoop, Rule
from so1s.events import AlertRule, GatewaySampled, HealthSampled, Value


class Evidence(IntEnum):
    """How strong a reading is: news counts against news of the same or lesser strength."""

    REPLICAS = 1
    """Probes alone: no request was made."""
    REQUESTS = 2
    """Real requests."""


@dataclass(frozen=True)
class Reading:
    """A window held against a rule."""

    breached: bool
    badness: float
    """Larger is worse; in the measure's own unit."""
    observed: str
    evidence: Evidence = Evidence.REQUESTS


class RestartCount(Value):
    """How often a deployment's replicas had restarted by the end of a window."""

    at: AwareDatetime
    restarts: int


def read(rule: Rule, sample: HealthSampled, restarts: list[RestartCount]) -> Reading | None:
    """Hold a window against a rule; None where the window says nothing of it.

    Args:
        rule: one that has a measure.
        sample: the window.
        restarts: the counts of `remember_restarts`, the window's own included.
    """
    match rule.when:
        case AlertRule(availability_below=bound) if bound is not None:
            return _availability(bound, sample)
        case AlertRule(latency_p90_above_ms=bound) if bound is not None:
            return _latency("p90", sample.latency_p90_ms, bound, sample)
        case AlertRule(latency_p99_above_ms=bound) if bound is not None:
            return _latency("p99", sample.latency_p99_ms, bound, sample)
        case RestartLoop() as loop:
            return _restart_loop(loop, restarts)
    return None


def read_letters(condition: DeadLettersKept, kept: int) -> Reading:
    """Hold a number of dead letters against a bound."""
    return Reading(kept > condition.dead_letters_above, kept, f"{kept} dead letters")


def read_gateway(condition: GatewayAway, sample: GatewaySampled) -> Reading:
    """Hold a window of a gateway against a bound."""
    share = sample.answered / sample.scrapes
    observed = f"{percent(share)}: {sample.answered} of {sample.scrapes} scrapes answered"
    return Reading(share < condition.gateway_answers_below, 1 - share, observed)


def remember_restarts(
    history: list[RestartCount], at: datetime, restarts: int, within_seconds: int
) -> list[RestartCount]:
    """The counts that a restart loop is judged by, the present one last.

    One count from before the span stays, since growth is measured from it. Of equal counts the first stays,
    so that a day of quiet windows is one.
    """
    begin = at - timedelta(seconds=within_seconds)
    older = [count for count in history if count.at <= begin][-1:]
    newer = [count for count in history if count.at > begin]
    kept = [*older, *newer]
    if kept and kept[-1].restarts == restarts:
        return kept
    return [*kept, RestartCount(at=at, restarts=restarts)]


def percent(share: float) -> str:
    """A share for people, rounded down: 0.99996 must not read as 100 %."""
    return f"{floor(share * 10_000 + 1e-9) / 100:g} %"


def _availability(bound: float, sample: HealthSampled) -> Reading | None:
    if sample.requests:
        share = 1 - sample.errors / sample.requests
        observed = f"{percent(share)}: {sample.errors} of {sample.requests} requests failed"
        return Reading(share < bound, 1 - share, observed)
    if not sample.replicas_desired:
        return None
    if sample.replicas_ready:
        observed = f"{sample.replicas_ready} of {sample.replicas_desired} replicas ready, no requests"
        return Reading(breached=False, badness=0, observed=observed, evidence=Evidence.REPLICAS)
    observed = f"none of {sample.replicas_desired} replicas is ready"
    return Reading(breached=True, badness=1, observed=observed, evidence=Evidence.REPLICAS)


def _latency(quantile: str, value: float | None, bound: float, sample: HealthSampled) -> Reading | None:
    if value is None:
        return None
    observed = f"{quantile} of {value:.0f} ms over {sample.requests} requests"
    return Reading(value > bound, value, observed)


def _restart_loop(loop: RestartLoop, counts: list[RestartCount]) -> Reading:
    totals = [count.restarts for count in counts]
    # A count that falls tells of no restart: replicas were forgotten, or a deployment was made again.
    growth = sum(max(0, new - old) for old, new in pairwise(totals))
    return Reading(growth >= loop.restarts_at_least, growth, f"{growth} restarts")
