"""Queries on changes of weights that wait for their variants."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.tables import cause_of, changes
from so1s.events import WeightsChanged
from so1s.events.envelope import Cause
from so1s.store import Transaction, upsert


@dataclass(frozen=True)
class Change:
    """A whole set of weights that waits."""

    account: str
    endpoint: str
    weights: dict[str, int]
    changed_by: str
    reason: str
    deadline: float
    superseded: bool
    cause: Cause


async def wait(tx: Transaction, changed: WeightsChanged, seconds: float) -> None:
    """Keep a change until its variants can take traffic, or for so many seconds."""
    assert tx.cause
    row = {
        "account": changed.account,
        "endpoint": changed.endpoint,
        "weights": changed.weights,
        "changed_by": changed.changed_by,
        "reason": changed.reason,
        "deadline": tx.now.timestamp() + seconds,
        "superseded": False,
    }
    await upsert(tx, changes, row | asdict(tx.cause), keys=("event_id",))


async def supersede(tx: Transaction, account: str, endpoint: str) -> None:
    """Let no earlier change of an endpoint take effect any more."""
    these = (changes.c.account == account, changes.c.endpoint == endpoint)
    await tx.execute(update(changes).where(*these).values(superseded=True))


async def waiting(connection: AsyncConnection) -> list[Change]:
    """All changes that wait, the oldest deadline first."""
    rows = await connection.execute(select(changes).order_by(changes.c.deadline))
    return [_change(row) for row in rows]


async def take(tx: Transaction, change: Change) -> bool:
    """Take a change off the list; False where it is off already."""
    gone = await tx.execute(delete(changes).where(changes.c.event_id == change.cause.event_id))
    return gone.rowcount == 1


def _change(row: Row) -> Change:
    return Change(
        account=row.account,
        endpoint=row.endpoint,
        weights=row.weights,
        changed_by=row.changed_by,
        reason=row.reason,
        deadline=row.deadline,
        superseded=row.superseded,
        cause=cause_of(row),
    )
