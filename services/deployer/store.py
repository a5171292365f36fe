"""Queries on deployments: what handlers decide on, and what the reconciler drives the cluster to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.deployer import chains
from services.deployer.domain.gate import Gate, Verdict, beside
from services.deployer.domain.progress import Status
from services.deployer.domain.recorded import Recorded, Revision, State
from services.deployer.domain.rollout import surge
from services.deployer.tables import deployments, revisions, verdicts
from so1s.events import CheckFinished, DeploymentFailed, DeploymentRequested, Workload
from so1s.events.envelope import Cause
from so1s.store import Transaction, upsert

_CAUSE = ("event_id", "correlation_id", "traceparent")
_served = revisions.alias("served")


def _named(table: Any, account: str, name: str) -> ColumnElement[bool]:
    return and_(table.c.account == account, table.c.name == name)


def _at(table: Any, revision: Column) -> ColumnElement[bool]:
    return and_(
        table.c.account == deployments.c.account,
        table.c.name == deployments.c.name,
        table.c.revision == revision,
    )


_PRESENT = (
    select(
        deployments,
        *(column for column in revisions.c if column.name not in deployments.c),
        *(_served.c[name].label(f"serving_{name}") for name in ("workload", *_CAUSE)),
    )
    .join(revisions, _at(revisions, deployments.c.revision))
    .outerjoin(_served, _at(_served, deployments.c.serving_revision))
)
_VERDICTS = (
    select(verdicts)
    .join(
        revisions,
        and_(
            verdicts.c.account == revisions.c.account,
            verdicts.c.name == revisions.c.name,
            verdicts.c.digest == revisions.c.digest,
        ),
    )
    .join(deployments, _at(revisions, deployments.c.revision))
)

Verdicts = Mapping[tuple[str, str, str], dict[str, Verdict]]
"""By account, name and image, since a revision may follow between two queries; then by check."""


async def find(tx: Transaction, account: str, name: str) -> Recorded | None:
    """A deployment, locked until the transaction ends."""
    named = _named(deployments, account, name)
    # First the lock, then the look: a statement that waits for a lock has read the other table before.
    await tx.execute(select(deployments.c.revision).where(named).with_for_update())
    return await look(tx.connection, account, name)


async def look(connection: AsyncConnection, account: str, name: str) -> Recorded | None:
    """A deployment as it is, also one that was removed."""
    found = await _read(connection, _named(deployments, account, name))
    return found[0] if found else None


async def present(connection: AsyncConnection, account: str | None = None) -> list[Recorded]:
    """Every deployment that was not removed, or those of one account."""
    here = deployments.c.state != "removed"
    return await _read(connection, and_(here, deployments.c.account == account) if account else here)


async def any_requested(connection: AsyncConnection, before: float) -> bool:
    """Whether any deployment was requested before a time (seconds since the epoch); it may be gone now."""
    requested = select(revisions.c.revision).where(revisions.c.requested_at < before).limit(1)
    return (await connection.execute(requested)).first() is not None


async def workload(tx: Transaction, account: str, name: str, revision: int) -> Workload | None:
    """What a deployment was to be at a revision."""
    this = and_(_named(revisions, account, name), revisions.c.revision == revision)
    text = (await tx.execute(select(revisions.c.workload).where(this))).scalar_one_or_none()
    return Workload.model_validate_json(text) if text else None


async def gate(tx: Transaction, recorded: Recorded, revision: int, wanted: Workload) -> Gate:
    """What stands between a workload and traffic, as one revision or another of a deployment."""
    serving = recorded.serving.workload if recorded.serving else None
    this = and_(_named(verdicts, recorded.account, recorded.name), verdicts.c.digest == wanted.image.digest)
    known = _by_image(await tx.execute(select(verdicts).where(this)))
    return _gate(revision, wanted, serving, known[recorded.account, recorded.name, wanted.image.digest])


async def is_outdated(tx: Transaction, request: DeploymentRequested) -> bool:
    """Whether a later upload of the same model was deployed under this name already."""
    if request.uploaded_at is None:
        return False
    later = revisions.c.uploaded_at > request.uploaded_at.timestamp()
    this = and_(_named(revisions, request.account, request.deployment), later)
    texts = await tx.execute(select(revisions.c.workload).where(this))
    return any(Workload.model_validate_json(text).model == request.workload.model for text in texts.scalars())


async def revise(
    tx: Transaction,
    account: str,
    name: str,
    *,
    revision: int,
    wanted: Workload,
    requested_by: str,
    uploaded_at: datetime | None = None,
    restores: int | None = None,
) -> None:
    """Record the next revision of a deployment; it is active from now on, and waited for."""
    assert tx.cause is not None, "a revision has a cause"
    now = tx.now.timestamp()
    key = {"account": account, "name": name}
    change = {
        "revision": revision,
        "workload": wanted.model_dump_json(),
        "digest": wanted.image.digest,
        "uploaded_at": uploaded_at.timestamp() if uploaded_at else None,
        "requested_by": requested_by,
        "requested_at": now,
        "restores": restores,
        "event_id": tx.cause.event_id,
        "correlation_id": tx.cause.correlation_id,
        "traceparent": tx.cause.traceparent,
    }
    await tx.execute(revisions.insert().values(key | change))
    row = key | {"revision": revision, "state": "active", "since": now}
    await upsert(tx, deployments, row, keys=("account", "name"), update=("revision", "state", "since"))
    await chains.wait(tx, account, name, revision)


async def renew_upload(tx: Transaction, recorded: Recorded, uploaded_at: datetime) -> None:
    """Record that the version of the present revision was uploaded once more, where that is news."""
    at, named = uploaded_at.timestamp(), _named(revisions, recorded.account, recorded.name)
    earlier = or_(revisions.c.uploaded_at.is_(None), revisions.c.uploaded_at < at)
    this = (named, revisions.c.revision == recorded.revision, earlier)
    await tx.execute(update(revisions).where(*this).values(uploaded_at=at))


async def enter(tx: Transaction, recorded: Recorded, state: State) -> None:
    """Record a deployment's next state; one that was released serves nobody, whatever is said of it later."""
    serving = {} if state in {"active", "retiring"} else {"serving_revision": 0, "ready_revision": 0}
    ended = {"removed_revision": recorded.revision} if state == "removed" else {}
    await _change(tx, recorded, {"state": state} | serving | ended)


