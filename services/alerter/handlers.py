"""Events in, incidents opened, updated and resolved."""

from __future__ import annotations

from datetime import datetime

from services.alerter import lifecycle, store
from services.alerter.domain import findings
from services.alerter.domain.incident import incident_key
from services.alerter.domain.readings import read_gateway
from services.alerter.domain.rules import GatewayAway, Rulebook, author_rules
from services.alerter.domain.subject import Subject
from services.alerter.domain.watch import Span, Watch, step
from services.alerter.store import incidents
from so1s.events import (
    BuildFailed,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRemoved,
    EndpointRemoved,
    GatewaySampled,
    HealthSampled,
    ImageBuilt,
    RoutesApplied,
    RoutesDegraded,
    RoutesRejected,
)
from so1s.events.envelope import Received
from so1s.service import Consumer
from so1s.store import Transaction

consumer = Consumer("alerter")


@consumer.on(HealthSampled, batch=True)
async def judge_health(batch: list[Received[HealthSampled]], tx: Transaction, rulebook: Rulebook) -> None:
    """Hold windows against the rules of their deployments."""
    samples = sorted((received.event for received in batch), key=lambda sample: sample.window_start)
    own = await store.rules_of_authors(tx, {_deployment_key(s.account, s.variant) for s in samples})
    cases = [
        (rule, sample, incident_key(rule.name, findings.watched_subject(rule, sample)))
        for sample in samples
        for rule in rulebook.watching(own.get(_deployment_key(sample.account, sample.variant), []))
    ]
    watches = await store.load_watches(tx, {key for _, _, key in cases})
    for rule, sample, key in cases:
        watches[key], turn = step(watches.get(key, Watch()), rule, sample, rulebook.pause)
        if turn is not None:
            await lifecycle.follow(tx, turn, findings.unhealthy(rule, sample, turn))
    await store.save_watches(tx, watches)


@consumer.on(GatewaySampled)
async def judge_gateway(sampled: GatewaySampled, tx: Transaction, rulebook: Rulebook) -> None:
    """Hold a gateway's window against the operator's rules: one incident for all endpoints behind it."""
    subject = Subject.of(sampled.account, gateway=sampled.gateway)
    span = Span.of(sampled)
    for rule, condition in rulebook.on(GatewayAway):
        await lifecycle.hold(tx, rulebook, rule, subject, span=span, reading=read_gateway(condition, sampled))


@consumer.on(BuildFailed)
async def report_build(failed: BuildFailed, received: Received, tx: Transaction, rulebook: Rulebook) -> None:
    """A version did not become an image."""
    for rule in rulebook.telling_of("BuildFailed", failed.reason):
        await lifecycle.report(tx, findings.build_failed(rule, failed, _time(received, tx)))


@consumer.on(DeploymentFailed)
async def report_deployment(
    failed: DeploymentFailed, received: Received, tx: Transaction, rulebook: Rulebook
) -> None:
    """A rollout will not complete."""
    for rule in rulebook.telling_of("DeploymentFailed", failed.reason):
        await lifecycle.report(tx, findings.deployment_failed(rule, failed, _time(received, tx)))


@consumer.on(RoutesDegraded)
async def report_degraded(
    degraded: RoutesDegraded, received: Received, tx: Transaction, rulebook: Rulebook
) -> None:
    """Some gateways lag behind."""
    for rule in rulebook.telling_of("RoutesDegraded"):
        await lifecycle.report(tx, findings.routes_degraded(rule, degraded, _time(received, tx)))


@consumer.on(RoutesRejected)
async def report_rejected(
    rejected: RoutesRejected, received: Received, tx: Transaction, rulebook: Rulebook
) -> None:
    """A change of weights was refused."""
    for rule in rulebook.telling_of("RoutesRejected"):
        await lifecycle.report(tx, findings.routes_rejected(rule, rejected, _time(received, tx)))


@consumer.on(ImageBuilt)
async def accept_image(built: ImageBuilt, received: Received, tx: Transaction) -> None:
    """The model can be built again."""
    subject = Subject.of(built.account, model=built.model)
    resolution = f"{built.model}@{built.version} was built"
    await lifecycle.recover(tx, subject, _time(received, tx), resolution)


@consumer.on(DeploymentReady)
async def accept_deployment(
    ready: DeploymentReady, received: Received, tx: Transaction, rulebook: Rulebook
) -> None:
    """Take the author's rules, and note that the deployment is well; of a candidate that is too early."""
    if ready.candidate:
        return
    at = _time(received, tx)
    subject = Subject.of(ready.account, deployment=ready.deployment)
    await lifecycle.recover(tx, subject, at, f"revision {ready.revision} is ready")
    key = _deployment_key(ready.account, ready.deployment)
    own = author_rules(ready.alerts)
    if not await store.save_author_rules(tx, key, ready.revision, own):
        return
    names = [rule.name for rule in rulebook.watching(own)]
    of_deployment = (incidents.c.account == ready.account, incidents.c.deployment == ready.deployment)
    outdated = (incidents.c.watched.is_(True), incidents.c.rule.not_in(names))
    await lifecycle.withdraw(tx, "the rule was withdrawn", *of_deployment, *outdated, at=at)


@consumer.on(RoutesApplied)
async def accept_routes(applied: RoutesApplied, received: Received, tx: Transaction) -> None:
    """Every gateway answers with the endpoint's revision."""
    subject = Subject.of(applied.account, endpoint=applied.endpoint)
    resolution = f"every gateway answers revision {applied.revision}"
    await lifecycle.recover(tx, subject, _time(received, tx), resolution)


@consumer.on(DeploymentRemoved)
async def forget_deployment(removed: DeploymentRemoved, received: Received, tx: Transaction) -> None:
    """Nobody needs to be told of what is no more; one that was made again goes on."""
    key = _deployment_key(removed.account, removed.deployment)
    if await store.ready_revision(tx, key) > removed.revision:
        return
    await store.drop_author_rules(tx, key)
    of_deployment = (incidents.c.account == removed.account, incidents.c.deployment == removed.deployment)
    await lifecycle.withdraw(tx, "the deployment was removed", *of_deployment, at=_time(received, tx))


@consumer.on(EndpointRemoved)
async def forget_endpoint(removed: EndpointRemoved, received: Received, tx: Transaction) -> None:
    """Nobody needs to be told of what is no more."""
    of_endpoint = (incidents.c.account == removed.account, incidents.c.endpoint == removed.endpoint)
    await lifecycle.withdraw(tx, "the endpoint was removed", *of_endpoint, at=_time(received, tx))


def _deployment_key(account: str, deployment: str) -> str:
    return f"{account}/{deployment}"


def _time(received: Received, tx: Transaction) -> datetime:
    return received.time or tx.now
