"""Events in → what an endpoint becomes; the reconciler tells the gateways."""

from __future__ import annotations

from services.router import changes, retirements, store
from services.router.domain.change import Waiting, decide
from services.router.domain.deadlines import Deadlines
from services.router.domain.endpoint import Verdict
from services.router.domain.variants import become_ready, judge, remove, request
from services.router.refusals import refuse
from services.router.store import Why
from so1s.events import (
    CheckFinished,
    DeploymentReady,
    DeploymentRequested,
    DeploymentRetiring,
    EndpointRemovalRequested,
    RoutesRejected,
    VariantInUse,
    VariantReleased,
    WeightsChanged,
)
from so1s.loop import Loop
from so1s.service import Consumer
from so1s.store import Transaction, answers

consumer = Consumer("router")


@consumer.on(DeploymentRequested)
async def expect_variant(requested: DeploymentRequested, tx: Transaction) -> None:
    """Let weights name a deployment before it is ready."""
    account, deployment, name = requested.account, requested.deployment, requested.workload.endpoint
    await store.forget_requests(tx, account, deployment, but=name)
    if name:
        endpoint = await store.load(tx, account, name)
        await store.save(tx, endpoint, request(endpoint, deployment))


@consumer.on(DeploymentReady, rejected=refuse)
async def attach_variant(ready: DeploymentReady, tx: Transaction, loop: Loop) -> RoutesRejected | None:
    """Put a ready revision on its endpoint's route; a candidate comes once it may take traffic.

    One that is there already is wanted by another chain, such as an upload's that was repeated.
    """
    await retirements.forget(tx, ready.account, ready.deployment, ready.revision - 1)
    if ready.endpoint is None or ready.candidate:
        return None
    verdicts = await store.verdicts_on(tx, ready.account, ready.deployment, ready.revision)
    endpoint = await store.load(tx, ready.account, ready.endpoint)
    if endpoint.has_attached(ready.deployment, ready.revision):
        await answers.promise(tx, endpoint.key, endpoint.revision)
    decision = become_ready(endpoint, ready, verdicts)
    why = Why(f"{ready.deployment} serves {ready.model}@{ready.version}")
    await store.save(tx, endpoint, decision.endpoint, why)
    tx.after_commit(loop.wake)
    return decision.rejected


@consumer.on(CheckFinished)
async def judge_variants(finished: CheckFinished, tx: Transaction, loop: Loop) -> list[RoutesRejected]:
    """Let a verdict take effect where its revision is; keep it for where it comes first."""
    verdict = Verdict(finished.passed, finished.reason)
    why = Why(f"{finished.check} passed on {finished.deployment}")
    rejected = []
    for endpoint in await store.endpoints_of(tx, finished.account, finished.deployment):
        if endpoint.variants[finished.deployment].revision == finished.revision:
            decision = judge(endpoint, finished.deployment, finished.check, verdict)
            after = decision.endpoint
            await store.save(tx, endpoint, after, why)
            rejected.append(decision.rejected)
            if after.variants[finished.deployment].is_cleared_by(finished.check):
                await answers.promise(tx, after.key, after.revision)
    found = {finished.check: verdict}
    await store.record_verdicts(tx, finished.account, finished.deployment, finished.revision, found)
    tx.after_commit(loop.wake)
    return [each for each in rejected if each]


@consumer.on(WeightsChanged, rejected=refuse)
async def change_weights(
    changed: WeightsChanged, tx: Transaction, deadlines: Deadlines, loop: Loop
) -> RoutesRejected | None:
    """Take a whole set of weights, refuse it, or let it wait for its variants."""
    endpoint = await store.load(tx, changed.account, changed.endpoint)
    if not endpoint.known:
        return endpoint.reject("endpoint", changed.endpoint, await _endpoints(tx, changed.account))
    expected = changed.expected_revision
    if expected is not None and expected != endpoint.revision:
        return endpoint.reject(
            "expected_revision", str(expected), f"{endpoint.revision}, the present revision"
        )
    decided = decide(endpoint, changed.weights)
    if isinstance(decided, RoutesRejected):
        return decided
    await changes.supersede(tx, endpoint.account, endpoint.name)
    if isinstance(decided, Waiting):
        await changes.wait(tx, changed, deadlines.weights)
    else:
        await store.save(tx, endpoint, decided, Why(changed.reason, changed.changed_by))
    tx.after_commit(loop.wake)
    return None


@consumer.on(DeploymentRetiring)
async def release_variant(
    retiring: DeploymentRetiring, tx: Transaction, loop: Loop
) -> VariantReleased | VariantInUse | None:
    """Take a retiring deployment off its routes, now or once no traffic depends on it."""
    wish = (retiring.account, retiring.deployment, retiring.revision)
    answer = await retirements.release(tx, *wish)
    if isinstance(answer, VariantInUse):
        await retirements.remember(tx, *wish)
    tx.after_commit(loop.wake)
    return answer


@consumer.on(EndpointRemovalRequested, rejected=refuse)
async def remove_endpoint(
    requested: EndpointRemovalRequested, tx: Transaction, loop: Loop
) -> RoutesRejected | None:
    """Take a host away, also one that never served; its deployments stay."""
    endpoint = await store.load(tx, requested.account, requested.endpoint)
    if not endpoint.variants:
        return endpoint.reject("endpoint", requested.endpoint, await _endpoints(tx, requested.account))
    await changes.supersede(tx, endpoint.account, endpoint.name)
    if endpoint.removed:
        await answers.promise(tx, endpoint.key, endpoint.revision)
    else:
        await store.save(tx, endpoint, remove(endpoint), Why("removal requested", requested.requested_by))
    tx.after_commit(loop.wake)
    return None


async def _endpoints(tx: Transaction, account: str) -> str:
    names = await store.names(tx, account)
    return f"the endpoints {', '.join(names)}" if names else "an endpoint; the account has none yet"
