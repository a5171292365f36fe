"""Who waits for a deployment to become as it was requested: each is answered in its own chain, once."""

from __future__ import annotations

from services.deployer import history
from services.deployer.domain.announcement import Announcement
from services.deployer.domain.recorded import Recorded, continuation, supersession
from so1s.events import DeploymentFailed, DeploymentRemoved, Workload
from so1s.events.ids import transition_id
from so1s.store import Transaction, answers


async def wait(tx: Transaction, account: str, name: str, revision: int) -> None:
    """Owe the event in hand an answer, once this revision of a deployment or a later one came to its end."""
    await answers.promise(tx, f"{account}/{name}", revision)


async def say(tx: Transaction, recorded: Recorded, said: Announcement) -> None:
    """Say a transition in the chain of its revision, and in those that wait for the end that it is."""
    assert tx.cause is not None, "a revision has a cause"
    tx.emit(said.event, id=transition_id("deployer", recorded.key, said.generation, said.transition))
    if not said.is_end:
        return
    await history.record(tx, recorded, said.event)
    for owed in await answers.take(tx, recorded.key, recorded.revision):
        if owed.cause.event_id != tx.cause.event_id:
            tx.emit(said.event, cause=owed.cause)


async def supersede(tx: Transaction, recorded: Recorded, wanted: Workload | None = None) -> None:
    """Tell who waits for the present revision that it will not come to its end.

    Args:
        tx: in which another one is recorded.
        recorded: the deployment as it was.
        wanted: what it shall be now, or None where it goes. One that brings the same is waited for instead.
    """
    if wanted and recorded.is_continued_by(wanted):
        return
    for owed in await answers.take(tx, recorded.key, recorded.revision):
        failed = DeploymentFailed(
            account=recorded.account,
            deployment=recorded.name,
            revision=owed.revision,
            reason="superseded",
            message=supersession(recorded.workload, wanted),
        )
        tx.emit(failed, cause=owed.cause)


async def wait_for_removal(tx: Transaction, recorded: Recorded) -> None:
    """Owe the event in hand an answer, once the deployment is gone, or is wanted anew."""
    await answers.promise(tx, _removal(recorded), recorded.revision)


async def say_removed(tx: Transaction, recorded: Recorded) -> None:
    """Tell who asked for its removal that a deployment is gone."""
    removed = DeploymentRemoved(
        account=recorded.account, deployment=recorded.name, revision=recorded.revision
    )
    for owed in await answers.take(tx, _removal(recorded), recorded.revision):
        tx.emit(removed, cause=owed.cause)


async def give_up_removal(tx: Transaction, recorded: Recorded, wanted: Workload) -> None:
    """Tell who asked for its removal, and has no answer yet, that a deployment stays."""
    kept = DeploymentFailed(
        account=recorded.account,
        deployment=recorded.name,
        revision=recorded.revision,
        reason="superseded",
        message=continuation(wanted),
    )
    for owed in await answers.take(tx, _removal(recorded), recorded.revision):
        tx.emit(kept, cause=owed.cause)


def _removal(recorded: Recorded) -> str:
    return f"{recorded.key}/removal"
