"""The deployer's tables: deployments, and every revision that they ever had.

Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.deployer.domain.progress import Status
from services.deployer.domain.recorded import Recorded, State
from so1s.events import DeploymentFailed, Workload
from so1s.events.envelope import Cause
from so1s.store import Transaction, upsert

metadata = MetaData()

deployments = Table(
    "deployments",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    # As it was last seen and told of.
    Column("seen_revision", Integer, nullable=False, default=0),
    Column("updated", Integer, nullable=False, default=0),
    Column("ready", Integer, nullable=False, default=0),
    Column("desired", Integer, nullable=False, default=0),
    Column("restarts", Integer, nullable=False, default=0),
    Column("ready_revision", Integer, nullable=False, default=0),
    Column("failed_revision", Integer, nullable=False, default=0),
    Column("failure", Text),  # JSON of the last DeploymentFailed
    Column("service", Text, nullable=False, default=""),
    Column("url", Text, nullable=False, default=""),
    Column("told", Integer, nullable=False, default=0),
)

revisions = Table(
    "revisions",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("workload", Text, nullable=False),  # JSON of a Workload
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Float, nullable=False),
    Column("event_id", String(255), nullable=False),
    Column("correlation_id", String(255), nullable=False),
    Column("traceparent", String(255), nullable=False),
)

_PRESENT = select(deployments, *(column for column in revisions.c if column.name not in deployments.c)).join(
    revisions,
    and_(
        deployments.c.account == revisions.c.account,
        deployments.c.name == revisions.c.name,
        deployments.c.revision == revisions.c.revision,
    ),
)


async def find(tx: Transaction, account: str, name: str) -> Recorded | None:
    """A deployment, locked until the transaction ends."""
    named = and_(deployments.c.account == account, deployments.c.name == name)
    # First the lock, then the look: a statement that waits for a lock has read the other table before.
    await tx.execute(select(deployments.c.revision).where(named).with_for_update())
    row = (await tx.execute(_PRESENT.where(named))).one_or_none()
    return _recorded(row) if row else None


async def present(connection: AsyncConnection, account: str | None = None) -> list[Recorded]:
    """Every deployment that was not removed, or those of one account."""
    statement = _PRESENT.where(deployments.c.state != "removed")
    if account:
        statement = statement.where(deployments.c.account == account)
    rows = await connection.execute(statement.order_by(deployments.c.account, deployments.c.name))
    return [_recorded(row) for row in rows]


async def workload(tx: Transaction, account: str, name: str, revision: int) -> Workload | None:
    """What a deployment was to be at a revision."""
    statement = select(revisions.c.workload).where(
        revisions.c.account == account, revisions.c.name == name, revisions.c.revision == revision
    )
    text = (await tx.execute(statement)).scalar_one_or_none()
    return Workload.model_validate_json(text) if text else None


async def revise(
    tx: Transaction, account: str, name: str, *, revision: int, wanted: Workload, requested_by: str
) -> None:
    """Record the next revision of a deployment; it is active from now on."""
    assert tx.cause is not None, "a revision has a cause"
    key = {"account": account, "name": name}
    cause = {
        "event_id": tx.cause.event_id,
        "correlation_id": tx.cause.correlation_id,
        "traceparent": tx.cause.traceparent,
    }
    change = {"revision": revision, "workload": wanted.model_dump_json(), "requested_by": requested_by}
    await tx.execute(revisions.insert().values(key | change | cause | {"requested_at": tx.now.timestamp()}))
    row = key | {"revision": revision, "state": "active"}
    await upsert(tx, deployments, row, keys=("account", "name"), update=("revision", "state"))


async def enter(tx: Transaction, recorded: Recorded, state: State) -> None:
    """Record a deployment's next state."""
    await _change(tx, recorded, {"state": state})


async def tell(tx: Transaction, recorded: Recorded, figures: dict[str, Any]) -> None:
    """Record what was seen of a deployment, and told of it."""
    await _change(tx, recorded, figures)


async def _change(tx: Transaction, recorded: Recorded, values: dict[str, Any]) -> None:
    named = and_(deployments.c.account == recorded.account, deployments.c.name == recorded.name)
    await tx.execute(update(deployments).where(named).values(values))


def _recorded(row: Any) -> Recorded:
    wanted = Workload.model_validate_json(row.workload)
    return Recorded(
        account=row.account,
        name=row.name,
        revision=row.revision,
        state=row.state,
        workload=wanted,
        cause=Cause(row.event_id, row.correlation_id, row.traceparent),
        requested_at=row.requested_at,
        status=Status(
            revision=row.revision,
            requested_at=row.requested_at,
            least=wanted.scaling.min_replicas,
            seen_revision=row.seen_revision,
            updated=row.updated,
            ready=row.ready,
            desired=row.desired,
            restarts=row.restarts,
            ready_revision=row.ready_revision,
            failed_revision=row.failed_revision,
        ),
        service=row.service,
        url=row.url,
        told=row.told,
        failure=DeploymentFailed.from_json(row.failure.encode()) if row.failure else None,
    )
