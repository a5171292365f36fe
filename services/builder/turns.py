"""The turns of accounts: who is served next, and that none has more builds at once than its limit.

What runs is counted while the account's row is locked. So of all workers, on whatever replica, one at a time
decides for an account, and sees what the one before it has taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Column, ColumnElement, Float, String, Table, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.builder.domain.build import Build
from services.builder.domain.queue import Turn
from services.builder.store import builds, claim, may_start, metadata
from so1s.store import Transaction, upsert

turns_taken = Table(
    "turns",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("last_started_at", Float, nullable=False),  # seconds since the epoch; 0 for never
)


async def waiting(connection: AsyncConnection, holder: str, now: float) -> Mapping[str, Turn]:
    """The accounts with builds that a worker may start now; takes no lock.

    What the worker itself holds is left from before its process was started again, and counts as waiting.
    """
    may = may_start(holder, now)
    counted = (
        select(
            builds.c.account,
            func.min(builds.c.place).filter(may).label("first_place"),
            func.count().filter(_runs(holder, now)).label("running"),
        )
        .where(builds.c.state.in_(("queued", "running")))
        .group_by(builds.c.account)
        .having(func.count().filter(may) > 0)
        .subquery()
    )
    served = turns_taken.c
    statement = select(
        counted, func.coalesce(served.last_started_at, 0.0).label("last_started_at")
    ).select_from(counted.outerjoin(turns_taken, served.account == counted.c.account))
    rows = await connection.execute(statement)
    return {row.account: Turn(row.first_place, row.running, row.last_started_at) for row in rows}


async def take(
    tx: Transaction, account: str, holder: str, *, limit: int, lease_seconds: float
) -> Build | None:
    """Make an account's next build this worker's own; None at the account's limit, or where nothing waits."""
    now = tx.now.timestamp()
    await _lock(tx, account)
    is_of_account = builds.c.account == account
    running = select(func.count()).select_from(builds).where(is_of_account, _runs(holder, now))
    if (await tx.execute(running)).scalar_one() >= limit:
        return None
    first = (
        select(builds.c.model, builds.c.version)
        .where(is_of_account, may_start(holder, now))
        .order_by(builds.c.place, builds.c.model, builds.c.version)
        .limit(1)
    )
    row = (await tx.execute(first)).one_or_none()
    taken = await claim(tx, (account, *row), holder, lease_seconds) if row else None
    if taken:
        # Last, as a handler holds a build's row while it waits for others: it must never wait for this one.
        served = update(turns_taken).where(turns_taken.c.account == account)
        await tx.execute(served.values(last_started_at=now))
    return taken


async def _lock(tx: Transaction, account: str) -> None:
    """Hold the account's row until the transaction ends; SQLite has one writer at a time anyway."""
    await upsert(tx, turns_taken, {"account": account, "last_started_at": 0.0}, keys=("account",))
    statement = select(turns_taken.c.account).where(turns_taken.c.account == account)
    await tx.execute(statement.with_for_update())


def _runs(holder: str, now: float) -> ColumnElement[bool]:
    """A build in the hands of another worker that lives."""
    return and_(builds.c.state == "running", builds.c.held_until >= now, builds.c.holder != holder)
