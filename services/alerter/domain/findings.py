"""From what happened to what people are told."""

from __future__ import annotations

from datetime import datetime

from services.alerter.domain.incident import Finding, duration
from services.alerter.domain.readings import percent
from services.alerter.domain.rules import DeadLettersKept, GatewayAway, RestartLoop, Rule
from services.alerter.domain.subject import Subject
from services.alerter.domain.watch import Turn
from so1s.events import (
    AlertRule,
    BuildFailed,
    DeploymentFailed,
    HealthSampled,
    RoutesDegraded,
    RoutesRejected,
)


def watched_subject(rule: Rule, sample: HealthSampled) -> Subject:
    """Whom a rule holds responsible for a window: restarts are a deployment's, all else a variant's."""
    if isinstance(rule.when, RestartLoop):
        return Subject.of(sample.account, deployment=sample.variant)
    return Subject.of(sample.account, endpoint=sample.endpoint, variant=sample.variant)


def unhealthy(rule: Rule, sample: HealthSampled, turn: Turn) -> Finding:
    """A window breaks a rule."""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        subject=watched_subject(rule, sample),
        headline=_headline(rule, sample, turn),
        observed=turn.reading.observed,
        allowed=_allowed(rule),
        hint=f"so1s logs {sample.variant} --account {sample.account}",
        began_at=turn.since,
        at=turn.at,
        watched=True,
    )


def build_failed(rule: Rule, failed: BuildFailed, at: datetime) -> Finding:
    """A version did not become an image."""
    step = f", step {failed.step}" if failed.step else ""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        subject=Subject.of(failed.account, model=failed.model),
        headline=failed.verdict,
        observed=f"{failed.message} (reason {failed.reason}{step})",
        allowed="",
        hint=f"so1s explain {failed.model}@{failed.version} --account {failed.account}",
        began_at=at,
        at=at,
        log_tail=tuple(failed.log_tail),
    )


def deployment_failed(rule: Rule, failed: DeploymentFailed, at: datetime) -> Finding:
    """A rollout will not complete."""
    revision = f" revision {failed.revision}" if failed.revision else ""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        subject=Subject.of(failed.account, deployment=failed.deployment),
        headline=f"{failed.deployment}{revision} was not deployed",
        observed=f"{failed.message} (reason {failed.reason}); what served before still serves",
        allowed="",
        hint=f"so1s logs {failed.deployment} --account {failed.account}",
        began_at=at,
        at=at,
        log_tail=tuple(failed.log_tail),
    )


def routes_degraded(rule: Rule, degraded: RoutesDegraded, at: datetime) -> Finding:
    """Some gateways lag behind."""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        subject=Subject.of(degraded.account, endpoint=degraded.endpoint),
        headline=f"{degraded.endpoint} is not served alike everywhere",
        observed=degraded.reason
        or f"{degraded.gateways_serving} of {degraded.gateways} gateways answer revision {degraded.revision}",
        allowed="all of them, within the deadline",
        hint=f"so1s weights show {degraded.endpoint} --account {degraded.account}",
        began_at=at,
        at=at,
    )


def routes_rejected(rule: Rule, rejected: RoutesRejected, at: datetime) -> Finding:
    """A change of a route was refused."""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        subject=Subject.of(rejected.account, endpoint=rejected.endpoint),
        headline=f"A change of {rejected.endpoint} was refused",
        observed=f"{rejected.field}: {rejected.value}",
        allowed=rejected.allowed.removeprefix("allowed: "),
        hint=f"so1s weights show {rejected.endpoint} --account {rejected.account}",
        began_at=at,
        at=at,
    )


def platform_trouble(rule: Rule, subject: Subject, turn: Turn) -> Finding:
    """A part of the platform is unwell: a gateway, however many endpoints it serves, or a service."""
    headline, hint = f"{subject.name} could not handle some events", "so1s dlq list"
    if isinstance(rule.when, GatewayAway):
        headline, hint = f"Gateway {subject.name} is unreachable", "so1s status"
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        subject=subject,
        headline=headline,
        observed=turn.reading.observed,
        allowed=_allowed(rule),
        hint=hint,
        began_at=turn.since,
        at=turn.at,
        watched=True,
    )


def _headline(rule: Rule, sample: HealthSampled, turn: Turn) -> str:
    if rule.measure == "restarts":
        return f"{sample.variant} keeps restarting"
    if rule.measure == "availability":
        return f"{sample.variant} " + ("is unavailable" if turn.reading.badness >= 1 else "fails requests")
    return f"{sample.variant} is slow"


def _allowed(rule: Rule) -> str:
    match rule.when:
        case RestartLoop(restarts_at_least=count, within_seconds=seconds):
            return f"fewer than {count} restarts in {duration(seconds)}"
        case GatewayAway(gateway_answers_below=bound):
            asked = f"at least {percent(bound)}"
        case DeadLettersKept(dead_letters_above=count):
            return f"at most {count}" if count else "none"
        case AlertRule(availability_below=bound) if bound is not None:
            asked = f"at least {percent(bound)}"
        case AlertRule(latency_p90_above_ms=bound) if bound is not None:
            asked = f"p90 of at most {bound:g} ms"
        case AlertRule(latency_p99_above_ms=bound):
            asked = f"p99 of at most {bound:g} ms"
    return f"{asked}, judged over {duration(rule.hold_seconds)}" if rule.hold_seconds else asked
