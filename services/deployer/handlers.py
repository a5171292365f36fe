"""Events in; decisions, state and events out. Only these change what a deployment shall be."""

from __future__ import annotations

from datetime import datetime

from services.deployer import chains, history, store
from services.deployer.alarm import Alarm
from services.deployer.domain import gate, options
from services.deployer.domain.history import origin, restored, rollback_target
from services.deployer.domain.options import Defaults
from services.deployer.domain.recorded import Recorded, lateness, staleness, unreachable
from services.deployer.refusals import refuse, refused
from so1s.events import (
    CheckFinished,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRemovalRequested,
    DeploymentRequested,
    DeploymentRetiring,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    ImageBuilt,
    VariantReleased,
    Workload,
)
from so1s.service import Consumer
from so1s.store import Transaction

consumer = Consumer("deployer")


@consumer.on(ImageBuilt, rejected=refuse)
async def request_deployment(
    built: ImageBuilt, defaults: Defaults, tx: Transaction
) -> DeploymentRequested | None:
    """Ask for what the upload asks for, and leave the decision to the request's own handler."""
    if built.deploy is None:
        return None
    recorded = await store.look(tx.connection, built.account, built.deploy.deployment or built.model)
    present = recorded.kept if recorded and recorded.serves_on else None
    return options.request(built, built.deploy, defaults, present)


@consumer.on(DeploymentRequested, rejected=refuse)
async def change(
    request: DeploymentRequested, tx: Transaction, alarm: Alarm
) -> DeploymentReady | DeploymentFailed | None:
    """Take a whole desired state."""
    recorded = await store.find(tx, request.account, request.deployment)
    if stale := staleness(recorded, request.expected_revision):
        return refused(request.account, request.deployment, stale, "stale_revision")
    known = recorded and recorded.is_already(request.workload)
    if recorded and not known and await store.is_outdated(tx, request):
        return refused(
            request.account, request.deployment, lateness(recorded, request.workload), "superseded"
        )
    tx.after_commit(alarm.ring)
    return await _become(tx, request, recorded, request.workload, uploaded_at=request.uploaded_at)


@consumer.on(DeploymentScaleRequested, rejected=refuse)
async def scale(
    request: DeploymentScaleRequested, tx: Transaction, alarm: Alarm
) -> DeploymentReady | DeploymentFailed | None:
    """Take other bounds for the number of replicas."""
    recorded = await store.find(tx, request.account, request.deployment)
    if recorded is None or not recorded.serves_on:
        return _unknown(request, recorded)
    tx.after_commit(alarm.ring)
    return await _become(tx, request, recorded, options.rescaled(recorded.kept, request.scaling))


@consumer.on(DeploymentRollbackRequested, rejected=refuse)
async def roll_back(
    request: DeploymentRollbackRequested, tx: Transaction, alarm: Alarm
) -> DeploymentReady | DeploymentFailed | None:
    """Take an earlier revision's workload, as a new revision; replicas stay as many as they are."""
    recorded = await store.find(tx, request.account, request.deployment)
    if recorded is None or not recorded.serves_on:
        return _unknown(request, recorded)
    life = await history.life(tx, request.account, request.deployment)
    target = request.to_revision or rollback_target(life)
    earlier = await store.workload(tx, request.account, request.deployment, target) if target else None
    if target is None or earlier is None or recorded.is_at(target):
        return refused(request.account, request.deployment, unreachable(recorded, target))
    since = [each for each in life if each.number <= target]
    restores = origin(since) if since else target
    tx.after_commit(alarm.ring)
    return await _become(tx, request, recorded, restored(earlier, recorded.kept), restores=restores)


@consumer.on(CheckFinished)
async def judge(finished: CheckFinished, tx: Transaction, alarm: Alarm) -> None:
    """Keep a verdict; once none is outstanding, the revision may take traffic."""
    before = await store.find(tx, finished.account, finished.deployment)
    judged = await store.workload(tx, finished.account, finished.deployment, finished.revision)
    if before is None or judged is None:
        return  # of a deployment that is none of ours
    await store.record_verdict(tx, finished, judged.image.digest)
    tx.after_commit(alarm.ring)
    after = await store.gate(tx, before, finished.revision, judged)
    if finished.revision == before.status.ready_revision and not after.outstanding:
        await store.serve(tx, before, finished.revision)
    present = await store.gate(tx, before, before.revision, before.workload)
    if before.gate.closed and not present.closed:
        await store.open_gate(tx, before)


@consumer.on(DeploymentRemovalRequested, rejected=refuse)
async def retire(
    request: DeploymentRemovalRequested, tx: Transaction
) -> DeploymentRetiring | DeploymentFailed | None:
    """Ask the endpoints to release the deployment; its replicas serve on until they have."""
    recorded = await store.find(tx, request.account, request.deployment)
    if recorded is None or recorded.state == "removed":
        return _unknown(request, None)
    await chains.wait_for_removal(tx, recorded)
    if recorded.state == "released":
        return None  # its replicas are ending already
    await store.enter(tx, recorded, "retiring")
    return DeploymentRetiring(
        account=recorded.account,
        deployment=recorded.name,
        revision=recorded.revision,
        endpoint=recorded.workload.endpoint,
    )


@consumer.on(VariantReleased)
async def release(released: VariantReleased, tx: Transaction, alarm: Alarm) -> None:
    """Let the replicas go; one that was wanted anew in the meantime has another revision."""
    recorded = await store.find(tx, released.account, released.deployment)
    if recorded and (recorded.state, recorded.revision) == ("retiring", released.revision):
        await chains.supersede(tx, recorded)
        await store.enter(tx, recorded, "released")
        tx.after_commit(alarm.ring)


async def _become(
    tx: Transaction,
    request: DeploymentRequested | DeploymentScaleRequested | DeploymentRollbackRequested,
    recorded: Recorded | None,
    wanted: Workload,
    *,
    uploaded_at: datetime | None = None,
    restores: int | None = None,
) -> DeploymentReady | DeploymentFailed | None:
    """Record the next revision; where the present one is so already, answer what becomes of it."""
    if recorded and recorded.is_already(wanted):
        return await _join(tx, recorded, uploaded_at)
    revision = recorded.revision + 1 if recorded else 1
    if recorded:
        if refusal := gate.refusal(await store.gate(tx, recorded, revision, wanted), wanted):
            return refused(request.account, request.deployment, refusal, "invalid")
        await chains.supersede(tx, recorded, wanted)
        await chains.give_up_removal(tx, recorded, wanted)
    await store.revise(
        tx,
        request.account,
        request.deployment,
        revision=revision,
        wanted=wanted,
        requested_by=request.requested_by,
        uploaded_at=uploaded_at,
        restores=restores,
    )
    return None


async def _join(
    tx: Transaction, recorded: Recorded, uploaded_at: datetime | None
) -> DeploymentReady | DeploymentFailed | None:
    """Answer what is known of the present revision, or wait for its end."""
    if uploaded_at:
        await store.renew_upload(tx, recorded, uploaded_at)
    answer = recorded.answer()
    if answer is None:
        await chains.wait(tx, recorded.account, recorded.name, recorded.revision)
    return answer


def _unknown(
    request: DeploymentScaleRequested | DeploymentRollbackRequested | DeploymentRemovalRequested,
    recorded: Recorded | None,
) -> DeploymentFailed:
    state = f"is {recorded.state}" if recorded else "does not exist"
    return refused(request.account, request.deployment, f"deployment {request.deployment} {state}")