async def tell(tx: Transaction, recorded: Recorded, figures: dict[str, Any]) -> None:
    """Record what was seen of a deployment, and told of it."""
    await _change(tx, recorded, figures)


async def record_verdict(tx: Transaction, finished: CheckFinished, digest: str) -> None:
    """Keep what a check said of an image; a later verdict replaces an earlier one."""
    row = {
        "account": finished.account,
        "name": finished.deployment,
        "digest": digest,
        "check_name": finished.check,
        "passed": finished.passed,
        "reason": finished.reason,
        "revision": finished.revision,
    }
    keys = ("account", "name", "digest", "check_name")
    await upsert(tx, verdicts, row, keys=keys, update=("passed", "reason", "revision"))


async def open_gate(tx: Transaction, recorded: Recorded) -> None:
    """Record that a candidate's rollout goes on from now."""
    await _change(tx, recorded, {"since": tx.now.timestamp()})


async def serve(tx: Transaction, recorded: Recorded, revision: int) -> None:
    """Record that a revision's version may take traffic."""
    await _change(tx, recorded, {"serving_revision": revision})


async def _change(tx: Transaction, recorded: Recorded, values: dict[str, Any]) -> None:
    named = _named(deployments, recorded.account, recorded.name)
    await tx.execute(update(deployments).where(named).values(values))


async def _read(connection: AsyncConnection, where: ColumnElement[bool]) -> list[Recorded]:
    known = _by_image(await connection.execute(_VERDICTS.where(where)))
    rows = await connection.execute(_PRESENT.where(where).order_by(deployments.c.account, deployments.c.name))
    return [_recorded(row, known[row.account, row.name, row.digest]) for row in rows]


def _by_image(rows: Any) -> Verdicts:
    found: Verdicts = defaultdict(dict)
    for row in rows:
        found[row.account, row.name, row.digest][row.check_name] = Verdict(
            row.passed, row.reason, row.revision
        )
    return found


def _gate(revision: int, wanted: Workload, serving: Workload | None, known: Mapping[str, Verdict]) -> Gate:
    return Gate(revision, tuple(wanted.requires), known, beside(serving, wanted))


def _serving(row: Any) -> Revision | None:
    if row.serving_workload is None:
        return None
    wanted = Workload.model_validate_json(row.serving_workload)
    return Revision(row.serving_revision, wanted, _cause(row, "serving_"))


def _cause(row: Any, prefix: str = "") -> Cause:
    return Cause(*(getattr(row, prefix + name) for name in _CAUSE))


def _recorded(row: Any, known: Mapping[str, Verdict]) -> Recorded:
    wanted, serving = Workload.model_validate_json(row.workload), _serving(row)
    gate = _gate(row.revision, wanted, serving.workload if serving else None, known)
    least = wanted.scaling.min_replicas
    return Recorded(
        account=row.account,
        name=row.name,
        revision=row.revision,
        state=row.state,
        workload=wanted,
        cause=_cause(row),
        requested_at=row.requested_at,
        status=Status(
            revision=row.revision,
            since=row.since,
            least=surge(least) if gate.closed else least,
            gate=gate,
            serving_revision=row.serving_revision,
            seen_revision=row.seen_revision,
            updated=row.updated,
            ready=row.ready,
            desired=row.desired,
            restarts=row.restarts,
            ready_revision=row.ready_revision,
            candidate_revision=row.candidate_revision,
            failed_revision=row.failed_revision,
            withdrawn_revision=row.withdrawn_revision,
        ),
        serving=serving,
        service=row.service,
        url=row.url,
        told=row.told,
        failure=DeploymentFailed.from_json(row.failure.encode()) if row.failure else None,
    )
