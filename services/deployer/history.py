"""Queries on the revisions that a deployment ever had, and what became of each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.deployer.domain.history import Entry
from services.deployer.domain.recorded import Recorded
from services.deployer.tables import deployments, revisions
from so1s.events import DeploymentFailed, DeploymentReady, Event, Workload
from so1s.store import Transaction

_SHOWN = 100
"""How many revisions are read, the newest ones."""


async def record(tx: Transaction, recorded: Recorded, end: Event) -> None:
    """Keep how the present revision came to its end, beside what later ones do."""
    match end:
        case DeploymentReady():
            values: dict[str, Any] = {"ready_at": tx.now.timestamp()}
        case DeploymentFailed():
            values = {"failure": end.model_dump_json()}
        case _:
            return
    this = and_(_of(recorded.account, recorded.name), revisions.c.revision == recorded.revision)
    await tx.execute(update(revisions).where(this).values(values))


async def read(connection: AsyncConnection, account: str, name: str) -> list[Entry]:
    """The newest revisions of a deployment, the newest first."""
    newest = revisions.c.revision.desc()
    rows = select(revisions).where(_of(account, name)).order_by(newest).limit(_SHOWN)
    return [_entry(row) for row in await connection.execute(rows)]


async def life(tx: Transaction, account: str, name: str) -> list[Entry]:
    """All revisions since a deployment was last removed, the newest first."""
    named = and_(deployments.c.account == account, deployments.c.name == name)
    removed = select(deployments.c.removed_revision).where(named).scalar_subquery()
    rows = select(revisions).where(_of(account, name), revisions.c.revision > removed)
    return [_entry(row) for row in await tx.execute(rows.order_by(revisions.c.revision.desc()))]


def _of(account: str, name: str) -> Any:
    return and_(revisions.c.account == account, revisions.c.name == name)


def _entry(row: Any) -> Entry:
    return Entry(
        number=row.revision,
        workload=Workload.model_validate_json(row.workload),
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        restores=row.restores,
        ready_at=row.ready_at,
        failure=DeploymentFailed.from_json(row.failure.encode()) if row.failure else None,
    )
